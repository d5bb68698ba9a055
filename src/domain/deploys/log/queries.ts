/**
 * Reading a log: always from storage, one batch at a time, each by one statement, so that a batch and what it says of missing lines are
 * of one moment. The rights of the caller are those of the deployment or service, and are asked for there.
 */
import { z } from 'zod'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { cursorOf, foreignCursor, type LogBatch, type LogGap, type LogLine, type Position, positionOf, readChunk } from './model.ts'

export const maxTail = 10_000

/** What doors take: `after` beats the other two, of which the later one counts. */
export const logInput = z.object({
  after: z.string().nullish(),
  tail: z
    .number()
    .int()
    .min(0, { error: 'must be at least 0' })
    .max(maxTail, { error: `must be at most ${maxTail}` })
    .nullish(),
  since: z.date().nullish(),
})
export type LogStart = z.infer<typeof logInput>

/** Where to begin when nothing else says so: with the first line, or with those that come. */
export type LogMode = 'stored' | 'new'

export const defaultLines = 1_000
export const batchBytes = 1024 * 1024
const batchChunks = 200

/**
 * A batch of a log, from the beginning where nothing else is said. At most `limit` lines (default: `tail`, else 1000) and about
 * 1 MiB; the cursor goes on behind it. Throws `not_found` for an unknown log, and `invalid_input` for a cursor of another one.
 */
export async function readLog(tx: Tx, logId: string, { limit, ...start }: LogStart & { limit?: number } = {}): Promise<LogBatch> {
  const position = await startPosition(tx, logId, start, 'stored')
  const read = await readFrom(tx, logId, position, limit ?? (start.tail || defaultLines))
  return read.batch
}

/** Where a reader begins. */
export async function startPosition(tx: Tx, logId: string, { after, tail, since }: LogStart, mode: LogMode): Promise<Position> {
  if (typeof after === 'string') return positionOf(logId, after)
  const wantsTail = typeof tail === 'number'
  if (!wantsTail && !since && mode === 'stored') return { seq: 0, bytes: 0 }
  const log = await row<{ lastSeq: number; totalBytes: number }>(
    tx,
    sql`select (next_seq - 1)::float8 as last_seq, total_bytes::float8 from log where id = ${logId}::uuid`,
  )
  if (!log) throw errors.not_found()
  const end = { seq: log.lastSeq, bytes: log.totalBytes }
  const starts: Position[] = []
  if (wantsTail) starts.push(tail === 0 ? end : await positionAt(tx, logId, Math.max(0, end.seq - tail)))
  if (since) starts.push(await positionBefore(tx, logId, since))
  return starts.sort((a, b) => b.seq - a.seq)[0] ?? end
}

export type ChunkHeader = { firstSeq: number; lastSeq: number; bytesBefore: number; bytes: number }
type ChunkPlace = ChunkHeader & { lines: string }
const chunkPlace = sql`c.first_seq::float8, c.last_seq::float8, c.bytes_before::float8, c.bytes, c.lines`

/** The last stored chunk that begins at or before a line. */
const chunkUpTo = (tx: Tx, logId: string, seq: number) =>
  row<ChunkPlace>(
    tx,
    sql`select ${chunkPlace} from log_chunk c where c.log_id = ${logId}::uuid and c.first_seq <= ${seq}::bigint order by c.first_seq desc limit 1`,
  )

export const endOf = (chunk: ChunkHeader | null | undefined): Position =>
  chunk ? { seq: chunk.lastSeq, bytes: chunk.bytesBefore + chunk.bytes } : { seq: 0, bytes: 0 }

/** Behind a line. Where the next one is missing, before the hole that it is in, so that the hole is told whole. */
async function positionAt(tx: Tx, logId: string, seq: number): Promise<Position> {
  const chunk = await chunkUpTo(tx, logId, seq + 1)
  if (!chunk || chunk.lastSeq <= seq) return endOf(chunk)
  return advance(beginningOf(chunk), linesOf(chunk), (line) => line.seq <= seq)
}

/** Before the first line of a time or later; before the hole in front of it too, as that may hold such lines. */
async function positionBefore(tx: Tx, logId: string, since: Date): Promise<Position> {
  const chunk = await row<ChunkPlace & { firstAt: Date }>(
    tx,
    sql`select ${chunkPlace}, c.first_at from log_chunk c where c.log_id = ${logId}::uuid and c.last_at >= ${since} order by c.first_seq limit 1`,
  )
  if (!chunk || chunk.firstAt >= since) return endOf(await chunkUpTo(tx, logId, chunk ? chunk.firstSeq - 1 : Number.MAX_SAFE_INTEGER))
  return advance(beginningOf(chunk), linesOf(chunk), (line) => line.at < since)
}

export const beginningOf = (chunk: ChunkHeader): Position => ({ seq: chunk.firstSeq - 1, bytes: chunk.bytesBefore })
const linesOf = (chunk: ChunkPlace): LogLine[] => readChunk(chunk.firstSeq, chunk.lines)

/** Over the first lines, as far as they are before what is asked for. */
export function advance(from: Position, lines: readonly LogLine[], isBefore: (line: LogLine) => boolean): Position {
  const position = { ...from }
  for (const line of lines) {
    if (!isBefore(line)) break
    position.seq = line.seq
    position.bytes += Buffer.byteLength(line.message)
  }
  return position
}

export type LogRead = {
  batch: LogBatch
  /** Behind the batch. */
  position: Position
  /** Nothing is stored behind it. */
  isAtEnd: boolean
}

export type LogState = { endSeq: number; totalBytes: number; expiredSeq: number; isCompleted: boolean }
type Found = LogState & (ChunkPlace | { [Key in keyof ChunkPlace]: null })

/** The batch behind a position. Throws `not_found` when the log is gone, `invalid_input` for a position that it hasn't reached. */
export async function readFrom(tx: Tx, logId: string, from: Position, limit: number): Promise<LogRead> {
  const found = await rows<Found>(
    tx,
    sql`select (l.next_seq - 1)::float8 as end_seq, l.total_bytes::float8, l.expired_seq::float8, l.completed_at is not null as is_completed,
          ${chunkPlace}
        from log l left join lateral (
          select * from (
            select k.*, sum(k.bytes) over (order by k.first_seq) - k.bytes as bytes_ahead from (
              select * from log_chunk
              where log_id = l.id and last_seq > ${from.seq}::bigint and first_seq >= coalesce(
                (select max(first_seq) from log_chunk where log_id = l.id and first_seq <= ${from.seq + 1}::bigint), 0)
              order by first_seq limit ${Math.min(limit, batchChunks)}) k) w
          where w.bytes_ahead < ${batchBytes}) c on true
        where l.id = ${logId}::uuid order by c.first_seq`,
  )
  const log = found[0]
  if (!log) throw errors.not_found()
  if (from.seq > log.endSeq) throw foreignCursor()
  const chunks = found.filter((chunk) => chunk.firstSeq !== null)
  return assemble({ logId, log, chunks, linesOf, from, limit })
}

export type Parts<Chunk extends ChunkHeader> = {
  logId: string
  log: LogState
  /** What was read, oldest first; none: nothing is stored behind `from`. */
  chunks: readonly Chunk[]
  linesOf: (chunk: Chunk) => LogLine[]
  from: Position
  limit: number
}

/** Puts a batch together, up to its limit or the second hole. */
export function assemble<Chunk extends ChunkHeader>({ logId, log, chunks, linesOf, from, limit }: Parts<Chunk>): LogRead {
  const lines: LogLine[] = []
  let position = from
  let gap: LogGap | null = null
  const cross = (to: Position) => {
    const reason = to.seq <= log.expiredSeq ? 'RETENTION' : 'BYTE_CAP'
    gap = { fromSeq: position.seq + 1, toSeq: to.seq, lines: to.seq - position.seq, bytes: Math.max(0, to.bytes - position.bytes), reason }
    position = to
  }
  for (const chunk of chunks) {
    if (lines.length >= limit) break
    if (chunk.firstSeq > position.seq + 1) {
      if (gap) break
      cross({ seq: chunk.firstSeq - 1, bytes: chunk.bytesBefore })
    }
    const unseen = linesOf(chunk).slice(position.seq + 1 - chunk.firstSeq)
    const taken = unseen.slice(0, limit - lines.length)
    lines.push(...taken)
    const bytes = taken.reduce((sum, line) => sum + Buffer.byteLength(line.message), position.bytes)
    position = taken.length === unseen.length ? endOf(chunk) : { seq: position.seq + taken.length, bytes }
  }
  // Chunks that expired at the end of a log have nothing behind them.
  if (chunks.length === 0 && position.seq < log.endSeq) cross({ seq: log.endSeq, bytes: log.totalBytes })
  const isAtEnd = position.seq === log.endSeq
  const batch = { lines, cursor: cursorOf(logId, position), gap, complete: log.isCompleted && isAtEnd, hasMore: !isAtEnd }
  return { batch, position, isAtEnd }
}
