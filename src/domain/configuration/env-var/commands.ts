import { z } from 'zod'
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { lockService, lockUnder, modeSchema, valueSchema, variableErrors, writeWarnings } from '../variable/index.ts'
import { DotenvError, parseDotenv } from './dotenv.ts'
import { envVarChanged } from './events.ts'
import { bulkSchema, type Entry, entrySchema, flags, identifiedBulkSchema } from './model.ts'
import { insertEnvVars, updateEnvVars } from './store.ts'
import { conclude, publishChange, writeEnvVars } from './write.ts'

export const setEnvVars = defineCommand({
  name: 'setEnvVars',
  description:
    'Creates or updates environment variables of a service by key. Either all of them are written or none. `mode` determines what happens to the other variables. With `deploy`, a deployment with the new configuration is queued.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ variables: identifiedBulkSchema, mode: modeSchema, deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  run: (work, { variables, mode, deploy }, service: WebService) => writeEnvVars(work, service, variables, { mode, deploy }),
  audited: ({ variables, mode }, { envVars }) => auditedWrite(variables, envVars, mode),
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
    const entries = entriesOf(text)
    return { ...(await writeEnvVars(work, service, entries, { mode, deploy })), written: entries.map(({ key }) => ({ key })) }
  },
  audited: ({ mode }, { written, envVars }) => auditedWrite(written, envVars, mode),
})

/** The written variables by key, with the fingerprints of their values. */
function auditedWrite(written: readonly { key: string }[], stored: readonly EnvVar[], mode: 'MERGE' | 'REPLACE' | null | undefined) {
  const fingerprints = new Map(stored.map(({ key, fingerprint }) => [key, fingerprint]))
  return { fingerprints: Object.fromEntries(written.map(({ key }) => [key, fingerprints.get(key)])), mode: mode ?? 'MERGE' }
}

function entriesOf(text: string): Entry[] {
  const refused = (message: string) => errors.invalid_input({ field: 'text', text: `text: ${message}` })
  try {
    const parsed = bulkSchema.safeParse(parseDotenv(text))
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]!
    throw refused(`variable ${Number(issue.path[0] ?? 0) + 1}, ${String(issue.path[1] ?? '')}: ${issue.message}`)
  } catch (error) {
    throw error instanceof DotenvError ? refused(error.message) : error
  }
}

export const createEnvVar = defineCommand({
  name: 'createEnvVar',
  description: 'Creates an environment variable. Fails with `key_taken` if the service already has a variable with this key.',
  permission: 'manage:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  creates: 'EnvVar',
  target: lockService,
  input: entrySchema.extend({ deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  async run(work, { deploy, ...entry }, service: WebService) {
    const { key } = entry
    const taken = await row(work.tx, sql`select 1 as taken from env_var where web_service_id = ${service.id}::uuid and key = ${key}`)
    if (taken) throw variableErrors.key_taken({ field: 'key', text: `The service already has the variable ${key}.`, details: { key } })
    const envVar = (await insertEnvVars(work, service, [entry]))[0]!
    const { envVars: _all, ...concluded } = await conclude(work, service, { created: [key], deploy })
    return { envVar, ...concluded }
  },
})

export const lockEnvVar = lockUnder<EnvVar>('web_service', 'env_var')

/** `webServiceId` is given by paths that name the service before the variable. */
export const envVarIds = { id: 'EnvVar', webServiceId: 'WebService' } as const

export const placeOf = ({ webServiceId, projectId }: EnvVar) => ({ id: webServiceId, projectId })

export const updateEnvVar = defineCommand({
  name: 'updateEnvVar',
  description:
    'Updates an environment variable. Omitted fields keep their value. Making a secret variable plain requires its value to be given again.',
  permission: 'manage:secrets',
  ids: envVarIds,
  targetType: 'EnvVar',
  target: lockEnvVar,
  input: z.object({ value: valueSchema.optional(), ...flags, deploy: z.boolean().nullish() }),
  emits: [envVarChanged],
  async run(work, { deploy, ...input }, target: EnvVar) {
    if (target.isSecret && input.isSecret === false && input.value === undefined) {
      throw errors.invalid_input({ field: 'value', text: 'value: is required to make a secret variable plain' })
    }
    const changed = (await updateEnvVars(work, [{ known: target, ...input }])).get(target.id)
    const added = await publishChange(work, placeOf(target), { updated: changed ? [target.key] : [], deploy })
    return { envVar: changed ?? target, warnings: changed ? writeWarnings(changed.key, changed) : [], ...added }
  },
})

export const deleteEnvVar = defineCommand({
  name: 'deleteEnvVar',
  description: 'Deletes an environment variable. Running instances keep it until the next deployment.',
  permission: 'delete:secrets',
  ids: envVarIds,
  targetType: 'EnvVar',
  target: lockEnvVar,
  input: z.object({}),
  emits: [envVarChanged],
  async run(work, _input, target: EnvVar) {
    await run(work.tx, sql`delete from env_var where id = ${target.id}::uuid`)
    await publishChange(work, placeOf(target), { deleted: [target.key] })
    return { deletedId: target.id, key: target.key }
  },
})
