import { z } from 'zod'
import type { EnvironmentType, Project, Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type EventDefinition, publish } from '../../../platform/events.ts'
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
import { currentBySecret, servicesBoundTo } from './queries.ts'

const entrySchema = z.object({ key: keySchema, scope: scopeSchema.nullish(), value: valueSchema, isSecret: z.boolean().nullish() })
type Entry = z.infer<typeof entrySchema>

const scopeOf = (entry: { scope?: EnvironmentType | null | undefined }): EnvironmentType => entry.scope ?? 'PRODUCTION'

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
        text: `The project has ${nameOfSecret({ key: entry.key, scope })} already.`,
        details: { key: entry.key, scope },
      })
    }
    const secret = await insert(work, project, entry)
    await demandRoom(work, project.id, 'key')
    return { secret, warnings: warningsOf(entry, secret) }
  },
  audited: (entry, { secret }) => ({ secretId: secret.id, key: entry.key, scope: scopeOf(entry) }),
})

const warningsOf = (entry: { value: string }, secret: Secret) =>
  writeWarnings(secret.key, { isSecret: secret.isSecret, isShort: isShort(entry.value) })

async function demandRoom(work: Work, projectId: string, field: string): Promise<void> {
  const { n } = (await row<{ n: number }>(work.tx, sql`select count(*)::int as n from secret where project_id = ${projectId}::uuid`))!
  if (n > maxEntries) throw errors.invalid_input({ field, text: `${field}: a project has at most ${maxEntries} secrets` })
}

async function insert(work: Work, project: Project, entry: Entry): Promise<Secret> {
  const id = newId()
  const secret = (await row<Secret>(
    work.tx,
    sql`insert into secret (id, organization_id, project_id, key, scope, is_secret, current_version)
        values (${id}::uuid, ${project.organizationId}::uuid, ${project.id}::uuid, ${entry.key}, ${scopeOf(entry)}::environment_type,
          ${entry.isSecret ?? true}, 1) returning *`,
  ))!
  await addVersion(work, secret, entry.value)
  await announce(work, secretCreated, secret, {})
  return secret
}

async function addVersion(work: Work, secret: Secret, value: string): Promise<void> {
  const { keyring } = work.app
  const id = newId()
  const sealed = await keyring.seal(work.tx, secret.organizationId, versionIdentity(id), value)
  const fingerprint = await keyring.fingerprint(work.tx, secret.organizationId, value)
  await run(
    work.tx,
    sql`insert into secret_version (id, organization_id, secret_id, version, value, fingerprint, is_short, created_by)
        values (${id}::uuid, ${secret.organizationId}::uuid, ${secret.id}::uuid, ${secret.currentVersion}, ${sealed}, ${fingerprint},
          ${isShort(value)}, ${work.caller.subject.name})`,
  )
}

/** Writes what differs. An equal value makes no version, unless the present one was revoked. Null when nothing differs. */
async function change(
  work: Work,
  known: Secret,
  given: { value?: string | undefined; isSecret?: boolean | null | undefined },
): Promise<Secret | null> {
  const [current] = await currentBySecret(work.tx, [known.id])
  const isSecret = given.isSecret ?? known.isSecret
  const isNewValue =
    given.value !== undefined &&
    (current!.revokedAt !== null ||
      (await work.app.keyring.fingerprint(work.tx, known.organizationId, given.value)) !== current!.fingerprint)
  if (!isNewValue && isSecret === known.isSecret) return null
  const secret = (await row<Secret>(
    work.tx,
    sql`update secret set current_version = current_version + ${isNewValue ? 1 : 0}, is_secret = ${isSecret}, version = version + 1
        where id = ${known.id}::uuid returning *`,
  ))!
  if (isNewValue) await addVersion(work, secret, given.value!)
  await announce(work, secretUpdated, secret, { revokedVersion: null })
  return secret
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
    const changed = await change(work, target, input)
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
      .max(maxBulk, { error: `at most ${maxBulk} at once` })
      .superRefine(uniqueBy('key', (entry) => nameOfSecret({ key: entry.key, scope: scopeOf(entry) }))),
    mode: modeSchema,
  }),
  emits: [secretCreated, secretUpdated, secretDeleted],
  async run(work, { secrets: entries, mode }, project: Project) {
    const all = () => rows<Secret>(work.tx, sql`select * from secret where project_id = ${project.id}::uuid order by id for update`)
    const stored = new Map((await all()).map((secret) => [nameOfSecret(secret), secret]))
    const warnings: string[] = []
    for (const entry of entries) {
      const known = stored.get(nameOfSecret({ key: entry.key, scope: scopeOf(entry) }))
      const written = known ? await change(work, known, entry) : await insert(work, project, entry)
      if (written) warnings.push(...warningsOf(entry, written))
    }
    if (mode === 'REPLACE') {
      const named = new Set(entries.map((entry) => nameOfSecret({ key: entry.key, scope: scopeOf(entry) })))
      const others = [...stored].filter(([name]) => !named.has(name)).map(([, secret]) => secret)
      if (others.length > 0) demand(work.caller, 'delete:secrets')
      for (const secret of others) await remove(work, secret, false, 'secrets')
    }
    await demandRoom(work, project.id, 'secrets')
    return { secrets: await all(), warnings }
  },
  audited: (input) => ({
    secrets: input.secrets.map((entry) => nameOfSecret({ key: entry.key, scope: scopeOf(entry) })),
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
    await remove(work, target, force ?? false, 'id')
    return { deletedId: target.id, key: target.key, scope: target.scope }
  },
  audited: ({ force }, { key, scope }) => ({ key, scope, force: force ?? false }),
})

/** Throws `secret_bound`. */
async function remove(work: Work, secret: Secret, force: boolean, field: string): Promise<void> {
  const bound = await servicesBoundTo(work.tx, secret.id)
  if (bound.length > 0 && !force) {
    throw secretErrors.secret_bound({
      field,
      text: `${nameOfSecret(secret)} is bound to ${bound.map(({ name }) => name).join(', ')}. Unbind it first, or pass force.`,
      details: { services: bound.map(({ id, name }) => ({ id: encodeId('WebService', id), name })) },
    })
  }
  // Its bindings go with it by reaction, before the row itself.
  await announce(work, secretDeleted, secret, {})
  await run(work.tx, sql`delete from secret where id = ${secret.id}::uuid`)
}

/** Deletes all secrets of a project that goes with its content. */
export async function removeAll(work: Work, projectId: string): Promise<void> {
  const found = await rows<Secret>(work.tx, sql`select * from secret where project_id = ${projectId}::uuid order by id for update`)
  for (const secret of found) await remove(work, secret, true, 'id')
}

/** Publishes an event of a secret. */
export const announce = <Data extends object>(work: Work, event: EventDefinition<Data>, secret: Secret, more: object) =>
  publish(work, event, {
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
  })
