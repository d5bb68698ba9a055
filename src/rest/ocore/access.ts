/** Authentication with an `ocore_k_` key, or as a person, who names the organization by its slug in `X-Org-Slug`. */
import { callerOfCredential } from '../../domain/access/api-key/index.ts'
import { isExpiredToken } from '../../domain/access/session/index.ts'
import type { Caller } from '../../platform/access.ts'
import { type PresentedCredential, unauthenticated } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'
import { contractErrors } from './error.ts'

export const keyPrefix = 'ocore_k_'

export async function authenticate(app: App, credential: PresentedCredential): Promise<Caller | null> {
  const caller = await callerOfCredential(app, credential, keyPrefix)
  if (!caller && isExpiredToken(app, credential.text)) throw unauthenticated('expired')
  return caller
}

export function demandOrganization({ sessionId }: Caller, { organization }: PresentedCredential): void {
  if (sessionId !== null && organization === null) throw contractErrors.missing_organization()
}
