import { z } from 'zod'
import type { Secret, SecretBinding, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import { bulkOf, keySchema, lockService, lockUnder, maxEntries, modeSchema, reservedKeys } from '../variable/index.ts'
import { secretBindingErrors } from './errors.ts'
import { secretBindingCreated, secretBindingDeleted } from './events.ts'
import { bindingsByService } from './queries.ts'
import { insertBindings, rebind, removeBindings } from './store.ts'

const entrySchema = z.object({ secretId: z.string(), alias: keySchema.nullish() })

export const bindSecret = defineCommand({
  name: 'bindSecret',
  description:
    'Binds a project secret to a service under an alias, from the next deployment on. The service receives the value of the scope that its environment resolves to. Fails with `alias_taken` if the alias is in use.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService', secretId: 'Secret' },
  targetType: 'WebService',
  creates: 'SecretBinding',
  target: lockService,
  input: entrySchema,
  emits: [secretBindingCreated],
  async run(work, { secretId, alias: asked }, service: WebService) {
    const secret = (await lockSecrets(work, service, [secretId])).get(secretId)
    if (!secret) throw errors.not_found({ field: 'secretId' })
    const alias = asked ?? secret.key
    const taken = await row(
      work.tx,
      sql`select 1 as taken from secret_binding where web_service_id = ${service.id}::uuid and alias = ${alias}`,
    )
    if (taken) {
      const text = `The service already has a binding with the alias ${alias}.`
      throw secretBindingErrors.alias_taken({ field: 'alias', text, details: { alias } })
    }
    const secretBinding = (await insertBindings(work, service, [{ secretId: secret.id, alias }]))[0]!
    await demandRoom(work, service.id)
    return { secretBinding, secretKey: secret.key, warnings: await aliasWarnings(work, service.id, [alias]) }
  },
})

/** The given secrets of the service's project, locked against deletion. */
async function lockSecrets(work: Work, service: WebService, ids: readonly string[]): Promise<Map<string, Secret>> {
  const found = await rows<Secret>(
    work.tx,
    sql`select s.* from secret s where s.id = any(${ids}::uuid[]) and s.project_id = ${service.projectId}::uuid and ${visible(work.caller, sql`s`)}
        order by s.id for share`,
  )
  return new Map(found.map((secret) => [secret.id, secret]))
}

async function demandRoom(work: Work, serviceId: string): Promise<void> {
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from secret_binding where web_service_id = ${serviceId}::uuid`,
  ))!
  if (n > maxEntries) throw errors.invalid_input({ field: 'bindings', text: `bindings: a service can have at most ${maxEntries} bindings` })
}

/** Warnings about aliases under which the service receives another value. */
async function aliasWarnings(work: Work, serviceId: string, aliases: readonly string[]): Promise<string[]> {
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

export const setSecretBindings = defineCommand({
  name: 'setSecretBindings',
  description:
    'Creates or updates secret bindings of a service by alias. Either all of them are written or none. `mode` determines what happens to the other bindings.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService', 'bindings.*.secretId': 'Secret' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ bindings: bulkOf(entrySchema), mode: modeSchema }),
  emits: [secretBindingCreated, secretBindingDeleted],
  async run(work, { bindings, mode }, service: WebService) {
    const wanted = await secretsByAlias(work, service, bindings)
    const stored = await rows<SecretBinding>(
      work.tx,
      sql`select * from secret_binding where web_service_id = ${service.id}::uuid order by id for update`,
    )
    const known = new Set(stored.map(({ alias }) => alias))
    const fresh = [...wanted].filter(([alias]) => !known.has(alias)).map(([alias, secretId]) => ({ alias, secretId }))
    await insertBindings(work, service, fresh)
    await rebind(
      work,
      stored.flatMap(({ id, alias, secretId: bound }) => {
        const secretId = wanted.get(alias)
        return secretId && secretId !== bound ? [{ id, secretId }] : []
      }),
    )
    const others = mode === 'REPLACE' ? stored.filter(({ alias }) => !wanted.has(alias)) : []
    if (others.length > 0) demand(work.caller, 'delete:secrets')
    await removeBindings(work, others)
    await demandRoom(work, service.id)
    const secretBindings = (await bindingsByService(work, [service.id]))[0]!
    return { secretBindings, warnings: await aliasWarnings(work, service.id, [...wanted.keys()]) }
  },
  audited: ({ mode }, { secretBindings }) => ({ aliases: secretBindings.map(({ alias }) => alias), mode: mode ?? 'MERGE' }),
})

/** The id of the secret for each alias. Throws `not_found` for an unknown secret and `invalid_input` for a repeated alias. */
async function secretsByAlias(
  work: Work,
  service: WebService,
  bindings: readonly z.infer<typeof entrySchema>[],
): Promise<Map<string, string>> {
  const secrets = await lockSecrets(
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
  return wanted
}

export const unbindSecret = defineCommand({
  name: 'unbindSecret',
  description: 'Unbinds a secret from a service. Running instances keep the value until the next deployment.',
  permission: 'delete:secrets',
  ids: { id: 'SecretBinding', webServiceId: 'WebService' },
  targetType: 'SecretBinding',
  target: lockUnder<SecretBinding>('web_service', 'secret_binding'),
  input: z.object({}),
  emits: [secretBindingDeleted],
  async run(work, _input, target: SecretBinding) {
    await removeBindings(work, [target])
    return { deletedId: target.id, alias: target.alias }
  },
})
