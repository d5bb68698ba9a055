/** Authentication with an `ak_live_` key. Its scopes read, write and admin are the domain's READ, WRITE and ADMIN. */
import type { IncomingHttpHeaders } from 'node:http'
import { callerOfKey } from '../../domain/access/api-key/index.ts'
import { type Authenticated, credentialOfHeaders } from '../../platform/credential.ts'
import type { App } from '../../platform/work.ts'

export const keyPrefix = 'ak_live_'

export function authenticate(app: App, headers: IncomingHttpHeaders): Authenticated {
  const credential = credentialOfHeaders(headers)
  return credential === null ? null : callerOfKey(app, credential, keyPrefix)
}
