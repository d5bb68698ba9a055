/** The repository of a service with what opens it: a credential that was in its URL, or an SSH key. */
import { isDeepStrictEqual } from 'node:util'
import type { WebService } from '../../../generated/prisma/client.ts'
import { errors } from '../../../platform/errors.ts'
import { parseRepositoryUrl, splitRepositoryUrl } from '../../../platform/repository-url.ts'
import type { Work } from '../../../platform/work.ts'
import { demandDeployKey } from '../../access/ssh-key/index.ts'
import { credentialIdentity, repositoryCredential } from './model.ts'

export type RepositoryColumns = {
  repositoryUrl: string | null
  repositoryCredential: Uint8Array<ArrayBuffer> | null
  sshKeyId: string | null
}

type RepositoryInput = { repositoryUrl?: string | null | undefined; sshKeyId?: string | null | undefined }

/** The columns of a service that are to be stored. A new URL has no credential and no key but those that are given with it. */
export async function repositoryColumns(work: Work, id: string, input: RepositoryInput, current?: WebService): Promise<RepositoryColumns> {
  const { isKept, ...repository } = await locationOf(work, id, input.repositoryUrl, current)
  const former = isKept && current ? current.sshKeyId : null
  const sshKeyId = input.sshKeyId === undefined ? former : input.sshKeyId
  if (sshKeyId !== null && sshKeyId !== former) {
    await demandDeployKey(work, sshKeyId)
    const address = repository.repositoryUrl === null ? null : parseRepositoryUrl(repository.repositoryUrl)
    if (address === null || 'reason' in address || address.transport !== 'ssh')
      throw errors.invalid_input({
        field: 'sshKeyId',
        text: 'sshKeyId: requires a repositoryUrl such as git@host:path or ssh://git@host/path',
      })
  }
  return { ...repository, sshKeyId }
}

type Location = Omit<RepositoryColumns, 'sshKeyId'> & { isKept: boolean }

/** Removes `user:token@` from the URL and seals it. */
async function locationOf(work: Work, id: string, url: string | null | undefined, current?: WebService): Promise<Location> {
  if (url === undefined && current) {
    const { repositoryUrl, repositoryCredential } = current
    return { isKept: true, repositoryUrl, repositoryCredential: repositoryCredential as RepositoryColumns['repositoryCredential'] }
  }
  if (!url) return { isKept: false, repositoryUrl: null, repositoryCredential: null }
  const split = splitRepositoryUrl(url)
  // The URL as the API returns it, or with the stored credential in it, leaves the credential as it is.
  if (current && split.url === current.repositoryUrl) {
    const stored = await repositoryCredential(work.app, work.tx, current)
    if (!split.credential || isDeepStrictEqual(split.credential, stored)) return locationOf(work, id, undefined, current)
  }
  const sealed = split.credential
    ? await work.app.keyring.seal(work.tx, work.caller.organizationId, credentialIdentity(id), JSON.stringify(split.credential))
    : null
  return { isKept: false, repositoryUrl: split.url, repositoryCredential: sealed }
}
