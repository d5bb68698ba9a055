/** Authentication with a key of the bridge, or as a person for the rows that manage keys. The contract says why a key is refused. */
import { callerOfCredential, endedKey } from '../../domain/access/api-key/index.ts'
import type { Caller } from '../../platform/access.ts'
import { type PresentedCredential, unauthenticated } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'

export const keyPrefix = 'qb_live_'

export async function authenticate(app: App, credential: PresentedCredential): Promise<Caller | null> {
  const caller = await callerOfCredential(app, credential, keyPrefix)
  if (caller || !credential.text.startsWith(keyPrefix)) return caller
  const ended = await endedKey(app, credential.text)
  throw ended ? unauthenticated(ended.reason, ended.id) : unauthenticated('unknown')
}
