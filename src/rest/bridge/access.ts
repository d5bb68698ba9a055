/** Authentication with a key of the bridge, or as a person for the rows that manage keys. The contract says why a key is refused. */
import { callerOfCredential, endOfKey } from '../../domain/access/api-key/index.ts'
import type { Caller } from '../../platform/access.ts'
import { type PresentedCredential, unauthenticated } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'

export const keyPrefix = 'qb_live_'

export async function authenticate(app: App, credential: PresentedCredential): Promise<Caller | null> {
  const caller = await callerOfCredential(app, credential, keyPrefix)
  if (caller || !credential.text.startsWith(keyPrefix)) return caller
  const end = await endOfKey(app, credential.text)
  throw end ? unauthenticated(end.reason, end.id) : unauthenticated('unknown')
}
