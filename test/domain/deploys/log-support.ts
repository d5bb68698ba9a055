/** A service with logs, and readers that page through a log as a client does. */
import {
  appendLines,
  type LineRun,
  type LogBatch,
  type LogLine,
  type LogStart,
  logLimits,
  type NewLine,
  readLog,
  runOf,
  splitCompleteLines,
} from '../../../src/domain/deploys/log/index.ts'
import { systemCaller } from '../../../src/platform/access.ts'
import { newRow, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { type App, transact } from '../../../src/platform/work.ts'

export type Place = { organizationId: string; webServiceId: string }

/** Inserts the rows that createProject and createWebService create. */
export async function createPlace(app: App): Promise<Place> {
  const [organizationId, projectId, environmentId, webServiceId] = [newId(), newId(), newId(), newId()]
  const tx = app.db
  await run(tx, sql`insert into organization ${newRow({ id: organizationId, name: 'Acme', slug: `acme-${organizationId}` })}`)
  await run(tx, sql`insert into project ${newRow({ id: projectId, organizationId, name: 'Shop', slug: 'shop' })}`)
  const environment = { id: environmentId, organizationId, projectId, name: 'Production', slug: 'production', type: 'PRODUCTION' }
  await run(tx, sql`insert into environment ${newRow(environment)}`)
  await run(
    tx,
    sql`insert into web_service (id, organization_id, project_id, environment_id, name, slug, kind, branch, min_instances, max_instances,
          queue_policy, build_timeout_ms, health_timeout_ms, shutdown_grace_ms, desired_state)
        values (${webServiceId}::uuid, ${organizationId}::uuid, ${projectId}::uuid, ${environmentId}::uuid, 'Web', ${`w${webServiceId}`}, 'WEB', 'main', 1, 1,
          'QUEUE_LATEST', 1000, 1000, 1000, 'STOPPED')`,
  )
  return { organizationId, webServiceId }
}

let deployments = 0

/** Inserts a running deployment. */
export async function createDeployment(app: App, { organizationId, webServiceId }: Place): Promise<string> {
  const id = newId()
  deployments++
  await run(
    app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type)
        values (${id}::uuid, ${organizationId}::uuid, ${webServiceId}::uuid, ${deployments}, 'DEPLOY', 'API', 'QUEUED', 'system')`,
  )
  return id
}

export const inTransaction = <T>(app: App, work: Parameters<typeof transact<T>>[3]): Promise<T> =>
  transact(app, systemCaller(newId()), {}, work)

export const lineOf = (message: string, at = new Date()): NewLine => ({
  at,
  stream: 'stdout',
  level: null,
  instanceId: null,
  message,
  truncated: false,
})

/** The lines of runs, one by one. */
export const linesOf = (...runs: LineRun[]): NewLine[] =>
  runs.flatMap(({ count, text, ...line }) => {
    const messages = text.toString().split('\n').slice(0, -1)
    if (messages.length !== count) throw new Error(`A run of ${count} lines has ${messages.length}.`)
    return messages.map((message) => ({ ...line, message }))
  })

export function splitToLines(...args: Parameters<typeof splitCompleteLines>): { lines: NewLine[]; consumedBytes: number } {
  const { runs, consumedBytes } = splitCompleteLines(...args)
  return { lines: linesOf(...runs), consumedBytes }
}

export const append = (app: App, logId: string, messages: string[], at = new Date()): Promise<number | null> =>
  inTransaction(app, (work) =>
    appendLines(
      work,
      logId,
      messages.map((message) => runOf(lineOf(message, at), logLimits(app.settings).messageBytes)),
    ),
  )

/** Reads all stored batches. */
export async function readAll(app: App, logId: string, start: LogStart & { limit?: number } = {}): Promise<LogBatch[]> {
  const batches = [await readLog(app.db, logId, start)]
  for (;;) {
    const last = batches.at(-1)!
    const next = await readLog(app.db, logId, { after: last.cursor, limit: start.limit })
    if (next.lines.length === 0 && !next.gap) return batches
    batches.push(next)
  }
}

export const messagesOf = (batches: { lines: LogLine[] }[]): string[] => batches.flatMap(({ lines }) => lines.map(({ message }) => message))
export const seqsOf = (batches: { lines: LogLine[] }[]): number[] => batches.flatMap(({ lines }) => lines.map(({ seq }) => seq))

/** 1, 2, … n. */
export const countTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1)

export type Kept = { lines: number; bytes: number; weight: number }

/** The stored chunks of a log. */
export async function keptOf(app: App, logId: string): Promise<Kept> {
  const { rows } = await app.db.pool.query(
    `select coalesce(sum(last_seq - first_seq + 1), 0)::float8 as lines, coalesce(sum(bytes), 0)::float8 as bytes from log_chunk where log_id = $1`,
    [logId],
  )
  const { lines, bytes } = rows[0] as { lines: number; bytes: number }
  return { lines, bytes, weight: bytes + lines * 32 }
}
