/**
 * Splits raw process output into lines: UTF-8, ended by LF or CRLF, in chunks of any size. Invalid UTF-8 becomes U+FFFD, NUL is removed,
 * and escape sequences are kept. The memory for an unfinished line is bounded, however long the line is.
 */

import { cutUtf8, type LogLevel, levelOf, type NewLine } from './model.ts'
import type { OutputStream } from './ports.ts'
import type { Redact } from './redactor.ts'

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Origin of the lines, and how their text is redacted and truncated. */
export type LineSource = { stream: OutputStream; instanceId: string | null; messageBytes: number; redact?: Redact; level?: LogLevel | null }

export type LineSplitter = {
  push(bytes: Uint8Array, at: Date): void
  /** Emits the text after the last line feed, if any, as a line. `isCut`: the line continues elsewhere. */
  end(at: Date, isCut?: boolean): void
}

export function createLineSplitter(source: LineSource, emit: (line: NewLine) => void): LineSplitter {
  // Twice the limit, because redaction can shorten the text.
  const keptBytes = 2 * source.messageBytes + 1
  let held = Buffer.alloc(0)
  let heldLength = 0
  /** Length of the unfinished line, including the bytes that were not kept. */
  let length = 0
  let lastByte = 0

  const hold = (bytes: Buffer) => {
    const room = keptBytes - heldLength
    const kept = room < bytes.length ? bytes.subarray(0, room) : bytes
    if (heldLength + kept.length > held.length) {
      const larger = Buffer.allocUnsafe(Math.min(keptBytes, Math.max(256, 2 * (heldLength + kept.length))))
      held.copy(larger, 0, 0, heldLength)
      held = larger
    }
    kept.copy(held, heldLength)
    heldLength += kept.length
    length += bytes.length
    if (bytes.length > 0) lastByte = bytes[bytes.length - 1]!
  }

  const release = () => {
    // Release the memory that a long line needed.
    if (held.length > 4_096) held = Buffer.alloc(0)
    heldLength = length = 0
  }

  return {
    push(chunk, at) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      let start = 0
      for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
        if (length === 0 && end - start <= keptBytes) {
          const last = end > start && bytes[end - 1] === carriageReturn ? end - 1 : end
          emit(toLine(source, bytes.toString('utf8', start, last), false, at))
        } else {
          hold(bytes.subarray(start, end))
          if (lastByte === carriageReturn) {
            length--
            heldLength = Math.min(heldLength, length)
          }
          emit(toLine(source, decode(held, heldLength, length), length > heldLength, at))
          release()
        }
        start = end + 1
      }
      if (start < bytes.length) hold(bytes.subarray(start))
    },
    end(at, isCut = false) {
      if (length === 0) return
      emit(toLine(source, decode(held, heldLength, length), isCut || length > heldLength, at))
      release()
    },
  }
}

/** Length at which `splitCompleteLines` cuts an unfinished line. */
const longLineBytes = 64 * 1024

/**
 * Splits the complete lines at the start of `bytes` and returns their total size, for a reader that stores its offset with the lines
 * and reads the rest again later. An unfinished line is left, unless `atEnd`. One over 64 KiB is returned as truncated, and its rest
 * becomes a separate line; but not until it is twice as long as the longest redacted value, so that no value is split. Pass at least
 * that many bytes.
 */
export function splitCompleteLines(
  source: LineSource,
  bytes: Uint8Array,
  at: Date,
  atEnd: boolean,
): { lines: NewLine[]; consumedBytes: number } {
  const lines: NewLine[] = []
  const splitter = createLineSplitter(source, (line) => lines.push(line))
  const complete = bytes.lastIndexOf(lineFeed) + 1
  const unfinished = Buffer.from(bytes.buffer, bytes.byteOffset + complete, bytes.byteLength - complete)
  const isLong = unfinished.length >= longLineBytes
  const consumedBytes = atEnd ? bytes.length : complete + (isLong ? (source.redact?.cutOf?.(unfinished) ?? unfinished.length) : 0)
  splitter.push(bytes.subarray(0, consumedBytes), at)
  splitter.end(at, !atEnd)
  return { lines, consumedBytes }
}

/** Decodes the kept beginning of a line. If the line was longer, an incomplete last character is omitted. */
function decode(bytes: Buffer, keptLength: number, length: number): string {
  if (length <= keptLength) return bytes.toString('utf8', 0, keptLength)
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, keptLength), { stream: true })
}

function toLine(
  { stream, instanceId, messageBytes, redact, level = levelOf(stream) }: LineSource,
  raw: string,
  isCut: boolean,
  at: Date,
): NewLine {
  const clean = raw.includes('\0') ? raw.replaceAll('\0', '') : raw
  const text = redact ? redact(clean, isCut) : clean
  const message = cutUtf8(text, messageBytes)
  return { at, stream, level, instanceId, message, truncated: isCut || message.length < text.length }
}
