import { isIP } from 'node:net'
import type { App } from '../../../platform/work.ts'
import { apiEndpoint } from '../mail/index.ts'
import { passkeyErrors } from './errors.ts'

/** The site that passkeys belong to, and the origin of its pages. */
export type RelyingParty = { id: string; origin: string }

/** By the public address of the server. Browsers allow no IP addresses, so on this machine it is `localhost`. Throws `passkeys_unavailable`. */
export function relyingParty(app: App): RelyingParty {
  const url = new URL(apiEndpoint.use(app).url)
  if (url.hostname === '[::1]' || /^127\./.test(url.hostname)) url.hostname = 'localhost'
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0) throw passkeyErrors.passkeys_unavailable()
  return { id: url.hostname, origin: url.origin }
}
