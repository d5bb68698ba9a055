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

/** A line to store. */
export type NewLine = Omit<LogLine, 'seq'>

/** Consecutive lines that differ only in their message. `text`: their messages in UTF-8, each followed by a line feed. */
export type LineRun = Omit<NewLine, 'message'> & { count: number; text: Buffer }

export const lineFeed = 0x0a

/** A run of one line. Truncates its message, removes NUL, which programs print by mistake, and replaces line feeds. */
export function runOf({ message, ...line }: NewLine, messageBytes: number): LineRun {
  const whole = message.includes('\0') ? message.replaceAll('\0', '') : message
  const single = whole.includes('\n') ? whole.replaceAll('\n', ' ') : whole
  const cut = cutUtf8(single, messageBytes)
  return { ...line, truncated: line.truncated || cut.length < single.length, count: 1, text: Buffer.from(`${cut}\n`) }
}

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
