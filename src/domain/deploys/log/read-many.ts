/**
 * Reads batches of many logs at once, for operations that select several. The number of statements does not grow with the number of
 * logs, and one size limit applies to all of them. When a log with `tail` does not fit, its newest lines are returned.
 */
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { DomainError, errors } from '../../../platform/errors.ts'
import type { Pace } from '../../../platform/pace.ts'
import { readChunk } from './chunk.ts'
import { cursorOf, foreignCursor, type LogBatch, type LogLine, lineOverheadBytes, type Position, positionOf } from './model.ts'
import {
  advance,
  assemble,
  batchBytes,
  beginningOf,
  type ChunkHeader,
  defaultLines,
  endOf,
  type LogStart,
  type LogState,
} from './queries.ts'

export type LogRequest = { logId: string; start: LogStart }

export type ReadLimits = {
  /** Bytes left for all logs together. Everything that is read is deducted. */
  room: { readonly bytesLeft: number; takeBytes(count: number): void }
  pace?: Pace
}

const chunksOfLog = 1_000
const chunksOfAll = 8_000
/** Bytes that one statement reads. */
const portionBytes = 1024 * 1024

type Header = ChunkHeader & { firstAt: Date }
type State = LogState & { fromSeq: number }

/** A log that is being read. */
type Reading = {
  logId: string
  start: LogStart
  state: State
  /** Position of the cursor `after`. */
  after: Position | null
  /** The last chunk before the requested lines, then the chunks that contain them, oldest first. */
  headers: Header[]
  /** Whether the log may have more requested chunks than these. */
  hasMoreHeaders: boolean
  /** Chunks whose lines are read, oldest first. */
  chosen: Header[]
  /** Whether some requested chunks are not chosen. */
  isCut: boolean
}

/** Returns the batch of each request, in order, or the error of a log that can't be read: `not_found`, or `invalid_input` for its cursor. */
export async function readLogs(tx: Tx, requests: readonly LogRequest[], { room, pace }: ReadLimits): Promise<(LogBatch | DomainError)[]> {
  const places = requests.map(placeOf)
  const readings = await readHeaders(tx, places)
  choose(readings.filter(isFine), room)
  const lines = await readLines(tx, readings, pace)
  const batches: (LogBatch | DomainError)[] = []
  for (const reading of readings) {
    await pace?.next()
    batches.push(reading instanceof DomainError ? reading : batchOf(reading, lines))
  }
  return batches
}

const isFine = <Item extends object>(item: Item | DomainError): item is Item => !(item instanceof DomainError)

type Place = LogRequest & { after: Position | null }

function placeOf({ logId, start }: LogRequest): Place | DomainError {
  if (typeof start.after !== 'string') return { logId, start, after: null }
  try {
    return { logId, start: { tail: start.tail }, after: positionOf(logId, start.after) }
  } catch (error) {
    if (error instanceof DomainError) return error
    throw error
  }
}

/** Whether the log is read from its end. */
const isTail = ({ start, after }: Pick<Reading, 'start' | 'after'>) => after === null && typeof start.tail === 'number'
const limitOf = ({ start: { tail } }: Pick<Reading, 'start'>) => tail || defaultLines

/** Reads the state of each log and the headers of its requested chunks, all from one snapshot. */
async function readHeaders(tx: Tx, places: readonly (Place | DomainError)[]): Promise<(Reading | DomainError)[]> {
  const asked = places.filter(isFine)
  if (asked.length === 0) return places as DomainError[]
  const most = Math.min(chunksOfLog, Math.ceil(chunksOfAll / asked.length))
  const headers = sql`c.first_seq::float8, c.last_seq::float8, c.bytes_before::float8, c.bytes, c.first_at`
  const fromStart = sql`c.log_id = l.id and c.first_seq >= coalesce(
    (select max(p.first_seq) from log_chunk p where p.log_id = l.id and p.first_seq <= s.from_seq), 0)`
  const found = await rows<State & { n: number } & (Header | { [Key in keyof Header]: null })>(
    tx,
    sql`select r.n::int, (l.next_seq - 1)::float8 as end_seq, l.total_bytes::float8, l.expired_seq::float8, l.completed_at is not null as is_completed,
          s.from_seq::float8, k.*
        from unnest(${asked.map(({ logId }) => logId)}::uuid[], ${asked.map(({ after }) => after?.seq ?? null)}::bigint[],
            ${asked.map((place) => (isTail(place) ? place.start.tail : null))}::int[],
            ${asked.map(({ start, after }) => (after ? null : (start.since ?? null)))}::timestamptz[]) with ordinality as r(log_id, after, tail, since, n)
        join log l on l.id = r.log_id
        cross join lateral (
          select coalesce(r.after, greatest(l.next_seq - 1 - r.tail,
            case when r.since is not null then coalesce(
              (select c.first_seq - 1 from log_chunk c where c.log_id = l.id and c.last_at >= r.since order by c.first_seq limit 1),
              l.next_seq - 1) end, 0)) as from_seq) s
        left join lateral (
          (select ${headers} from log_chunk c where r.tail is null and ${fromStart} order by c.first_seq limit ${most})
          union all
          (select ${headers} from log_chunk c where r.tail is not null and ${fromStart} order by c.first_seq desc limit ${most})) k on true
        order by r.n, k.first_seq`,
  )
  const byPlace = Map.groupBy(found, ({ n }) => n)
  let n = 0
  return places.map((place) => {
    if (place instanceof DomainError) return place
    const own = byPlace.get(++n)
    if (!own) return errors.not_found()
    if (place.after && place.after.seq > own[0]!.endSeq) return foreignCursor()
    const headers = own.filter((header) => header.firstSeq !== null)
    return { ...place, state: own[0]!, headers, hasMoreHeaders: headers.length >= most, chosen: [], isCut: false }
  })
}

const countOf = ({ firstSeq, lastSeq }: Header) => lastSeq - firstSeq + 1
/** Bytes of lines of a chunk, estimated by the average of all its lines, if each line has some bytes in addition to its message. */
const bytesOf = (chunk: Header, lines: number, additional: number) => Math.ceil(lines * (chunk.bytes / countOf(chunk) + additional))
/** Bytes of the other fields of a line in a response. */
const fieldBytes = 96
const keyOf = (logId: string, { firstSeq }: ChunkHeader) => `${logId}:${firstSeq}`

/** Chooses one chunk of each log in turn, so that large logs leave room for small ones. */
function choose(readings: readonly Reading[], room: ReadLimits['room']): void {
  let open = readings.map((reading) => ({ reading, chunks: chunksInOrder(reading) }))
  while (open.length > 0) {
    open = open.filter(({ reading, chunks }) => {
      const { value: requested } = chunks.next()
      if (!requested) return false
      const { chunk, lines } = requested
      const weight = bytesOf(chunk, lines, fieldBytes)
      if (weight > room.bytesLeft) {
        reading.isCut = true
        return false
      }
      room.takeBytes(weight)
      reading.chosen.push(chunk)
      return true
    })
  }
  for (const reading of readings) if (isTail(reading)) reading.chosen.reverse()
}

/**
 * The chunks to read of one log, with the number of requested lines in each, starting at the end that is read first. Sets `isCut` when
 * requested chunks remain.
 */
function* chunksInOrder(reading: Reading): Generator<{ chunk: Header; lines: number }, undefined> {
  const { headers, state } = reading
  const wanted = headers.filter(({ lastSeq }) => lastSeq > state.fromSeq)
  const fromEnd = isTail(reading)
  if (fromEnd) wanted.reverse()
  let [bytes, left, gaps] = [0, fromEnd ? Number.POSITIVE_INFINITY : limitOf(reading), 0]
  let former: Header | undefined
  for (const chunk of wanted) {
    // A batch reports at most one gap.
    if (former && fromEnd && chunk.lastSeq + 1 < former.firstSeq) gaps++
    if (bytes >= batchBytes || gaps > 1) {
      reading.isCut = true
      return
    }
    if (left <= 0) return
    const lines = Math.min(left, chunk.lastSeq - Math.max(chunk.firstSeq, state.fromSeq + 1) + 1)
    bytes += bytesOf(chunk, lines, lineOverheadBytes)
    left -= lines
    former = chunk
    yield { chunk, lines }
  }
  const isShort = fromEnd && former !== undefined && former.firstSeq > state.fromSeq + 1
  if (isShort && (gaps > 0 || (reading.hasMoreHeaders && headers[0] === former))) reading.isCut = true
}

/** Lines of all chosen chunks, by chunk. Chunks that were deleted in the meantime are absent. */
async function readLines(tx: Tx, readings: readonly (Reading | DomainError)[], pace: Pace | undefined): Promise<Map<string, LogLine[]>> {
  const chosen = new Map<string, { logId: string; chunk: Header }>()
  for (const reading of readings) {
    if (reading instanceof DomainError) continue
    for (const chunk of reading.chosen) chosen.set(keyOf(reading.logId, chunk), { logId: reading.logId, chunk })
  }
  const lines = new Map<string, LogLine[]>()
  for (const portion of portionsOf([...chosen.values()])) {
    await pace?.next()
    const found = await rows<{ logId: string; firstSeq: number; lines: Uint8Array }>(
      tx,
      sql`select c.log_id, c.first_seq::float8, c.lines from unnest(${portion.map(({ logId }) => logId)}::uuid[],
            ${portion.map(({ chunk }) => chunk.firstSeq)}::bigint[]) as k(log_id, first_seq)
          join log_chunk c on c.log_id = k.log_id and c.first_seq = k.first_seq`,
    )
    for (const chunk of found) {
      await pace?.next()
      lines.set(`${chunk.logId}:${chunk.firstSeq}`, readChunk(chunk.firstSeq, chunk.lines))
    }
  }
  return lines
}

function* portionsOf(chosen: readonly { logId: string; chunk: Header }[]): Generator<{ logId: string; chunk: Header }[]> {
  let portion: { logId: string; chunk: Header }[] = []
  let bytes = 0
  for (const item of chosen) {
    portion.push(item)
    bytes += item.chunk.bytes
    if (bytes < portionBytes) continue
    yield portion
    portion = []
    bytes = 0
  }
  if (portion.length > 0) yield portion
}

function batchOf(reading: Reading, lines: ReadonlyMap<string, LogLine[]>): LogBatch {
  const { logId, state, headers } = reading
  const stored = (chunk: Header) => lines.get(keyOf(logId, chunk))
  const limit = limitOf(reading)
  if (!isTail(reading)) {
    const gone = reading.chosen.findIndex((chunk) => !stored(chunk))
    const chunks = gone < 0 ? reading.chosen : reading.chosen.slice(0, gone)
    const from = reading.after ?? startOf(reading, stored)
    const isNothingRead = chunks.length === 0 && headers.some(({ lastSeq }) => lastSeq > state.fromSeq)
    if (isNothingRead) return { lines: [], cursor: cursorOf(logId, from), gap: null, complete: false, hasMore: true }
    return assemble({ logId, log: state, chunks, linesOf: (chunk) => stored(chunk)!, from, limit }).batch
  }
  const end = { seq: state.endSeq, bytes: state.totalBytes }
  const gone = reading.chosen.findLastIndex((chunk) => !stored(chunk))
  const chunks = reading.chosen.slice(gone + 1)
  const isCut = reading.isCut || gone >= 0
  if (state.fromSeq === state.endSeq || (chunks.length === 0 && isCut)) {
    const { batch } = assemble({ logId, log: state, chunks: [], linesOf: () => [], from: end, limit })
    return { ...batch, hasMore: isCut }
  }
  const first = chunks[0]
  const isWhole = !isCut || (first !== undefined && first.firstSeq <= state.fromSeq + 1)
  const from = isWhole ? startOf(reading, stored) : beginningOf(first!)
  const { batch } = assemble({ logId, log: state, chunks, linesOf: (chunk) => stored(chunk)!, from, limit })
  return { ...batch, hasMore: isCut }
}

/** Position before the first requested line. If that line is missing, before its gap, so that the gap is reported whole. */
function startOf({ headers, state, start }: Reading, stored: (chunk: Header) => LogLine[] | undefined): Position {
  const { since } = start
  const first = headers.find(({ lastSeq }) => lastSeq > state.fromSeq)
  const before = endOf(headers.findLast(({ lastSeq }) => lastSeq <= state.fromSeq))
  if (!first) return before
  const isByTail = typeof start.tail === 'number' && Math.max(0, state.endSeq - start.tail) === state.fromSeq
  const mayLackLines = since && !isByTail && first.firstAt >= since
  if (first.firstSeq > state.fromSeq + 1 || mayLackLines) return before
  return advance(beginningOf(first), stored(first) ?? [], (line) => line.seq <= state.fromSeq || (since ? line.at < since : false))
}
