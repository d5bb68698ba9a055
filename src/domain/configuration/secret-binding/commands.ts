import { z } from 'zod'
import type { Secret, SecretBinding, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type EventDefinition, publishAll } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { keySchema, lockService, maxBulk, maxEntries, modeSchema, reservedKeys } from '../env-var/index.ts'
import { secretBindingErrors } from './errors.ts'
import { secretBindingCreated, secretBindingDeleted } from './events.ts'
import { bindingsByService } from './queries.ts'

/** The secrets of the service's project among these, kept from being deleted meanwhile. */
async function secretsOf(work: Work, service: WebService, ids: readonly string[]): Promise<Map<string, Secret>> {
  const found = await rows<Secret>(
    work.tx,
    sql`select s.* from secret s where s.id = any(${ids}::uuid[]) and s.project_id = ${service.projectId}::uuid and ${visible(work.caller, sql`s`)}
        order by s.id for share`,
  )
  return new Map(found.map((secret) => [secret.id, secret]))
}

/** What to know of an alias: who else gives the service a variable of that name. */
async function warningsOf(work: Work, serviceId: string, aliases: readonly string[]): Promise<string[]> {
  const own = await rows<{ key: string }>(
    work.tx,
    sql`select key from env_var where web_service_id = ${serviceId}::uuid and key = any(${aliases}::text[]) order by key`,
  )
  return [
    ...own.map(({ key }) => `${key}: the service's own env var wins; the binding is shadowed.`),
    ...aliases
      .filter((alias) => reservedKeys.has(alias))
      .map((alias) => `${alias} is reserved: Quayside sets it for each instance, and this binding is not used.`),
  ]
}

export const bindSecret = defineCommand({
  name: 'bindSecret',
  description:
    'Binds a project secret to a service under an alias, from the next deployment on. The service receives the value of the scope that its environment resolves to. Fails with `alias_taken` if the alias is in use.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService', secretId: 'Secret' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ secretId: z.string(), alias: keySchema.nullish() }),
  emits: [secretBindingCreated],
  async run(work, { secretId, alias: asked }, service: WebService) {
    const secret = (await secretsOf(work, service, [secretId])).get(secretId)
    if (!secret) throw errors.not_found({ field: 'secretId' })
    const alias = asked ?? secret.key
    const taken = await row(
      work.tx,
      sql`select 1 as taken from secret_binding where web_service_id = ${service.id}::uuid and alias = ${alias}`,
    )
    if (taken)
      throw secretBindingErrors.alias_taken({
        field: 'alias',
        text: `The service already has a binding with the alias ${alias}.`,
        details: { alias },
      })
    const secretBinding = (await insertAll(work, service, [{ secretId: secret.id, alias }]))[0]!
    await demandRoom(work, service.id)
    return { secretBinding, secretKey: secret.key, warnings: await warningsOf(work, service.id, [alias]) }
  },
  audited: (_input, { secretBinding }) => ({ secretId: secretBinding.secretId, alias: secretBinding.alias }),
})

async function demandRoom(work: Work, serviceId: string): Promise<void> {
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from secret_binding where web_service_id = ${serviceId}::uuid`,
  ))!
  if (n > maxEntries) throw errors.invalid_input({ field: 'bindings', text: `bindings: a service can have at most ${maxEntries} bindings` })
}

type Wanted = { secretId: string; alias: string }

/** Adds bindings under aliases that the service doesn't have yet; gives them in order. */
async function insertAll(work: Work, service: WebService, wanted: readonly Wanted[]): Promise<SecretBinding[]> {
  if (wanted.length === 0) return []
  const ids = wanted.map(() => newId())
  const found = await rows<SecretBinding>(
    work.tx,
    sql`insert into secret_binding (id, organization_id, project_id, web_service_id, secret_id, alias, changed_by)
        select n.id, ${service.organizationId}::uuid, ${service.projectId}::uuid, ${service.id}::uuid, n.secret_id, n.alias, ${work.caller.subject.name}
        from unnest(${ids}::uuid[], ${wanted.map(({ secretId }) => secretId)}::uuid[], ${wanted.map(({ alias }) => alias)}::text[])
          as n(id, secret_id, alias) returning *`,
  )
  const byId = new Map(found.map((binding) => [binding.id, binding]))
  const bindings = ids.map((id) => byId.get(id)!)
  await announceAll(work, secretBindingCreated, bindings)
  return bindings
}

export const setSecretBindings = defineCommand({
  name: 'setSecretBindings',
  description:
    'Creates or updates secret bindings of a service by alias. Either all of them are written or none. `mode` determines what happens to the other bindings.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService', 'bindings.*.secretId': 'Secret' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({
    bindings: z
      .array(z.object({ secretId: z.string(), alias: keySchema.nullish() }))
      .max(maxBulk, { error: `must have at most ${maxBulk} items` }),
    mode: modeSchema,
  }),
  emits: [secretBindingCreated, secretBindingDeleted],
  async run(work, { bindings, mode }, service: WebService) {
    const secrets = await secretsOf(
      work,
      service,
      bindings.map(({ secretId }) => secretId),
    )
    const wanted = new Map<string, string>()
    for (const [index, { secretId, alias: asked }] of bindings.entries()) {
      const secret = secrets.get(secretId)
      if (!secret) throw errors.not_found({ field: `bindings.${index}.secretId` })
      const alias = asked ?? secret.key
      if (wanted.has(alias)) {
        const field = `bindings.${index}.alias`
        throw errors.invalid_input({ field, text: `${field}: ${alias} is given more than once` })
      }
      wanted.set(alias, secretId)
    }
    const stored = await rows<SecretBinding>(
      work.tx,
      sql`select * from secret_binding where web_service_id = ${service.id}::uuid order by id for update`,
    )
    const byAlias = new Map(stored.map((binding) => [binding.alias, binding]))
    const given = [...wanted].map(([alias, secretId]) => ({ alias, secretId, known: byAlias.get(alias) }))
    await insertAll(
      work,
      service,
      given.filter(({ known }) => !known),
    )
    await rebindAll(
      work,
      given.flatMap(({ known, secretId }) => (known && known.secretId !== secretId ? [{ id: known.id, secretId }] : [])),
    )
    const others = mode === 'REPLACE' ? stored.filter(({ alias }) => !wanted.has(alias)) : []
    if (others.length > 0) demand(work.caller, 'delete:secrets')
    await removeAll(work, others)
    await demandRoom(work, service.id)
    const secretBindings = (await bindingsByService(work.tx, [service.id]))[0]!
    return { secretBindings, warnings: await warningsOf(work, service.id, [...wanted.keys()]) }
  },
  audited: ({ mode }, { secretBindings }) => ({ aliases: secretBindings.map(({ alias }) => alias), mode: mode ?? 'MERGE' }),
})

/** Binds aliases to other secrets. */
async function rebindAll(work: Work, given: readonly { id: string; secretId: string }[]): Promise<void> {
  if (given.length === 0) return
  const changed = await rows<SecretBinding>(
    work.tx,
    sql`update secret_binding b set secret_id = n.secret_id, changed_by = ${work.caller.subject.name}, version = b.version + 1
        from unnest(${given.map(({ id }) => id)}::uuid[], ${given.map(({ secretId }) => secretId)}::uuid[]) as n(id, secret_id)
        where b.id = n.id returning b.*`,
  )
  await announceAll(work, secretBindingCreated, changed)
}

/** The binding and its service, locked in the order that every writer takes. */
async function lockBinding(work: Work, ids: Record<string, string>): Promise<SecretBinding | null> {
  const condition = sql`b.id = ${ids.id}::uuid and ${visible(work.caller, sql`b`)}
    ${ids.webServiceId ? sql`and b.web_service_id = ${ids.webServiceId}::uuid` : sql``}`
  await row(
    work.tx,
    sql`select 1 as locked from web_service where id = (select b.web_service_id from secret_binding b where ${condition}) for update`,
  )
  return row<SecretBinding>(work.tx, sql`select b.* from secret_binding b where ${condition} for update`)
}

export const unbindSecret = defineCommand({
  name: 'unbindSecret',
  description: 'Unbinds a secret from a service. Running instances keep the value until the next deployment.',
  permission: 'delete:secrets',
  ids: { id: 'SecretBinding', webServiceId: 'WebService' },
  targetType: 'SecretBinding',
  target: lockBinding,
  input: z.object({}),
  emits: [secretBindingDeleted],
  async run(work, _input, target: SecretBinding) {
    await removeAll(work, [target])
    return { deletedId: target.id, alias: target.alias }
  },
  audited: (_input, { alias }) => ({ alias }),
})

async function removeAll(work: Work, bindings: readonly SecretBinding[]): Promise<void> {
  if (bindings.length === 0) return
  await run(work.tx, sql`delete from secret_binding where id = any(${bindings.map(({ id }) => id)}::uuid[])`)
  await announceAll(work, secretBindingDeleted, bindings)
}

/** Secrets that are deleted are bound to nothing any more. */
export async function removeBindingsOf(work: Work, secretIds: readonly string[]): Promise<void> {
  const found = await rows<SecretBinding>(
    work.tx,
    sql`select * from secret_binding where secret_id = any(${secretIds}::uuid[]) order by id for update`,
  )
  await removeAll(work, found)
}

const announceAll = <Data extends object>(work: Work, event: EventDefinition<Data>, bindings: readonly SecretBinding[]) =>
  publishAll(
    work,
    event,
    bindings.map((binding) => ({
      subjectId: binding.id,
      projectId: binding.projectId,
      data: {
        secretBindingId: encodeId('SecretBinding', binding.id),
        webServiceId: encodeId('WebService', binding.webServiceId),
        projectId: encodeId('Project', binding.projectId),
        secretId: encodeId('Secret', binding.secretId),
        alias: binding.alias,
      } as unknown as Data,
    })),
  )
