/** SSH keys as deploy keys: who may choose one for a service, and what a deployment gets. */
import type { SshKey } from '../../../generated/prisma/client.ts'
import { demandPerson } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { App, Work } from '../../../platform/work.ts'
import { sshKeyErrors } from './errors.ts'
import { privateKeyFile } from './key-text.ts'
import { keyOwner, privateKeyIdentity } from './model.ts'

/**
 * Demands that a key can be used for deployments and belongs to the caller: it opens every repository that its owner gave it access to, so
 * nobody else may choose it. Throws `forbidden`, `not_found` or `no_private_key`.
 */
export async function demandDeployKey({ tx, caller }: Work, id: string): Promise<void> {
  const userId = demandPerson(caller)
  const key = await row<{ usable: boolean }>(
    tx,
    sql`select private_key is not null as usable from ssh_key where id = ${id}::uuid and user_id = ${userId}::uuid for key share`,
  )
  if (!key) throw errors.not_found({ field: 'sshKeyId' })
  if (!key.usable) throw sshKeyErrors.no_private_key({ field: 'sshKeyId' })
}

const usedEveryMs = 60_000

/**
 * The private key, in OpenSSH's format, for a deployment in an organization, and notes the use. Null if its owner is no longer a member there.
 */
export async function openDeployKey(app: App, organizationId: string, id: string): Promise<string | null> {
  const key = await row<Pick<SshKey, 'publicKey' | 'privateKey'>>(
    app.db,
    sql`select k.public_key, k.private_key from ssh_key k join member m on m.user_id = k.user_id and m.organization_id = ${organizationId}::uuid
        where k.id = ${id}::uuid`,
  )
  if (!key?.privateKey) return null
  await run(
    app.db,
    sql`update ssh_key set last_used_at = app_now() where id = ${id}::uuid
        and coalesce(last_used_at < app_now() - ${usedEveryMs} * interval '1 millisecond', true)`,
  )
  return privateKeyFile(key, await app.keyring.open(app.db, keyOwner, privateKeyIdentity(id), key.privateKey))
}
