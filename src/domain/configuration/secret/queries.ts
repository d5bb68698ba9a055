import { z } from 'zod'
import type { SecretVersion } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { defineListing } from '../../../platform/listing.ts'
import { sliceInput } from '../../../platform/page.ts'
import { scopeSchema } from '../../apps/project/index.ts'
import { versionIdentity } from './model.ts'

export const secretListing = defineListing({
  type: 'Secret',
  noun: 'secret',
  permission: 'view:secrets',
  order: 'oldest_first',
  nameColumn: 'key',
  audited: ['key', 'scope', 'isSecret', 'currentVersion', 'projectId'],
  filter: { projectId: z.string().nullish(), scope: scopeSchema.nullish() },
  ids: { projectId: 'Project' },
  parents: ['projectId'],
  where: ({ scope }) => (scope ? [sql`t.scope = ${scope}::environment_type`] : []),
})

export const findSecret = defineQuery({
  name: 'secret',
  description: 'Secret with the given ID, optionally only if it belongs to the given project. Null if it does not exist.',
  permission: 'view:secrets',
  ids: { id: 'Secret', projectId: 'Project' },
  input: z.object({ id: z.string(), projectId: z.string().nullish() }),
  run: (read, { id, projectId }) =>
    secretListing.findOne(read, sql`t.id = ${id}::uuid ${projectId ? sql`and t.project_id = ${projectId}::uuid` : sql``}`),
})

export const sliceSecrets = defineQuery({
  name: 'secretSlice',
  description: 'Secrets of a project by offset, with their total number. Fails with `not_found` if the project does not exist.',
  permission: 'view:secrets',
  ids: { projectId: 'Project' },
  input: z.object({ projectId: z.string(), scope: scopeSchema.nullish(), ...sliceInput }),
  async run(read, { projectId, scope, ...slice }) {
    const project = await row(
      read.tx,
      sql`select 1 as found from project p where p.id = ${projectId}::uuid and ${visible(read.caller, sql`p`, sql`id`)}`,
    )
    if (!project) throw errors.not_found({ field: 'projectId' })
    return secretListing.slice(read, { projectId, scope }, slice)
  },
})

export const plainSecretValues = defineQuery({
  name: 'plainSecretValues',
  description: 'Newest values of secrets, by ID. Secrets whose value is secret, and secrets not visible to the caller, are omitted.',
  permission: 'view:secrets',
  ids: { 'ids.*': 'Secret' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ app, tx, caller }, { ids }): Promise<Map<string, string>> {
    const found = await rows<SecretVersion>(
      tx,
      sql`select v.* from secret t join secret_version v on v.secret_id = t.id and v.version = t.current_version
          where t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)} and not t.is_secret`,
    )
    const values = new Map<string, string>()
    // One at a time: the first call reads the organization's key for the others.
    for (const { id, secretId, organizationId, value } of found) {
      values.set(secretId, await app.keyring.open(tx, organizationId, versionIdentity(id), value))
    }
    return values
  },
})

export type VersionFacts = Omit<SecretVersion, 'value'>

/** Versions of many secrets in one statement, newest first, without their values. */
export async function versionsBySecret(tx: Tx, secretIds: readonly string[]): Promise<VersionFacts[][]> {
  const found = await rows<VersionFacts>(
    tx,
    sql`select id, organization_id, secret_id, version, fingerprint, is_short, created_by, created_at, revoked_at from secret_version
        where secret_id = any(${secretIds}::uuid[]) order by version desc`,
  )
  const bySecret = Map.groupBy(found, (version) => version.secretId)
  return secretIds.map((id) => bySecret.get(id) ?? [])
}

/** The newest version of many secrets in one statement. */
export async function currentBySecret(tx: Tx, secretIds: readonly string[]): Promise<SecretVersion[]> {
  const found = await rows<SecretVersion>(
    tx,
    sql`select v.* from secret s join secret_version v on v.secret_id = s.id and v.version = s.current_version where s.id = any(${secretIds}::uuid[])`,
  )
  const bySecret = new Map(found.map((version) => [version.secretId, version]))
  return secretIds.map((id) => bySecret.get(id)!)
}

/** The number of bytes that `currentBySecret` reads. */
export const currentBytes = (secretIds: readonly string[]): Sql =>
  sql`select sum(octet_length(v.value))::float8 as bytes from secret s join secret_version v on v.secret_id = s.id and v.version = s.current_version
      where s.id = any(${secretIds}::uuid[])`

/** What determines whether a value creates a new version, by secret. */
export async function currentFacts(
  tx: Tx,
  secretIds: readonly string[],
): Promise<Map<string, { fingerprint: string; isRevoked: boolean }>> {
  const found = await rows<{ id: string; fingerprint: string; isRevoked: boolean }>(
    tx,
    sql`select s.id, v.fingerprint, v.revoked_at is not null as is_revoked
        from secret s join secret_version v on v.secret_id = s.id and v.version = s.current_version where s.id = any(${secretIds}::uuid[])`,
  )
  return new Map(found.map((version) => [version.id, version]))
}
