import type { WebService } from '../../../generated/prisma/client.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'

export const credentialIdentity = (id: string) => `web_service:${id}:repository_credential`

export type RepositoryCredential = { username: string; password: string }

/** Decrypts the credential that was removed from the repository's URL. Null if there is none. */
export async function repositoryCredential(app: App, tx: Tx, service: WebService): Promise<RepositoryCredential | null> {
  if (!service.repositoryCredential) return null
  return JSON.parse(await app.keyring.open(tx, service.organizationId, credentialIdentity(service.id), service.repositoryCredential))
}

/** Host name at which the router serves a service. Not for workers, which are not served. */
export const hostOf = (service: Pick<WebService, 'slug'>, domain: string): string => `${service.slug}.${domain}`
