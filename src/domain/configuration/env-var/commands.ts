import { z } from 'zod'
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { DotenvError, parseDotenv } from './dotenv.ts'
import { envVarErrors } from './errors.ts'
import { envVarChanged } from './events.ts'
import { isShort, keySchema, maxBulk, maxEntries, uniqueBy, valueIdentity, valueSchema, writeWarnings } from './model.ts'
import { envVarsByService } from './queries.ts'

const flags = { isSecret: z.boolean().nullish(), buildTime: z.boolean().nullish(), runTime: z.boolean().nullish() }
const entrySchema = z.object({ key: keySchema, value: valueSchema, ...flags })
type Entry = z.infer<typeof entrySchema>

export const bulkSchema = z
  .array(entrySchema)
  .max(maxBulk, { error: `must have at most ${maxBulk} items` })
  .superRefine(uniqueBy('key', (item) => item.key))
export const modeSchema = z.enum(['MERGE', 'REPLACE'], { error: 'must be MERGE or REPLACE' }).nullish()

/** The service, locked, so that its configuration is written by one at a time. */
export const lockService = (work: Work, ids: Record<string, string>): Promise<WebService | null> =>
  row<WebService>(
    work.tx,
    sql`select s.* from web_service s where s.id = ${ids.webServiceId}::uuid and ${visible(work.caller, sql`s`)}
        and s.desired_state <> 'DELETED' for update`,
  )

export const setEnvVars = defineCommand({
  name: 'setEnvVars',
  description:
    'Creates or updates environment variables of a service by key. Either all of them are written or none. `mode` determines what happens to the other variables. With `deploy`, a deployment with the new configuration is queued.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ variables: bulkSchema, mode: modeSchema, deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  run: (work, { variables, mode, deploy }, service: WebService) => write(work, service, variables, { mode, deploy }),
  audited: (input) => ({ keys: input.variables.map(({ key }) => key), mode: input.mode ?? 'MERGE' }),
})

export const importEnvVars = defineCommand({
  name: 'importEnvVars',
  description:
    'Creates or updates the environment variables that a `.env` file contains, as `setEnvVars` does. Fails with `invalid_input` if the file cannot be parsed; the error message names the line.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ text: z.string(), mode: modeSchema, deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  async run(work, { text, mode, deploy }, service: WebService) {
    const entries = readText(text)
    return { ...(await write(work, service, entries, { mode, deploy })), keys: entries.map(({ key }) => key) }
  },
  audited: ({ mode }, { keys }) => ({ keys, mode: mode ?? 'MERGE' }),
})

function readText(text: string): Entry[] {
  try {
    const parsed = bulkSchema.safeParse(parseDotenv(text))
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]!
    throw errors.invalid_input({
      field: 'text',
      text: `text: variable ${Number(issue.path[0] ?? 0) + 1}, ${String(issue.path[1] ?? '')}: ${issue.message}`,
    })
  } catch (error) {
    if (error instanceof DotenvError) throw errors.invalid_input({ field: 'text', text: `text: ${error.message}` })
    throw error
  }
}

type WriteOptions = { mode?: 'MERGE' | 'REPLACE' | null; deploy?: boolean | null }

/** Writes by key in the caller's transaction; the service is locked. */
export async function write(work: Work, service: WebService, entries: Entry[], { mode, deploy }: WriteOptions) {
  const stored = new Map((await envVarsByService(work.tx, [service.id]))[0]!.map((item) => [item.key, item]))
  const made = await insertAll(
    work,
    service,
    entries.filter(({ key }) => !stored.has(key)),
  )
  const changed = await changeAll(
    work,
    entries.flatMap((entry) => {
      const known = stored.get(entry.key)
      return known ? [{ ...entry, known }] : []
    }),
  )
  const created = made.map(({ key }) => key)
  const updated = entries.flatMap(({ key }) => (changed.has(stored.get(key)?.id ?? '') ? [key] : []))
  const named = new Set(entries.map(({ key }) => key))
  const deleted = mode === 'REPLACE' ? [...stored.keys()].filter((key) => !named.has(key)) : []
  if (deleted.length > 0) {
    demand(work.caller, 'delete:secrets')
    await run(work.tx, sql`delete from env_var where web_service_id = ${service.id}::uuid and key = any(${deleted}::text[])`)
  }
  return answer(work, service, { created, updated, deleted, deploy: deploy ?? false }, new Set([...created, ...updated]))
}

/** Publishes what changed, and gives the service's variables with what to know of the written ones. */
async function answer(
  work: Work,
  service: Pick<WebService, 'id' | 'projectId'>,
  change: { created: string[]; updated: string[]; deleted: string[]; deploy: boolean },
  written: ReadonlySet<string>,
) {
  const added = await announce(work, service, change)
  const envVars = (await envVarsByService(work.tx, [service.id]))[0]!
  if (envVars.length > maxEntries)
    throw errors.invalid_input({ field: 'variables', text: `variables: a service can have at most ${maxEntries} variables` })
  const warnings = envVars.filter(({ key }) => written.has(key)).flatMap((item) => writeWarnings(item.key, item))
  return { envVars, warnings, ...added }
}

async function announce(
  work: Work,
  service: Pick<WebService, 'id' | 'projectId'>,
  { created, updated, deleted, deploy }: { created: string[]; updated: string[]; deleted: string[]; deploy: boolean },
): Promise<Record<string, unknown>> {
  if (created.length + updated.length + deleted.length === 0 && !deploy) return {}
  return publish(work, envVarChanged, {
    subjectId: service.id,
    projectId: service.projectId,
    data: {
      webServiceId: encodeId('WebService', service.id),
      projectId: encodeId('Project', service.projectId),
      created,
      updated,
      deleted,
      deploy,
    },
  })
}

/** Adds variables that the service doesn't have yet; gives them in order. */
async function insertAll(work: Work, service: WebService, entries: readonly Entry[]): Promise<EnvVar[]> {
  if (entries.length === 0) return []
  const ids = entries.map(() => newId())
  const sealed = await sealAll(
    work,
    service.organizationId,
    entries.map(({ value }, index) => ({ id: ids[index]!, value })),
  )
  const found = await rows<EnvVar>(
    work.tx,
    sql`insert into env_var (id, organization_id, project_id, web_service_id, key, value, fingerprint, is_short, is_secret, build_time, run_time, changed_by)
        select n.id, ${service.organizationId}::uuid, ${service.projectId}::uuid, ${service.id}::uuid, n.key, decode(n.value, 'base64'), n.fingerprint,
          n.is_short, n.is_secret, n.build_time, n.run_time, ${work.caller.subject.name}
        from unnest(${ids}::uuid[], ${entries.map(({ key }) => key)}::text[], ${sealed.map(({ value }) => value)}::text[],
          ${sealed.map(({ fingerprint }) => fingerprint)}::text[], ${entries.map(({ value }) => isShort(value))}::bool[],
          ${entries.map(({ isSecret }) => isSecret ?? false)}::bool[], ${entries.map(({ buildTime }) => buildTime ?? true)}::bool[],
          ${entries.map(({ runTime }) => runTime ?? true)}::bool[]) as n(id, key, value, fingerprint, is_short, is_secret, build_time, run_time)
        returning *`,
  )
  const byId = new Map(found.map((item) => [item.id, item]))
  return ids.map((id) => byId.get(id)!)
}

/** As base64, in which many go in one array. */
async function sealAll(work: Work, organizationId: string, values: readonly { id: string; value: string }[]) {
  const { keyring } = work.app
  const sealed = await keyring.sealAll(
    work.tx,
    organizationId,
    values.map(({ id, value }) => ({ identity: valueIdentity(id), plain: value })),
  )
  const fingerprints = await keyring.fingerprintAll(
    work.tx,
    organizationId,
    values.map(({ value }) => value),
  )
  return sealed.map((bytes, index) => ({ value: Buffer.from(bytes).toString('base64'), fingerprint: fingerprints[index]! }))
}

type Change = Omit<Entry, 'key' | 'value'> & { known: EnvVar; value?: string | undefined }

/** Writes what differs, for variables of one organization. Gives those in which something differs, by id. */
async function changeAll(work: Work, given: readonly Change[]): Promise<Map<string, EnvVar>> {
  if (given.length === 0) return new Map()
  const { organizationId } = given[0]!.known
  const fingerprints = await work.app.keyring.fingerprintAll(
    work.tx,
    organizationId,
    given.map(({ value }) => value ?? ''),
  )
  const changes = given
    .map(({ known, value, isSecret, buildTime, runTime }, index) => ({
      known,
      value: value === undefined || fingerprints[index] === known.fingerprint ? undefined : value,
      isSecret: isSecret ?? known.isSecret,
      buildTime: buildTime ?? known.buildTime,
      runTime: runTime ?? known.runTime,
    }))
    .filter(
      ({ known, value, isSecret, buildTime, runTime }) =>
        value !== undefined || isSecret !== known.isSecret || buildTime !== known.buildTime || runTime !== known.runTime,
    )
  if (changes.length === 0) return new Map()
  const withValue = changes.flatMap(({ known, value }) => (value === undefined ? [] : [{ id: known.id, value }]))
  const sealed = await sealAll(work, organizationId, withValue)
  const sealedById = new Map(withValue.map(({ id }, index) => [id, sealed[index]!]))
  const found = await rows<EnvVar>(
    work.tx,
    sql`update env_var v set value = coalesce(decode(n.value, 'base64'), v.value), fingerprint = coalesce(n.fingerprint, v.fingerprint),
          is_short = n.is_short, is_secret = n.is_secret, build_time = n.build_time, run_time = n.run_time,
          changed_at = app_now(), changed_by = ${work.caller.subject.name}, version = v.version + 1
        from unnest(${changes.map(({ known }) => known.id)}::uuid[], ${changes.map(({ known }) => sealedById.get(known.id)?.value ?? null)}::text[],
          ${changes.map(({ known }) => sealedById.get(known.id)?.fingerprint ?? null)}::text[],
          ${changes.map(({ known, value }) => (value === undefined ? known.isShort : isShort(value)))}::bool[],
          ${changes.map(({ isSecret }) => isSecret)}::bool[], ${changes.map(({ buildTime }) => buildTime)}::bool[],
          ${changes.map(({ runTime }) => runTime)}::bool[]) as n(id, value, fingerprint, is_short, is_secret, build_time, run_time)
        where v.id = n.id returning v.*`,
  )
  return new Map(found.map((item) => [item.id, item]))
}

export const createEnvVar = defineCommand({
  name: 'createEnvVar',
  description: 'Creates an environment variable. Fails with `key_taken` if the service already has a variable with this key.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: entrySchema.extend({ deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  async run(work, { deploy, ...entry }, service: WebService) {
    const taken = await row(work.tx, sql`select 1 as taken from env_var where web_service_id = ${service.id}::uuid and key = ${entry.key}`)
    if (taken)
      throw envVarErrors.key_taken({
        field: 'key',
        text: `The service already has the variable ${entry.key}.`,
        details: { key: entry.key },
      })
    const envVar = (await insertAll(work, service, [entry]))[0]!
    const {
      warnings,
      envVars: _all,
      ...added
    } = await answer(work, service, { created: [entry.key], updated: [], deleted: [], deploy: deploy ?? false }, new Set([entry.key]))
    return { envVar, warnings, ...added }
  },
  audited: ({ key }) => ({ keys: [key] }),
})

/** The variable and its service, locked in the order that every writer takes. */
export async function lockEnvVar(work: Work, ids: Record<string, string>): Promise<EnvVar | null> {
  const condition = sql`v.id = ${ids.id}::uuid and ${visible(work.caller, sql`v`)} ${ofService(ids)}`
  await row(
    work.tx,
    sql`select 1 as locked from web_service where id = (select v.web_service_id from env_var v where ${condition}) for update`,
  )
  return row<EnvVar>(work.tx, sql`select v.* from env_var v where ${condition} for update`)
}

/** For doors whose paths name the service before the variable. */
const ofService = (ids: Record<string, string>) => (ids.webServiceId ? sql`and v.web_service_id = ${ids.webServiceId}::uuid` : sql``)

export const withService = { id: 'EnvVar', webServiceId: 'WebService' } as const

export const updateEnvVar = defineCommand({
  name: 'updateEnvVar',
  description:
    'Updates an environment variable. Omitted fields keep their value. Making a secret variable plain requires its value to be given again.',
  permission: 'manage:secrets',
  ids: withService,
  targetType: 'EnvVar',
  target: lockEnvVar,
  input: z.object({ value: valueSchema.optional(), ...flags, deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  async run(work, { deploy, ...input }, target: EnvVar) {
    if (target.isSecret && input.isSecret === false && input.value === undefined) {
      throw errors.invalid_input({ field: 'value', text: 'value: is required to make a secret variable plain' })
    }
    const changed = (await changeAll(work, [{ known: target, ...input }])).get(target.id)
    const envVar = changed ?? target
    const added = await announce(
      work,
      { id: target.webServiceId, projectId: target.projectId },
      { created: [], updated: changed ? [target.key] : [], deleted: [], deploy: deploy ?? false },
    )
    return { envVar, warnings: changed ? writeWarnings(envVar.key, envVar) : [], ...added }
  },
  audited: (_input, { envVar }) => ({ keys: [envVar.key] }),
})

export const deleteEnvVar = defineCommand({
  name: 'deleteEnvVar',
  description: 'Deletes an environment variable. Running instances keep it until the next deployment.',
  permission: 'delete:secrets',
  ids: withService,
  targetType: 'EnvVar',
  target: lockEnvVar,
  input: z.object({}),
  emits: [envVarChanged],
  async run(work, _input, target: EnvVar) {
    await run(work.tx, sql`delete from env_var where id = ${target.id}::uuid`)
    await announce(
      work,
      { id: target.webServiceId, projectId: target.projectId },
      { created: [], updated: [], deleted: [target.key], deploy: false },
    )
    return { deletedId: target.id, key: target.key }
  },
  audited: (_input, { key }) => ({ keys: [key] }),
})
