/**
 * Parts of a log: lines, the chunks in which they are stored, and the position of a reader. Pure: nothing here accesses the database.
 */
import { errors } from '../../../platform/errors.ts'
import type { Settings } from '../../../platform/settings.ts'
import type { OutputStream } from './ports.ts'

export const logLevels = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const
export type LogLevel = (typeof logLevels)[number]

export type LogLine = {
  /** Number of the line in the log: consecutive, starting at 1. */
  seq: number
  at: Date
  stream: OutputStream
  /** Null if unknown. */
  level: LogLevel | null
  instanceId: string | null
  message: string
  /** Whether the message was longer and its end was removed. */
  truncated: boolean
}

export type NewLine = Omit<LogLine, 'seq'>

/** Reason that lines are missing. If both apply to a gap, that of its last line. */
export type LogGapReason = 'BYTE_CAP' | 'RETENTION'
export type LogGap = { fromSeq: number; toSeq: number; lines: number; bytes: number; reason: LogGapReason }

export type LogBatch = {
  lines: LogLine[]
  /** Pass it as `after` to read on after this batch. */
  cursor: string
  /** Missing lines in the range of this batch, which has at most one gap. */
  gap: LogGap | null
  /** Whether the log has ended and its last line is in this batch or an earlier one. */
  complete: boolean
  /** Whether requested lines are not in this batch. They follow its cursor; of a tail, they precede its first line. */
  hasMore: boolean
}

/** Topic that is notified after each append and on completion. */
export const logTopic = (logId: string): string => `log:${logId}`

/** Default level of a stream. The level of a program's output is unknown. */
export const levelOf = (stream: OutputStream): LogLevel | null => (stream === 'system' ? 'INFO' : null)

export const maxChunkLines = 200
const maxMessageBytes = 16 * 1024
const maxChunkBytes = 256 * 1024
const maxFlushBytes = 1024 * 1024

/** Bytes counted for each line in addition to its message, so that the cap applies to empty lines too. */
export const lineOverheadBytes = 32

/** Size limits for a byte cap. A small cap also limits chunks and messages, so that each half of the log holds several chunks. */
export function logLimits({ LOG_MAX_BYTES }: Pick<Settings, 'LOG_MAX_BYTES'>) {
  const flushBytes = Math.min(maxFlushBytes, Math.floor(LOG_MAX_BYTES / 4))
  const chunkBytes = Math.min(maxChunkBytes, flushBytes)
  return {
    /** Half of the cap: the size of the kept head, and of the kept tail. */
    halfBytes: Math.floor(LOG_MAX_BYTES / 2),
    flushBytes,
    chunkBytes,
    messageBytes: Math.min(maxMessageBytes, chunkBytes - lineOverheadBytes),
  }
}
export type LogLimits = ReturnType<typeof logLimits>

/** Lines to store. They are numbered when they are stored. */
export type NewChunk = { count: number; bytes: number; firstAt: number; lastAt: number; lines: string }

export const weightOf = (chunk: { count: number; bytes: number }): number => chunk.bytes + chunk.count * lineOverheadBytes

/** Collects lines into chunks. Truncates long lines and removes NUL, which PostgreSQL can't store. */
export function createChunker(limits: LogLimits) {
  let parts: string[] = []
  let [bytes, firstAt, lastAt] = [0, 0, 0]

  const seal = (): NewChunk | null => {
    if (parts.length === 0) return null
    const chunk = { count: parts.length, bytes, firstAt, lastAt, lines: `[${parts.join(',')}]` }
    parts = []
    bytes = 0
    return chunk
  }

  return {
    get isEmpty() {
      return parts.length === 0
    },
    /** Adds a line. Returns the chunk that is full with it or has no room for it, if any. */
    add(line: NewLine): NewChunk | null {
      const message = line.message.includes('\0') ? line.message.replaceAll('\0', '') : line.message
      const cut = cutUtf8(message, limits.messageBytes)
      const size = Buffer.byteLength(cut)
      const isOver = parts.length > 0 && bytes + size + (parts.length + 1) * lineOverheadBytes > limits.chunkBytes
      const full = isOver ? seal() : null
      const at = line.at.getTime()
      if (parts.length === 0) firstAt = lastAt = at
      firstAt = Math.min(firstAt, at)
      lastAt = Math.max(lastAt, at)
      bytes += size
      const truncated = line.truncated || cut.length < message.length
      parts.push(JSON.stringify([at, line.stream, line.level, line.instanceId, cut, truncated ? 1 : 0]))
      return full ?? (parts.length === maxChunkLines ? seal() : null)
    },
    seal,
  }
}

type StoredLine = [at: number, stream: OutputStream, level: LogLevel | null, instanceId: string | null, message: string, truncated: 0 | 1]

/** The lines of a stored chunk. */
export function readChunk(firstSeq: number, text: string): LogLine[] {
  const stored = JSON.parse(text) as StoredLine[]
  return stored.map(([at, stream, level, instanceId, message, truncated], index) => ({
    seq: firstSeq + index,
    at: new Date(at),
    stream,
    level,
    instanceId,
    message,
    truncated: truncated === 1,
  }))
}

/** The longest prefix of whole characters with at most `maxBytes` bytes of UTF-8. */
export function cutUtf8(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text
  // A UTF-16 unit has at least one byte, so no more than `maxBytes` of them can fit.
  const bytes = Buffer.from(text.slice(0, maxBytes))
  let end = Math.min(maxBytes, bytes.length)
  while (end > 0 && end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** Position of a reader: the last line that it has read, and the total bytes of all messages up to and including that line. */
export type Position = { seq: number; bytes: number }

const cursorBytes = 32

/** Encodes a position. The cursor includes the id of its log, so that it is invalid for other logs. */
export function cursorOf(logId: string, { seq, bytes }: Position): string {
  const raw = Buffer.alloc(cursorBytes)
  raw.write(logId.replaceAll('-', ''), 'hex')
  raw.writeBigUInt64BE(BigInt(seq), 16)
  raw.writeBigUInt64BE(BigInt(bytes), 24)
  return raw.toString('base64url')
}

export const foreignCursor = () => errors.invalid_input({ field: 'after', text: 'after: must be a cursor of this log' })

/** Decodes a cursor. Throws `invalid_input` unless `cursorOf` created it for this log. */
export function positionOf(logId: string, cursor: string): Position {
  const raw = Buffer.from(cursor, 'base64url')
  if (raw.length !== cursorBytes || raw.toString('base64url') !== cursor) throw foreignCursor()
  if (raw.toString('hex', 0, 16) !== logId.replaceAll('-', '')) throw foreignCursor()
  const [seq, bytes] = [Number(raw.readBigUInt64BE(16)), Number(raw.readBigUInt64BE(24))]
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(bytes)) throw foreignCursor()
  return { seq, bytes }
}
