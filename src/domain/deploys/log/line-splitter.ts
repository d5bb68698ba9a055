/**
 * Raw output of a process into lines: UTF-8, ended by LF or CRLF, however the bytes were cut on their way. Bytes that are no UTF-8
 * become U+FFFD, NUL is removed, escape sequences stay. No line is held beyond a bound, however long it is.
 */

import { cutUtf8, type LogLevel, levelOf, type NewLine } from './model.ts'
import type { OutputStream } from './ports.ts'
import type { Redact } from './redactor.ts'

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Where lines come from, and what is done with their text before it is cut. */
export type LineSource = { stream: OutputStream; instanceId: string | null; messageBytes: number; redact?: Redact; level?: LogLevel | null }

export type LineSplitter = {
  push(bytes: Uint8Array, at: Date): void
  /** Gives what stands after the last line feed as a line, if anything does; `isCut`: more of it comes elsewhere. */
  end(at: Date, isCut?: boolean): void
}

export function createLineSplitter(source: LineSource, emit: (line: NewLine) => void): LineSplitter {
  // Twice the limit: what is redacted may grow shorter.
  const keptBytes = 2 * source.messageBytes + 1
  let held = Buffer.alloc(0)
  let heldLength = 0
  /** Bytes of the unfinished line, kept or not. */
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
    // An idle stream shouldn't keep what its longest line needed.
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

/** How long a line without an end may grow in a source that is read again from its offset. */
const longLineBytes = 64 * 1024

/**
 * The complete lines at the start of `bytes`, and how many bytes they are: for a reader that stores its offset beside the lines, and
 * comes back for the rest when there is more. An unfinished line is left, unless `atEnd`; one over 64 KiB is given as cut, and
 * its rest comes as a line of its own: not before it is twice as long as the longest value that is taken out of lines, so that none
 * is cut apart. Give it at least that much to read.
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

/** The kept beginning of a line. Where more followed, a character that was cut apart is left out. */
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
