/** A service's deployments, and what the next one gives it, for doors whose paths name the service before the deployment. */
import { z } from 'zod'
import type { Deployment } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { type Slice, sliceInput } from '../../../platform/page.ts'
import { listResolvedEnv, type ShownVariable } from '../../configuration/resolution/index.ts'
import { liveEntriesByService } from '../instance/index.ts'
import { type LogLine, readLog, tailsByDeployment } from '../log/index.ts'
import { deploymentListing } from './queries.ts'
import { isChangedSince } from './variable-change.ts'

const isVisible = async (tx: Tx, caller: Caller, webServiceId: string) =>
  (await row(tx, sql`select 1 as seen from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`)) !== null

export const sliceDeployments = defineQuery({
  name: 'deploymentSlice',
  description: 'Deployments of a service by offset, newest first, with their total number. Null if the service does not exist.',
  permission: 'view:deployments',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string(), ...sliceInput }),
  async run(read, { webServiceId, ...slice }): Promise<Slice<Deployment> | null> {
    if (!(await isVisible(read.tx, read.caller, webServiceId))) return null
    return deploymentListing.slice(read, { webServiceId }, slice)
  },
})

export const findDeploymentOf = defineQuery({
  name: 'deploymentOfService',
  description: 'Deployment of a service. Null if the service has no such deployment.',
  permission: 'view:deployments',
  ids: { webServiceId: 'WebService', id: 'Deployment' },
  input: z.object({ webServiceId: z.string(), id: z.string() }),
  run: (read, { webServiceId, id }) =>
    deploymentListing.findOne(read, sql`t.id = ${id}::uuid and t.web_service_id = ${webServiceId}::uuid`),
})

export const deploymentLogTails = defineQuery({
  name: 'deploymentLogTails',
  description: 'Last lines of the logs of several deployments, each up to a number of bytes, by ID.',
  permission: 'view:deployments',
  ids: { 'ids.*': 'Deployment' },
  input: z.object({ ids: z.array(z.string()), bytes: z.number() }),
  run: ({ tx, caller }, { ids, bytes }): Promise<Map<string, LogLine[]>> =>
    tailsByDeployment(
      tx,
      sql`select d.id from deployment d join web_service s on s.id = d.web_service_id
          where d.id = any(${ids}::uuid[]) and ${visible(caller, sql`s`)}`,
      bytes,
    ),
})

/** A log is bounded by its byte cap, and so is what is read here. */
export const tailServiceLog = defineQuery({
  name: 'serviceLogTail',
  description: 'Last log lines of the instances of a service, optionally from a given time on. Null if the service does not exist.',
  permission: 'view:deployments',
  ids: { id: 'WebService' },
  input: z.object({
    id: z.string(),
    tail: z.number().int().min(1, { error: 'must be at least 1' }).max(10_000, { error: 'must be at most 10000' }),
    since: z.date({ error: 'must be a time in unix seconds, 0 or later' }).nullish(),
  }),
  async run({ tx, caller }, { id, tail, since }): Promise<LogLine[] | null> {
    if (!(await isVisible(tx, caller, id))) return null
    const log = await row<{ id: string }>(tx, sql`select id from log where web_service_id = ${id}::uuid and deployment_id is null`)
    if (!log) return []
    const lines: LogLine[] = []
    let batch = await readLog(tx, log.id, { tail, since, limit: tail })
    while (batch.lines.length > 0 || batch.gap) {
      lines.push(...batch.lines)
      if (lines.length >= tail) break
      batch = await readLog(tx, log.id, { after: batch.cursor, limit: tail - lines.length })
    }
    return lines
  },
})

export type PlannedVariable = ShownVariable & { changedSinceLive: boolean }

export const listPlannedEnv = defineQuery({
  name: 'plannedEnv',
  description:
    'All variables that the next deployment gives to a service, sorted by key, and whether each differs from the live deployment. Fails with `not_found` if the service does not exist.',
  permission: 'view:secrets',
  ids: listResolvedEnv.ids,
  input: listResolvedEnv.input,
  async run(read, input): Promise<{ variables: PlannedVariable[]; warnings: string[] }> {
    const { variables, warnings } = await listResolvedEnv.run(read, input)
    const live = (await liveEntriesByService(read.tx, [input.webServiceId]))[0] ?? null
    return { variables: variables.map((variable) => ({ ...variable, changedSinceLive: isChangedSince(live, variable) })), warnings }
  },
})
