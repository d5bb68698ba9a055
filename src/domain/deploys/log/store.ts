/** Stores logs: creates, appends, completes and trims them. Lines are numbered by the log's row, whose lock serializes all writers. */
import type { Log } from '../../../generated/prisma/client.ts'
import { type Db, row, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { throughOutages } from '../../../platform/outage.ts'
import type { Settings } from '../../../platform/settings.ts'
import type { App, Work } from '../../../platform/work.ts'
import { createChunker, type NewChunk, weightOf } from './chunk.ts'
import { type LineRun, type LogLimits, lineOverheadBytes, logLimits, logTopic } from './model.ts'

type ServiceRef = { organizationId: string; webServiceId: string }

/** Returns the log of a deployment. Creates it if it does not exist. */
export async function ensureDeploymentLog(
  tx: Tx,
  { organizationId, webServiceId, deploymentId }: ServiceRef & { deploymentId: string },
): Promise<Log> {
  const find = () =>
    row<Log>(tx, sql`select * from log where organization_id = ${organizationId}::uuid and deployment_id = ${deploymentId}::uuid`)
  return (await find()) ?? (await insertLog(tx, { organizationId, webServiceId, deploymentId })) ?? required(await find())
}

/** Returns the runtime log of a service. Creates it if it does not exist. */
export async function ensureServiceLog(tx: Tx, { organizationId, webServiceId }: ServiceRef): Promise<Log> {
  const find = () =>
    row<Log>(
      tx,
      sql`select * from log
          where organization_id = ${organizationId}::uuid and web_service_id = ${webServiceId}::uuid and deployment_id is null`,
    )
  return (await find()) ?? (await insertLog(tx, { organizationId, webServiceId, deploymentId: null })) ?? required(await find())
}

/** Identifies the runtime log of a service, or the log of one of its deployments. */
export type LogPlace = ServiceRef & { deploymentId: string | null }

/** Returns the ids of several logs, in order. Creates those that do not exist. */
export async function ensureLogs(tx: Tx, places: readonly LogPlace[]): Promise<string[]> {
  const keyOf = ({ webServiceId, deploymentId }: Pick<LogPlace, 'webServiceId' | 'deploymentId'>) => deploymentId ?? webServiceId
  const placesTable = (missing: readonly LogPlace[]) =>
    sql`unnest(${missing.map(() => newId())}::uuid[], ${missing.map(({ organizationId }) => organizationId)}::uuid[],
          ${missing.map(({ webServiceId }) => webServiceId)}::uuid[], ${missing.map(({ deploymentId }) => deploymentId)}::uuid[])
        as p(id, organization_id, web_service_id, deployment_id)`
  const find = async () => {
    const found = await rows<{ id: string; webServiceId: string; deploymentId: string | null }>(
      tx,
      sql`select l.id, l.web_service_id, l.deployment_id from ${placesTable(places)} join log l on l.organization_id = p.organization_id
          and case when p.deployment_id is null then l.web_service_id = p.web_service_id and l.deployment_id is null else l.deployment_id = p.deployment_id end`,
    )
    return new Map(found.map((log) => [keyOf(log), log.id]))
  }
  let known = await find()
  const missing = places.filter((place) => !known.has(keyOf(place)))
  if (missing.length > 0) {
    await run(
      tx,
      sql`insert into log (id, organization_id, web_service_id, deployment_id)
          select p.id, p.organization_id, p.web_service_id, p.deployment_id from ${placesTable(missing)} on conflict do nothing`,
    )
    known = await find()
  }
  return places.map((place) => {
    const id = known.get(keyOf(place))
    if (!id) throw new Error('The log could neither be found nor created.')
    return id
  })
}

/** Returns null if the log exists already. */
const insertLog = (tx: Tx, { organizationId, webServiceId, deploymentId }: ServiceRef & { deploymentId: string | null }) =>
  row<Log>(
    tx,
    sql`insert into log (id, organization_id, web_service_id, deployment_id)
        values (${newId()}::uuid, ${organizationId}::uuid, ${webServiceId}::uuid, ${deploymentId}::uuid)
        on conflict do nothing returning *`,
  )

function required(log: Log | null): Log {
  if (!log) throw new Error('The log could neither be found nor created.')
  return log
}

/** Ends a log, after which nothing is appended. Returns false if it has ended before. Close its writer first. */
export async function completeLog({ tx, wake }: Pick<Work, 'tx' | 'wake'>, logId: string): Promise<boolean> {
  const completed = await run(tx, sql`update log set completed_at = app_now() where id = ${logId}::uuid and completed_at is null`)
  if (completed > 0) wake(logTopic(logId))
  return completed > 0
}

/**
 * Appends in the caller's transaction, so that the caller can store its offset in the source with the lines. Returns the number of the
 * first line, or null if there are no lines, or if the log has ended or was deleted and the lines are dropped. Locks the log's row until
 * the transaction ends.
 */
export async function appendLines(
  { app, tx, wake }: Pick<Work, 'app' | 'tx' | 'wake'>,
  logId: string,
  lines: Iterable<LineRun>,
): Promise<number | null> {
  const limits = logLimits(app.settings)
  let firstSeq: number | null = null
  for (const flush of flushesOf(chunksOf(lines, limits), limits)) {
    const appended = await appendChunks((query) => rows(tx, query), logId, flush, limits)
    if (appended === null) return null
    firstSeq ??= appended
  }
  if (firstSeq !== null) wake(logTopic(logId))
  return firstSeq
}

/**
 * Appends lines and stores the offset in their source (see `appendChunks`) in one statement. Returns false if nothing was stored, which
 * includes too many lines for one statement.
 */
export async function appendAtOnce(app: App, logId: string, lines: Iterable<LineRun>, source: Sql): Promise<boolean> {
  const limits = logLimits(app.settings)
  const [flush, more] = flushesOf(chunksOf(lines, limits), limits)
  if (!flush || more) return false
  if ((await appendChunks(sendDirectly(app.db), logId, flush, limits, source)) === null) return false
  app.wake.notify(logTopic(logId))
  return true
}

function* chunksOf(lines: Iterable<LineRun>, limits: LogLimits): Generator<NewChunk> {
  const chunker = createChunker(limits)
  for (const run of lines) yield* chunker.add(run)
  const last = chunker.seal()
  if (last) yield last
}

type Send = (query: Sql) => Promise<{ seq: number; full: boolean }[]>

/** Runs each statement on its own. Bypasses Prisma, with which heavy output took 380 MB of memory instead of 80 MB. */
const sendDirectly =
  (db: Db): Send =>
  async ({ text, values }) =>
    (await db.pool.query(text, values)).rows

const maxFlushChunks = 32

/** Groups chunks by the size limit of one statement. */
export function* flushesOf(chunks: Iterable<NewChunk>, { flushBytes }: LogLimits): Generator<NewChunk[]> {
  let group: NewChunk[] = []
  let weight = 0
  for (const chunk of chunks) {
    if (group.length === maxFlushChunks || (group.length > 0 && weight + weightOf(chunk) > flushBytes)) {
      yield group
      group = []
      weight = 0
    }
    group.push(chunk)
    weight += weightOf(chunk)
  }
  if (group.length > 0) yield group
}

/**
 * Appends chunks that fit one statement, returns the number of their first line, and trims the log to its byte cap. Returns null if the
 * log has ended or was deleted, and nothing was stored. `source` is a statement that stores the offset in the lines' source. It takes effect
 * together with the append or not at all; if it returns no row, nothing is stored, and the result is null. Between the append and the
 * trim, a log can exceed its cap by one flush.
 */
export async function appendChunks(send: Send, logId: string, chunks: NewChunk[], limits: LogLimits, source?: Sql): Promise<number | null> {
  const count = chunks.reduce((sum, chunk) => sum + chunk.count, 0)
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
  const weight = bytes + count * lineOverheadBytes
  let [lines, before, start] = [0, 0, 1]
  const offsets = chunks.map((chunk) => {
    const offset = { lines, before, start }
    lines += chunk.count
    before += chunk.bytes
    start += chunk.lines.length
    return offset
  })
  const [appended] = await send(
    sql`with source as (${source ?? sql`select 1`}), allotted as (
          update log set
            head_seq = case when head_seq is null and total_bytes + (next_seq - 1) * ${lineOverheadBytes}::int + ${weight}::int > ${limits.halfBytes}::bigint
              then next_seq - 1 else head_seq end,
            next_seq = next_seq + ${count}::int,
            total_bytes = total_bytes + ${bytes}::int
          where id = ${logId}::uuid and completed_at is null and exists (select from source)
          returning next_seq - ${count}::int as first_seq, total_bytes - ${bytes}::int as bytes_before, head_seq),
        stored as (
          insert into log_chunk (log_id, first_seq, last_seq, bytes_before, bytes, first_at, last_at, lines)
          select ${logId}::uuid, a.first_seq + c.lines_offset, a.first_seq + c.lines_offset + c.count - 1, a.bytes_before + c.bytes_offset, c.bytes,
            to_timestamp(c.first_at / 1000.0), to_timestamp(c.last_at / 1000.0),
            substring(${Buffer.concat(chunks.map((chunk) => chunk.lines))}::bytea from c.start for c.length)
          from allotted a, unnest(
            ${offsets.map((offset) => offset.lines)}::int[], ${chunks.map((chunk) => chunk.count)}::int[],
            ${offsets.map((offset) => offset.before)}::int[], ${chunks.map((chunk) => chunk.bytes)}::int[],
            ${chunks.map((chunk) => chunk.firstAt)}::float8[], ${chunks.map((chunk) => chunk.lastAt)}::float8[],
            ${offsets.map((offset) => offset.start)}::int[], ${chunks.map((chunk) => chunk.lines.length)}::int[]
          ) as c(lines_offset, count, bytes_offset, bytes, first_at, last_at, start, length))
        select first_seq::float8 as seq, head_seq is not null as full from allotted`,
  )
  if (!appended) return null
  if (appended.full) await trim(send, logId, limits)
  return appended.seq
}

/**
 * Like `appendChunks`, outside a transaction, and waits while the database is unavailable. A statement that failed with its connection may
 * have been committed. Before it is repeated, its first chunk is searched for after `ownSeq`, the last line that this writer knows to be
 * stored, so that nothing is stored twice.
 */
export function appendThroughOutages(app: App, logId: string, chunks: NewChunk[], ownSeq: number): Promise<number | null> {
  const send = sendDirectly(app.db)
  let mayBeStored = false
  return throughOutages(app, async () => {
    const known = mayBeStored ? await findChunk(send, logId, chunks[0]!, ownSeq) : null
    mayBeStored = true
    return known ?? appendChunks(send, logId, chunks, logLimits(app.settings))
  })
}

const findChunk = async (
  send: Send,
  logId: string,
  { count, bytes, firstAt, lines }: NewChunk,
  afterSeq: number,
): Promise<number | null> => {
  const [found] = await send(
    sql`select first_seq::float8 as seq, false as full from log_chunk
        where log_id = ${logId}::uuid and first_seq > ${afterSeq}::bigint and last_seq = first_seq + ${count}::int - 1 and bytes = ${bytes}::int
          and first_at = to_timestamp(${firstAt}::float8 / 1000.0) and lines = ${lines}::bytea
        order by first_seq limit 1`,
  )
  return found?.seq ?? null
}

/**
 * Deletes the chunks between the kept head and the kept tail. It is a separate statement, because it must see what other writers appended
 * while the append waited. A log only grows, so a chunk that its snapshot allows to be deleted is never needed again.
 */
async function trim(send: Send, logId: string, { halfBytes }: LogLimits): Promise<void> {
  await send(
    sql`delete from log_chunk c using log l
        where l.id = ${logId}::uuid and c.log_id = ${logId}::uuid and c.first_seq > l.head_seq
        and c.bytes_before + (c.first_seq - 1) * ${lineOverheadBytes}::int < l.total_bytes + (l.next_seq - 1) * ${lineOverheadBytes}::int - ${halfBytes}::bigint`,
  )
}

const expiryPortion = 1_000

/** Deletes some of the chunks whose lines are all older than the retention period. Returns their number. */
export async function expireChunks(tx: Tx, { LOG_RETENTION_MS }: Pick<Settings, 'LOG_RETENTION_MS'>): Promise<number> {
  const cutoff = sql`app_now() - ${LOG_RETENTION_MS}::float8 * interval '1 millisecond'`
  const oldest = await row<{ logId: string }>(tx, sql`select log_id from log_chunk where last_at < ${cutoff} order by last_at limit 1`)
  if (!oldest) return 0
  // Chunks that a concurrent trim is deleting are skipped. Waiting for them while holding the log's row could deadlock.
  const expired = await row<{ chunks: number }>(
    tx,
    sql`with held as (select id from log where id = ${oldest.logId}::uuid for update),
        due as (
          select c.first_seq from log_chunk c join held on c.log_id = held.id
          where c.last_at < ${cutoff} order by c.first_seq limit ${expiryPortion} for update of c skip locked),
        removed as (
          delete from log_chunk c using due where c.log_id = ${oldest.logId}::uuid and c.first_seq = due.first_seq returning c.last_seq),
        recorded as (
          update log set expired_seq = greatest(expired_seq, (select max(last_seq) from removed))
          where id = ${oldest.logId}::uuid and exists (select from removed) returning id)
        select (select count(*)::int from removed) as chunks, (select count(*) from recorded)`,
  )
  return expired?.chunks ?? 0
}
