/**
 * Reads a log from storage, one batch at a time. Each batch is read by one statement, so that its lines and its gap are consistent. The
 * caller's permissions are checked by the concepts whose logs these are.
 */
import { z } from 'zod'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { readChunk } from './chunk.ts'
import { cursorOf, foreignCursor, type LogBatch, type LogGap, type LogLine, type Position, positionOf } from './model.ts'

export const maxTail = 10_000

/** Where to start reading. `after` takes precedence. Of `tail` and `since`, the one that starts later applies. */
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

/** Where to start by default: with the first stored line, or with the next new one. */
export type LogMode = 'stored' | 'new'

export const defaultLines = 1_000
export const batchBytes = 1024 * 1024
const batchChunks = 200

/**
 * Reads a batch of a log, by default from its beginning, with at most `limit` lines (default: `tail`, or 1000) and about 1 MiB. Throws
 * `not_found` if the log does not exist, and `invalid_input` if the cursor belongs to another log.
 */
export async function readLog(tx: Tx, logId: string, { limit, ...start }: LogStart & { limit?: number } = {}): Promise<LogBatch> {
  const position = await startPosition(tx, logId, start, 'stored')
  const read = await readFrom(tx, logId, position, limit ?? (start.tail || defaultLines))
  return read.batch
}

/** The position at which to start reading. */
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
type ChunkPlace = ChunkHeader & { lines: Uint8Array }
const chunkPlace = sql`c.first_seq::float8, c.last_seq::float8, c.bytes_before::float8, c.bytes, c.lines`

/** The last stored chunk that starts at or before a line. */
const chunkUpTo = (tx: Tx, logId: string, seq: number) =>
  row<ChunkPlace>(
    tx,
    sql`select ${chunkPlace} from log_chunk c where c.log_id = ${logId}::uuid and c.first_seq <= ${seq}::bigint order by c.first_seq desc limit 1`,
  )

export const endOf = (chunk: ChunkHeader | null | undefined): Position =>
  chunk ? { seq: chunk.lastSeq, bytes: chunk.bytesBefore + chunk.bytes } : { seq: 0, bytes: 0 }

/** Position after a line. If the next line is missing, before its gap, so that the gap is reported whole. */
async function positionAt(tx: Tx, logId: string, seq: number): Promise<Position> {
  const chunk = await chunkUpTo(tx, logId, seq + 1)
  if (!chunk || chunk.lastSeq <= seq) return endOf(chunk)
  return advance(beginningOf(chunk), linesOf(chunk), (line) => line.seq <= seq)
}

/** Position before the first line at or after a time, and before the gap in front of that line, which may contain such lines too. */
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

/** Moves a position past the first lines for which `isBefore` holds. */
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
  /** Position after the batch. */
  position: Position
  /** Whether the batch reaches the current end of the log. */
  isAtEnd: boolean
}

export type LogState = { endSeq: number; totalBytes: number; expiredSeq: number; isCompleted: boolean }
type Found = LogState & (ChunkPlace | { [Key in keyof ChunkPlace]: null })

/** Reads the batch after a position. Throws `not_found` if the log was deleted, and `invalid_input` for a position past its end. */
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
  /** Chunks that were read, oldest first. Empty if nothing is stored after `from`. */
  chunks: readonly Chunk[]
  linesOf: (chunk: Chunk) => LogLine[]
  from: Position
  limit: number
}

/** Assembles a batch, up to its limit or its second gap. */
export function assemble<Chunk extends ChunkHeader>({ logId, log, chunks, linesOf, from, limit }: Parts<Chunk>): LogRead {
  const lines: LogLine[] = []
  let position = from
  let gap: LogGap | null = null
  const skipGap = (to: Position) => {
    const reason = to.seq <= log.expiredSeq ? 'RETENTION' : 'BYTE_CAP'
    gap = { fromSeq: position.seq + 1, toSeq: to.seq, lines: to.seq - position.seq, bytes: Math.max(0, to.bytes - position.bytes), reason }
    position = to
  }
  for (const chunk of chunks) {
    if (lines.length >= limit) break
    if (chunk.firstSeq > position.seq + 1) {
      if (gap) break
      skipGap({ seq: chunk.firstSeq - 1, bytes: chunk.bytesBefore })
    }
    const unseen = linesOf(chunk).slice(position.seq + 1 - chunk.firstSeq)
    const taken = unseen.slice(0, limit - lines.length)
    lines.push(...taken)
    const bytes = taken.reduce((sum, line) => sum + Buffer.byteLength(line.message), position.bytes)
    position = taken.length === unseen.length ? endOf(chunk) : { seq: position.seq + taken.length, bytes }
  }
  // The expired chunks at the end of a log are a gap without a chunk after it.
  if (chunks.length === 0 && position.seq < log.endSeq) skipGap({ seq: log.endSeq, bytes: log.totalBytes })
  const isAtEnd = position.seq === log.endSeq
  const batch = { lines, cursor: cursorOf(logId, position), gap, complete: log.isCompleted && isAtEnd, hasMore: !isAtEnd }
  return { batch, position, isAtEnd }
}
