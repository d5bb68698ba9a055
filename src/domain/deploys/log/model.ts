/**
 * What a log is made of: lines, chunks as they are stored, and the position of a reader. Pure: nothing here touches the database.
 */
import { errors } from '../../../platform/errors.ts'
import type { Settings } from '../../../platform/settings.ts'
import type { OutputStream } from './ports.ts'

export const logLevels = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const
export type LogLevel = (typeof logLevels)[number]

export type LogLine = {
  /** Counts the log's lines from 1 without a gap. */
  seq: number
  at: Date
  stream: OutputStream
  /** Null where nothing says what it is. */
  level: LogLevel | null
  instanceId: string | null
  message: string
  /** The message was longer; its end is gone. */
  truncated: boolean
}

export type NewLine = Omit<LogLine, 'seq'>

/** Why lines are missing; a hole that both made is named after what removed its last line. */
export type LogGapReason = 'BYTE_CAP' | 'RETENTION'
export type LogGap = { fromSeq: number; toSeq: number; lines: number; bytes: number; reason: LogGapReason }

export type LogBatch = {
  lines: LogLine[]
  /** Give it as `after` to go on behind this batch. */
  cursor: string
  /** Lines that belong into this batch and were removed; at most one hole a batch. */
  gap: LogGap | null
  /** The log has ended, and its last line is in this or a former batch. */
  complete: boolean
  /** Lines that were asked for are not in it: they follow its cursor, or, of a tail, come before its first line. */
  hasMore: boolean
}

/** Woken after each append and on completion. */
export const logTopic = (logId: string): string => `log:${logId}`

/** What Quayside itself says is information; what a program prints says nothing of its weight. */
export const levelOf = (stream: OutputStream): LogLevel | null => (stream === 'system' ? 'INFO' : null)

export const maxChunkLines = 200
const maxMessageBytes = 16 * 1024
const maxChunkBytes = 256 * 1024
const maxFlushBytes = 1024 * 1024

/** What a line costs beside its message, so that a flood of empty lines meets the cap too. */
export const lineOverheadBytes = 32

/** The sizes that a byte cap allows: under a small one chunks and messages are smaller too, so that a half holds several chunks. */
export function logLimits({ LOG_MAX_BYTES }: Pick<Settings, 'LOG_MAX_BYTES'>) {
  const flushBytes = Math.min(maxFlushBytes, Math.floor(LOG_MAX_BYTES / 4))
  const chunkBytes = Math.min(maxChunkBytes, flushBytes)
  return {
    /** Of the cap, for the head and for the tail. */
    halfBytes: Math.floor(LOG_MAX_BYTES / 2),
    flushBytes,
    chunkBytes,
    messageBytes: Math.min(maxMessageBytes, chunkBytes - lineOverheadBytes),
  }
}
export type LogLimits = ReturnType<typeof logLimits>

/** Lines ready to be stored; they get their numbers when they are. */
export type NewChunk = { count: number; bytes: number; firstAt: number; lastAt: number; lines: string }

export const weightOf = (chunk: { count: number; bytes: number }): number => chunk.bytes + chunk.count * lineOverheadBytes

/** Gathers lines into chunks. A line that is too long is cut, and what PostgreSQL can't store is removed. */
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
    /** Gives the chunk that this line filled or had no room in, if any. */
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

/** The longest beginning that has at most so many bytes of UTF-8, with no character cut apart. */
export function cutUtf8(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text
  // A UTF-16 unit has at least one byte, so the rest needn't be looked at.
  const bytes = Buffer.from(text.slice(0, maxBytes))
  let end = Math.min(maxBytes, bytes.length)
  while (end > 0 && end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** Where a reader stands: the last line that it has seen, and the bytes of all messages up to there. */
export type Position = { seq: number; bytes: number }

const cursorBytes = 32

/** The text of a position; it names its log, so that it fits no other one. */
export function cursorOf(logId: string, { seq, bytes }: Position): string {
  const raw = Buffer.alloc(cursorBytes)
  raw.write(logId.replaceAll('-', ''), 'hex')
  raw.writeBigUInt64BE(BigInt(seq), 16)
  raw.writeBigUInt64BE(BigInt(bytes), 24)
  return raw.toString('base64url')
}

export const foreignCursor = () => errors.invalid_input({ field: 'after', text: 'after: must be a cursor of this log' })

/** Throws `invalid_input` for what `cursorOf` didn't make for this log. */
export function positionOf(logId: string, cursor: string): Position {
  const raw = Buffer.from(cursor, 'base64url')
  if (raw.length !== cursorBytes || raw.toString('base64url') !== cursor) throw foreignCursor()
  if (raw.toString('hex', 0, 16) !== logId.replaceAll('-', '')) throw foreignCursor()
  const [seq, bytes] = [Number(raw.readBigUInt64BE(16)), Number(raw.readBigUInt64BE(24))]
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(bytes)) throw foreignCursor()
  return { seq, bytes }
}
