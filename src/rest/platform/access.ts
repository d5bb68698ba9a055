/** Authentication with an `ak_live_` key. Its scopes read, write and admin are the domain's READ, WRITE and ADMIN. */
import type { IncomingHttpHeaders } from 'node:http'
import { callerOfCredential } from '../../domain/access/api-key/index.ts'
import { callerOfEmailKey } from '../../domain/resources/email/index.ts'
import { type Authenticated, credentialOfHeaders, type PresentedCredential } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'

export const keyPrefix = 'ak_live_'

export const authenticate = (app: App, credential: PresentedCredential): Authenticated => callerOfCredential(app, credential, keyPrefix)

/** Authentication with the key of an email service. As with other keys, the Authorization header takes precedence. */
export function authenticateEmailKey(app: App, headers: IncomingHttpHeaders): Authenticated {
  const { authorization, 'api-key': key } = headers
  const named = authorization === undefined ? key : /^Api-Key +(\S+) *$/i.exec(authorization)?.[1]
  const credential = typeof named === 'string' ? named : credentialOfHeaders(headers)?.text
  return credential === undefined ? null : callerOfEmailKey(app, credential)
}
