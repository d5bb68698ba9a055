import { z } from 'zod'
import type { EnvironmentType, Project, Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type EventDefinition, publishAll } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { scopeSchema } from '../../apps/project/index.ts'
import {
  envVarErrors,
  isShort,
  keySchema,
  maxBulk,
  maxEntries,
  modeSchema,
  uniqueBy,
  valueSchema,
  writeWarnings,
} from '../env-var/index.ts'
import { secretErrors } from './errors.ts'
import { secretCreated, secretDeleted, secretUpdated } from './events.ts'
import { nameOfSecret, versionIdentity } from './model.ts'
import { currentFacts, servicesBoundTo } from './queries.ts'

const entrySchema = z.object({ key: keySchema, scope: scopeSchema.nullish(), value: valueSchema, isSecret: z.boolean().nullish() })
type Entry = z.infer<typeof entrySchema>

const scopeOf = (entry: { scope?: EnvironmentType | null | undefined }): EnvironmentType => entry.scope ?? 'PRODUCTION'

const nameOf = (entry: Pick<Entry, 'key' | 'scope'>) => nameOfSecret({ key: entry.key, scope: scopeOf(entry) })

/** The project, locked, so that its secrets are written by one at a time. */
const lockProject = (work: Work, ids: Record<string, string>) =>
  row<Project>(
    work.tx,
    sql`select p.* from project p where p.id = ${ids.projectId}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null for update`,
  )

export const createSecret = defineCommand({
  name: 'createSecret',
  description: 'Creates a project secret at one scope. Fails with `key_taken` if the project already has this key at this scope.',
  permission: 'manage:secrets',
  ids: { projectId: 'Project' },
  targetType: 'Project',
  target: lockProject,
  input: entrySchema,
  emits: [secretCreated],
  async run(work, entry, project: Project) {
    const scope = scopeOf(entry)
    const taken = await row(
      work.tx,
      sql`select 1 as taken from secret where project_id = ${project.id}::uuid and key = ${entry.key} and scope = ${scope}::environment_type`,
    )
    if (taken) {
      throw envVarErrors.key_taken({
        field: 'key',
        text: `The project already has ${nameOfSecret({ key: entry.key, scope })}.`,
        details: { key: entry.key, scope },
      })
    }
    const secret = (await insertAll(work, project, [entry]))[0]!
    await demandRoom(work, project.id, 'key')
    return { secret, warnings: warningsOf(entry, secret) }
  },
  audited: (entry, { secret }) => ({ secretId: secret.id, key: entry.key, scope: scopeOf(entry) }),
})

const warningsOf = (entry: { value: string }, secret: Secret) =>
  writeWarnings(secret.key, { isSecret: secret.isSecret, isShort: isShort(entry.value) })

async function demandRoom(work: Work, projectId: string, field: string): Promise<void> {
  const { n } = (await row<{ n: number }>(work.tx, sql`select count(*)::int as n from secret where project_id = ${projectId}::uuid`))!
  if (n > maxEntries) throw errors.invalid_input({ field, text: `${field}: a project can have at most ${maxEntries} secrets` })
}

/** Adds secrets that the project doesn't have yet; gives them in order. */
async function insertAll(work: Work, project: Project, entries: readonly Entry[]): Promise<Secret[]> {
  if (entries.length === 0) return []
  const ids = entries.map(() => newId())
  const found = await rows<Secret>(
    work.tx,
    sql`insert into secret (id, organization_id, project_id, key, scope, is_secret, current_version)
        select n.id, ${project.organizationId}::uuid, ${project.id}::uuid, n.key, n.scope, n.is_secret, 1
        from unnest(${ids}::uuid[], ${entries.map(({ key }) => key)}::text[], ${entries.map(scopeOf)}::environment_type[],
          ${entries.map(({ isSecret }) => isSecret ?? true)}::bool[]) as n(id, key, scope, is_secret) returning *`,
  )
  const byId = new Map(found.map((secret) => [secret.id, secret]))
  const secrets = ids.map((id) => byId.get(id)!)
  await addVersions(
    work,
    secrets.map((secret, index) => ({ secret, value: entries[index]!.value })),
  )
  await announceAll(work, secretCreated, secrets, {})
  return secrets
}

/** Stores the values that are the present versions of their secrets, all of one organization, from now on. */
async function addVersions(work: Work, written: readonly { secret: Secret; value: string; fingerprint?: string }[]): Promise<void> {
  if (written.length === 0) return
  const { keyring } = work.app
  const { organizationId } = written[0]!.secret
  const values = written.map(({ value }) => value)
  const ids = written.map(() => newId())
  const sealed = await keyring.sealAll(
    work.tx,
    organizationId,
    values.map((plain, index) => ({ identity: versionIdentity(ids[index]!), plain })),
  )
  const fingerprints = await keyring.fingerprintAll(work.tx, organizationId, values)
  await run(
    work.tx,
    sql`insert into secret_version (id, organization_id, secret_id, version, value, fingerprint, is_short, created_by)
        select n.id, ${organizationId}::uuid, n.secret_id, n.version, decode(n.value, 'base64'), n.fingerprint, n.is_short, ${work.caller.subject.name}
        from unnest(${ids}::uuid[], ${written.map(({ secret }) => secret.id)}::uuid[], ${written.map(({ secret }) => secret.currentVersion)}::int[],
          ${sealed.map((bytes) => Buffer.from(bytes).toString('base64'))}::text[], ${fingerprints}::text[], ${values.map(isShort)}::bool[])
          as n(id, secret_id, version, value, fingerprint, is_short)`,
  )
}

type Change = { known: Secret; value?: string | undefined; isSecret?: boolean | null | undefined }

/**
 * Writes what differs, for secrets of one organization. An equal value makes no version, unless the present one was revoked. Gives
 * those in which something differs, by id.
 */
async function changeAll(work: Work, given: readonly Change[]): Promise<Map<string, Secret>> {
  if (given.length === 0) return new Map()
  const current = await currentFacts(
    work.tx,
    given.map(({ known }) => known.id),
  )
  const { organizationId } = given[0]!.known
  const fingerprints = await work.app.keyring.fingerprintAll(
    work.tx,
    organizationId,
    given.map(({ value }) => value ?? ''),
  )
  const changes = given
    .map(({ known, value, isSecret }, index) => {
      const { isRevoked, fingerprint } = current.get(known.id)!
      const isNew = value !== undefined && (isRevoked || fingerprints[index] !== fingerprint)
      return { known, value: isNew ? value : undefined, isSecret: isSecret ?? known.isSecret }
    })
    .filter(({ known, value, isSecret }) => value !== undefined || isSecret !== known.isSecret)
  if (changes.length === 0) return new Map()
  const found = await rows<Secret>(
    work.tx,
    sql`update secret s set current_version = s.current_version + n.step, is_secret = n.is_secret, version = s.version + 1
        from unnest(${changes.map(({ known }) => known.id)}::uuid[], ${changes.map(({ value }) => (value === undefined ? 0 : 1))}::int[],
          ${changes.map(({ isSecret }) => isSecret)}::bool[]) as n(id, step, is_secret)
        where s.id = n.id returning s.*`,
  )
  const changed = new Map(found.map((secret) => [secret.id, secret]))
  await addVersions(
    work,
    changes.flatMap(({ known, value }) => (value === undefined ? [] : [{ secret: changed.get(known.id)!, value }])),
  )
  await announceAll(
    work,
    secretUpdated,
    changes.map(({ known }) => changed.get(known.id)!),
    { revokedVersion: null },
  )
  return changed
}

/** The secret and its project, locked in the order that every writer takes. */
export async function lockSecret(work: Work, id: string | undefined, projectId?: string): Promise<Secret | null> {
  const condition = sql`s.id = ${id}::uuid and ${visible(work.caller, sql`s`)} ${projectId ? sql`and s.project_id = ${projectId}::uuid` : sql``}`
  await row(work.tx, sql`select 1 as locked from project where id = (select s.project_id from secret s where ${condition}) for update`)
  return row<Secret>(work.tx, sql`select s.* from secret s where ${condition} for update`)
}

export const ids = { id: 'Secret', projectId: 'Project' } as const

export const updateSecret = defineCommand({
  name: 'updateSecret',
  description:
    'Updates a secret. A new value creates a new version; an equal value creates none. Running instances keep the old value until the next deployment.',
  permission: 'manage:secrets',
  ids,
  targetType: 'Secret',
  target: (work, { id, projectId }) => lockSecret(work, id, projectId),
  input: z.object({ value: valueSchema, isSecret: z.boolean().nullish() }),
  emits: [secretUpdated],
  async run(work, input, target: Secret) {
    const changed = (await changeAll(work, [{ known: target, ...input }])).get(target.id)
    return { secret: changed ?? target, warnings: changed ? warningsOf(input, changed) : [] }
  },
  audited: (_input, { secret }) => ({ key: secret.key, scope: secret.scope, version: secret.currentVersion }),
})

export const setSecrets = defineCommand({
  name: 'setSecrets',
  description:
    'Creates or updates secrets of a project by key and scope. Either all of them are written or none. `mode` determines what happens to the other secrets; `REPLACE` fails with `secret_bound` if one of them is bound to a service.',
  permission: 'manage:secrets',
  ids: { projectId: 'Project' },
  targetType: 'Project',
  target: lockProject,
  input: z.object({
    secrets: z
      .array(entrySchema)
      .max(maxBulk, { error: `must have at most ${maxBulk} items` })
      .superRefine(uniqueBy('key', nameOf)),
    mode: modeSchema,
  }),
  emits: [secretCreated, secretUpdated, secretDeleted],
  async run(work, { secrets: entries, mode }, project: Project) {
    const all = () => rows<Secret>(work.tx, sql`select * from secret where project_id = ${project.id}::uuid order by id for update`)
    const stored = new Map((await all()).map((secret) => [nameOfSecret(secret), secret]))
    const knownOf = (entry: Entry) => stored.get(nameOf(entry))
    const created = await insertAll(
      work,
      project,
      entries.filter((entry) => !knownOf(entry)),
    )
    const changed = await changeAll(
      work,
      entries.flatMap(({ value, isSecret, ...entry }) => {
        const known = stored.get(nameOf(entry))
        return known ? [{ known, value, isSecret }] : []
      }),
    )
    const written = new Map([...created, ...changed.values()].map((secret) => [nameOfSecret(secret), secret]))
    const warnings = entries.flatMap((entry) => {
      const secret = written.get(nameOf(entry))
      return secret ? warningsOf(entry, secret) : []
    })
    if (mode === 'REPLACE') {
      const named = new Set(entries.map(nameOf))
      const others = [...stored].filter(([name]) => !named.has(name)).map(([, secret]) => secret)
      if (others.length > 0) demand(work.caller, 'delete:secrets')
      await removeAll(work, others, false, 'secrets')
    }
    await demandRoom(work, project.id, 'secrets')
    return { secrets: await all(), warnings }
  },
  audited: (input) => ({
    secrets: input.secrets.map(nameOf),
    mode: input.mode ?? 'MERGE',
  }),
})

export const revokeSecretVersion = defineCommand({
  name: 'revokeSecretVersion',
  description:
    'Revokes a version of a secret permanently. While the newest version is revoked, the secret counts as missing. Running instances keep the value until the next deployment. Revoking a revoked version returns the secret unchanged.',
  permission: 'manage:secrets',
  ids: { secretId: 'Secret' },
  targetType: 'Secret',
  target: (work, { secretId }) => lockSecret(work, secretId),
  input: z.object({ version: z.number().int() }),
  emits: [secretUpdated],
  async run(work, { version }, target: Secret) {
    const found = await row<SecretVersion>(
      work.tx,
      sql`select * from secret_version where secret_id = ${target.id}::uuid and version = ${version}`,
    )
    if (!found) throw errors.not_found({ field: 'version' })
    if (found.revokedAt) return { secret: target }
    await run(work.tx, sql`update secret_version set revoked_at = app_now() where id = ${found.id}::uuid`)
    const secret = (await row<Secret>(work.tx, sql`update secret set version = version + 1 where id = ${target.id}::uuid returning *`))!
    await announce(work, secretUpdated, secret, { revokedVersion: version })
    return { secret }
  },
  audited: ({ version }, { secret }) => ({ key: secret.key, scope: secret.scope, version }),
})

export const deleteSecret = defineCommand({
  name: 'deleteSecret',
  description:
    'Deletes a secret with all its versions. Fails with `secret_bound` if the secret is bound to a service, unless `force` is true.',
  permission: 'delete:secrets',
  ids,
  targetType: 'Secret',
  target: (work, { id, projectId }) => lockSecret(work, id, projectId),
  input: z.object({ force: z.boolean().nullish() }),
  emits: [secretDeleted],
  async run(work, { force }, target: Secret) {
    await removeAll(work, [target], force ?? false, 'id')
    return { deletedId: target.id, key: target.key, scope: target.scope }
  },
  audited: ({ force }, { key, scope }) => ({ key, scope, force: force ?? false }),
})

/** Throws `secret_bound` for the first that is. */
async function removeAll(work: Work, secrets: readonly Secret[], force: boolean, field: string): Promise<void> {
  if (secrets.length === 0) return
  const ids = secrets.map(({ id }) => id)
  const bound = force ? new Map<string, never[]>() : await servicesBoundTo(work.tx, ids)
  for (const secret of secrets) {
    const services = bound.get(secret.id)
    if (!services) continue
    throw secretErrors.secret_bound({
      field,
      text: `${nameOfSecret(secret)} is bound to ${services.map(({ name }) => name).join(', ')}. Unbind it first, or set force to true.`,
      details: { services: services.map(({ id, name }) => ({ id: encodeId('WebService', id), name })) },
    })
  }
  // Their bindings go with them by reaction, before the rows themselves.
  await announceAll(work, secretDeleted, secrets, {})
  await run(work.tx, sql`delete from secret where id = any(${ids}::uuid[])`)
}

/** Deletes all secrets of a project that goes with its content. */
export async function removeOfProject(work: Work, projectId: string): Promise<void> {
  await removeAll(
    work,
    await rows<Secret>(work.tx, sql`select * from secret where project_id = ${projectId}::uuid order by id for update`),
    true,
    'id',
  )
}

/** Publishes an event of a secret. */
export const announce = <Data extends object>(work: Work, event: EventDefinition<Data>, secret: Secret, more: object) =>
  announceAll(work, event, [secret], more)

/** Publishes an event of each of some secrets. */
const announceAll = <Data extends object>(work: Work, event: EventDefinition<Data>, secrets: readonly Secret[], more: object) =>
  publishAll(
    work,
    event,
    secrets.map((secret) => ({
      subjectId: secret.id,
      projectId: secret.projectId,
      data: {
        secretId: encodeId('Secret', secret.id),
        projectId: encodeId('Project', secret.projectId),
        key: secret.key,
        scope: secret.scope,
        currentVersion: secret.currentVersion,
        ...more,
      } as unknown as Data,
    })),
  )
