import { z } from 'zod'
import type { Project, Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineCommand, demand } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import {
  isTooShortToRedact,
  lockProject,
  lockUnder,
  maxEntries,
  modeSchema,
  valueSchema,
  variableErrors,
  writeWarnings,
} from '../variable/index.ts'
import { eventOf, secretCreated, secretDeleted, secretUpdated } from './events.ts'
import { bulkSchema, type Entry, entrySchema, nameOfEntry, nameOfSecret, scopeOf } from './model.ts'
import { removeSecrets, removeUnboundSecrets } from './remove.ts'
import { insertSecrets, updateSecrets } from './store.ts'

export const createSecret = defineCommand({
  name: 'createSecret',
  description: 'Creates a project secret at one scope. Fails with `key_taken` if the project already has this key at this scope.',
  permission: 'manage:secrets',
  ids: { projectId: 'Project' },
  targetType: 'Project',
  creates: 'Secret',
  target: lockProject,
  input: entrySchema,
  emits: [secretCreated],
  async run(work, entry, project: Project) {
    const { key } = entry
    const scope = scopeOf(entry)
    const taken = await row(
      work.tx,
      sql`select 1 as taken from secret where project_id = ${project.id}::uuid and key = ${key} and scope = ${scope}::environment_type`,
    )
    if (taken) {
      const text = `The project already has ${nameOfSecret({ key, scope })}.`
      throw variableErrors.key_taken({ field: 'key', text, details: { key, scope } })
    }
    const secret = (await insertSecrets(work, project, [entry]))[0]!
    await demandRoom(work, project.id, 'key')
    return { secret, warnings: warningsOf(entry, secret), ...(await fingerprints(work, [entry])) }
  },
  audited: (_entry, { fingerprints }) => ({ fingerprints }),
})

const warningsOf = ({ value }: { value: string }, { key, isSecret }: Secret) =>
  writeWarnings(key, { isSecret, isShort: isTooShortToRedact(value) })

async function demandRoom(work: Work, projectId: string, field: string): Promise<void> {
  const { n } = (await row<{ n: number }>(work.tx, sql`select count(*)::int as n from secret where project_id = ${projectId}::uuid`))!
  if (n > maxEntries) throw errors.invalid_input({ field, text: `${field}: a project can have at most ${maxEntries} secrets` })
}

export const lockSecret = lockUnder<Secret>('project', 'secret')

/** `projectId` is given by paths that name the project before the secret. */
export const secretIds = { id: 'Secret', projectId: 'Project' } as const

export const updateSecret = defineCommand({
  name: 'updateSecret',
  description:
    'Updates a secret. A new value creates a new version; an equal value creates none. Running instances keep the old value until the next deployment.',
  permission: 'manage:secrets',
  ids: secretIds,
  targetType: 'Secret',
  target: lockSecret,
  input: z.object({ value: valueSchema, isSecret: z.boolean().nullish() }),
  emits: [secretUpdated],
  async run(work, input, target: Secret) {
    const changed = (await updateSecrets(work, [{ known: target, ...input }])).get(target.id)
    const warnings = changed ? warningsOf(input, changed) : []
    return { secret: changed ?? target, warnings, ...(await fingerprints(work, [{ ...input, key: target.key, scope: target.scope }])) }
  },
  audited: (_input, { fingerprints }) => ({ fingerprints }),
})

export const setSecrets = defineCommand({
  name: 'setSecrets',
  description:
    'Creates or updates secrets of a project by key and scope. Either all of them are written or none. `mode` determines what happens to the other secrets; `REPLACE` fails with `secret_bound` if one of them is bound to a service.',
  permission: 'manage:secrets',
  ids: { projectId: 'Project' },
  targetType: 'Project',
  target: lockProject,
  input: z.object({ secrets: bulkSchema, mode: modeSchema }),
  emits: [secretCreated, secretUpdated, secretDeleted],
  async run(work, { secrets: entries, mode }, project: Project) {
    const all = () => rows<Secret>(work.tx, sql`select * from secret where project_id = ${project.id}::uuid order by id for update`)
    const stored = new Map((await all()).map((secret) => [nameOfSecret(secret), secret]))
    const written = await writeByName(work, project, entries, stored)
    const warnings = entries.flatMap((entry) => {
      const secret = written.get(nameOfEntry(entry))
      return secret ? warningsOf(entry, secret) : []
    })
    if (mode === 'REPLACE') {
      const named = new Set(entries.map(nameOfEntry))
      const others = [...stored].filter(([name]) => !named.has(name)).map(([, secret]) => secret)
      if (others.length > 0) demand(work.caller, 'delete:secrets')
      await removeUnboundSecrets(work, others, 'secrets')
    }
    await demandRoom(work, project.id, 'secrets')
    return { secrets: await all(), warnings, ...(await fingerprints(work, entries)) }
  },
  audited: ({ mode }, { fingerprints }) => ({ fingerprints, mode: mode ?? 'MERGE' }),
})

/** Fingerprints of written values by the names of their secrets, for audit entries. */
async function fingerprints({ app, tx, caller }: Work, entries: readonly Entry[]): Promise<{ fingerprints: Record<string, string> }> {
  const values = entries.map(({ value }) => value)
  const all = await app.keyring.fingerprintAll(tx, caller.organizationId, values)
  return { fingerprints: Object.fromEntries(entries.map((entry, index) => [nameOfEntry(entry), all[index]!])) }
}

/** Creates or updates secrets by name. Returns those that were created or changed, by name. */
async function writeByName(
  work: Work,
  project: Project,
  entries: readonly Entry[],
  stored: ReadonlyMap<string, Secret>,
): Promise<Map<string, Secret>> {
  const isStored = (entry: Entry) => stored.has(nameOfEntry(entry))
  const created = await insertSecrets(
    work,
    project,
    entries.filter((entry) => !isStored(entry)),
  )
  const changed = await updateSecrets(
    work,
    entries.filter(isStored).map((entry) => ({ known: stored.get(nameOfEntry(entry))!, value: entry.value, isSecret: entry.isSecret })),
  )
  return new Map([...created, ...changed.values()].map((secret) => [nameOfSecret(secret), secret]))
}

export const revokeSecretVersion = defineCommand({
  name: 'revokeSecretVersion',
  description:
    'Revokes a version of a secret permanently. While the newest version is revoked, the secret counts as missing. Running instances keep the value until the next deployment. Revoking a revoked version returns the secret unchanged.',
  permission: 'manage:secrets',
  ids: { secretId: 'Secret' },
  targetType: 'Secret',
  target: (work, { secretId }) => lockSecret(work, { id: secretId! }),
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
    await publish(work, secretUpdated, eventOf(secret, { revokedVersion: version }))
    return { secret }
  },
  audited: ({ version }, { secret }) => ({ key: secret.key, scope: secret.scope, version }),
})

export const deleteSecret = defineCommand({
  name: 'deleteSecret',
  description:
    'Deletes a secret with all its versions. Fails with `secret_bound` if the secret is bound to a service, unless `force` is true.',
  permission: 'delete:secrets',
  ids: secretIds,
  targetType: 'Secret',
  target: lockSecret,
  input: z.object({ force: z.boolean().nullish() }),
  emits: [secretDeleted],
  async run(work, { force }, target: Secret) {
    await (force ? removeSecrets(work, [target]) : removeUnboundSecrets(work, [target], 'id'))
    return { deletedId: target.id, key: target.key, scope: target.scope }
  },
  audited: ({ force }, { key, scope }) => ({ key, scope, force: force ?? false }),
})
