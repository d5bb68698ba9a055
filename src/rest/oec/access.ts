/** Authentication with a key that begins with `oec_live_ro_`, which only reads, or `oec_live_rw_`. The contract says why a key is refused. */
import { callerOfKey, endOfKey, hasFormOfKey } from '../../domain/access/api-key/index.ts'
import type { Caller } from '../../platform/access.ts'
import { type PresentedCredential, unauthenticated } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'

export const keyPrefix = 'oec_live_'
export const readOnlyKeyPrefix = 'oec_live_ro_'
export const fullAccessKeyPrefix = 'oec_live_rw_'

export async function authenticate(app: App, { text }: PresentedCredential): Promise<Caller> {
  if (!text.startsWith(keyPrefix) || !hasFormOfKey(text)) throw unauthenticated('malformed')
  const caller = await callerOfKey(app, text, keyPrefix)
  if (caller) return caller
  const ended = await endOfKey(app, text)
  throw ended?.reason === 'expired' ? unauthenticated('expired', ended.id) : unauthenticated('unknown')
}
