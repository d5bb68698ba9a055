/** Writes of env vars by key, with their event, and what each write returns. */
import type { WebService } from '../../../generated/prisma/client.ts'
import { demand } from '../../../platform/command.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { decodeId, encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { maxEntries, writeWarnings } from '../variable/index.ts'
import { envVarChanged } from './events.ts'
import type { Entry, IdentifiedEntry } from './model.ts'
import { envVarsByService } from './queries.ts'
import { insertEnvVars, updateEnvVars } from './store.ts'

type WriteOptions = { mode?: 'MERGE' | 'REPLACE' | null; deploy?: boolean | null }

/** Creates or updates variables of a locked service by key; with REPLACE, deletes the others. */
export async function writeEnvVars(work: Work, service: WebService, entries: IdentifiedEntry[], { mode, deploy }: WriteOptions) {
  const stored = new Map((await envVarsByService(work, [service.id]))[0]!.map((item) => [item.key, item]))
  demandMatchingIds(entries, stored)
  const [fresh, asked] = [entries.filter(({ key }) => !stored.has(key)), entries.filter(({ key }) => stored.has(key))]
  const created = (await insertEnvVars(work, service, fresh)).map(({ key }) => key)
  const changed = await updateEnvVars(
    work,
    asked.map(({ id: _id, key, ...change }) => ({ ...change, known: stored.get(key)! })),
  )
  const updated = asked.map(({ key }) => key).filter((key) => changed.has(stored.get(key)!.id))
  const deleted = mode === 'REPLACE' ? await deleteOthers(work, service, [...stored.keys()], entries) : []
  return conclude(work, service, { created, updated, deleted, deploy })
}

/** An ID must be that of the variable with the key, so that a client that means to rename a variable does not write a second one. */
function demandMatchingIds(entries: readonly IdentifiedEntry[], stored: ReadonlyMap<string, { id: string }>): void {
  for (const [index, { id, key }] of entries.entries()) {
    if (id === undefined || id === null || decodeId('EnvVar', id) === stored.get(key)?.id) continue
    const field = `variables.${index}.id`
    throw errors.invalid_input({ field, text: `${field}: "${id}" is not the ID of the variable ${key}` })
  }
}

async function deleteOthers(work: Work, service: WebService, stored: readonly string[], entries: readonly Entry[]): Promise<string[]> {
  const named = new Set(entries.map(({ key }) => key))
  const others = stored.filter((key) => !named.has(key))
  if (others.length === 0) return []
  demand(work.caller, 'delete:secrets')
  await run(work.tx, sql`delete from env_var where web_service_id = ${service.id}::uuid and key = any(${others}::text[])`)
  return others
}

/** Keys of the variables that a write created, updated and deleted. */
type Change = { created?: string[]; updated?: string[]; deleted?: string[]; deploy?: boolean | null }

/** Publishes a write and checks the number of variables. Returns all variables of the service, and warnings about the written ones. */
export async function conclude(work: Work, service: WebService, change: Change) {
  const added = await publishChange(work, service, change)
  const envVars = (await envVarsByService(work, [service.id]))[0]!
  if (envVars.length > maxEntries)
    throw errors.invalid_input({ field: 'variables', text: `variables: a service can have at most ${maxEntries} variables` })
  const written = new Set([...(change.created ?? []), ...(change.updated ?? [])])
  const warnings = envVars.filter(({ key }) => written.has(key)).flatMap((item) => writeWarnings(item.key, item))
  return { envVars, warnings, ...added }
}

/** Publishes a write that changed something or asks for a deployment. Returns what reactions add to the result. */
export async function publishChange(
  work: Work,
  service: Pick<WebService, 'id' | 'projectId'>,
  { created = [], updated = [], deleted = [], deploy }: Change,
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
      deploy: deploy ?? false,
    },
  })
}
