/**
 * Splits raw process output into lines: UTF-8, ended by LF or CRLF, in chunks of any size. Invalid UTF-8 becomes U+FFFD, NUL is removed,
 * and escape sequences are kept. The memory for an unfinished line is bounded, however long the line is.
 *
 * Most output is stored byte for byte as it was printed, so whole blocks of it are taken as they are. Only lines that must be changed are
 * decoded and handled one by one.
 */
import { isUtf8 } from 'node:buffer'
import { type LineRun, type LogLevel, levelOf, lineFeed, runOf } from './model.ts'
import type { OutputStream } from './ports.ts'
import type { Redact } from './redactor.ts'

const carriageReturn = 0x0d

/** Origin of the lines, and how their text is redacted and truncated. */
export type LineSource = { stream: OutputStream; instanceId: string | null; messageBytes: number; redact?: Redact; level?: LogLevel | null }

export type LineSplitter = {
  push(bytes: Uint8Array, at: Date): void
  /** Emits the text after the last line feed, if any, as a line. `isCut`: the line continues elsewhere. */
  end(at: Date, isCut?: boolean): void
}

/** The text of an emitted run may be part of the pushed bytes: it is valid during the call only. */
export function createLineSplitter(source: LineSource, emit: (run: LineRun) => void): LineSplitter {
  const { stream, instanceId, messageBytes, redact, level = levelOf(stream) } = source
  // Twice the limit, because redaction can shorten the text.
  const keptBytes = 2 * messageBytes + 1
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

  const emitLine = (raw: string, isCut: boolean, at: Date) => {
    const clean = raw.includes('\0') ? raw.replaceAll('\0', '') : raw
    const message = redact ? redact(clean, isCut) : clean
    emit(runOf({ at, stream, level, instanceId, message, truncated: isCut }, messageBytes))
  }

  const emitHeld = (isCut: boolean, at: Date) => {
    emitLine(decode(held, heldLength, length), isCut || length > heldLength, at)
    release()
  }

  /** Ends the line whose last bytes these are. */
  const endLine = (bytes: Buffer, at: Date) => {
    if (length === 0 && bytes.length <= keptBytes) {
      const last = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length
      return emitLine(bytes.toString('utf8', 0, last), false, at)
    }
    hold(bytes)
    if (lastByte === carriageReturn) {
      length--
      heldLength = Math.min(heldLength, length)
    }
    emitHeld(false, at)
  }

  const endEachLine = (bytes: Buffer, at: Date) => {
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(lineFeed, from)
      endLine(bytes.subarray(from, end), at)
      from = end + 1
    }
  }

  /** Emits whole lines that need no change as one run; but each line that is too long on its own. */
  const emitUnchanged = (bytes: Buffer, at: Date) => {
    let [start, count, from] = [0, 0, 0]
    const emitTo = (end: number) => {
      if (count > 0) emit({ at, stream, level, instanceId, truncated: false, count, text: bytes.subarray(start, end) })
      count = 0
    }
    while (from < bytes.length) {
      const end = bytes.indexOf(lineFeed, from)
      if (end - from > messageBytes) {
        emitTo(from)
        endLine(bytes.subarray(from, end), at)
        start = end + 1
      } else count++
      from = end + 1
    }
    emitTo(bytes.length)
  }

  const emitWholeLines = (bytes: Buffer, at: Date) => {
    const isPlain = isUtf8(bytes) && bytes.indexOf(0) < 0 && bytes.indexOf('\r\n') < 0
    if (!isPlain || (redact && !redact.search)) return endEachLine(bytes, at)
    for (let from = 0; from < bytes.length; ) {
      const found = redact?.search ? redact.search(bytes, from) : bytes.length
      const start = found < bytes.length ? bytes.lastIndexOf(lineFeed, found) + 1 : bytes.length
      emitUnchanged(bytes.subarray(from, start), at)
      const end = found < bytes.length ? bytes.indexOf(lineFeed, found) + 1 : bytes.length
      endEachLine(bytes.subarray(start, end), at)
      from = end
    }
  }

  return {
    push(chunk, at) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      const first = length > 0 ? bytes.indexOf(lineFeed) + 1 : 0
      if (first > 0) endLine(bytes.subarray(0, first - 1), at)
      const last = bytes.lastIndexOf(lineFeed) + 1
      if (last > first) emitWholeLines(bytes.subarray(first, last), at)
      if (last < bytes.length) hold(bytes.subarray(last))
    },
    end(at, isCut = false) {
      if (length > 0) emitHeld(isCut, at)
    },
  }
}

/** Length at which `splitCompleteLines` cuts an unfinished line. */
const longLineBytes = 64 * 1024

/**
 * Splits the complete lines at the start of `bytes` and returns their total size, for a reader that stores its offset with the lines
 * and reads the rest again later. An unfinished line is left, unless `atEnd`. One over 64 KiB is returned as truncated, and its rest
 * becomes a separate line; but not until it is twice as long as the longest redacted value, so that no value is split. Pass at least
 * that many bytes. The lines may share the memory of `bytes`.
 */
export function splitCompleteLines(
  source: LineSource,
  bytes: Uint8Array,
  at: Date,
  atEnd: boolean,
): { runs: LineRun[]; consumedBytes: number } {
  const runs: LineRun[] = []
  const splitter = createLineSplitter(source, (run) => runs.push(run))
  const complete = bytes.lastIndexOf(lineFeed) + 1
  const unfinished = Buffer.from(bytes.buffer, bytes.byteOffset + complete, bytes.byteLength - complete)
  const isLong = unfinished.length >= longLineBytes
  const consumedBytes = atEnd ? bytes.length : complete + (isLong ? (source.redact?.cutOf?.(unfinished) ?? unfinished.length) : 0)
  splitter.push(bytes.subarray(0, consumedBytes), at)
  splitter.end(at, !atEnd)
  return { runs, consumedBytes }
}

/** Decodes the kept beginning of a line. If the line was longer, an incomplete last character is omitted. */
function decode(bytes: Buffer, keptLength: number, length: number): string {
  if (length <= keptLength) return bytes.toString('utf8', 0, keptLength)
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, keptLength), { stream: true })
}
