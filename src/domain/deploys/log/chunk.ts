/**
 * The chunks in which lines are stored: collects lines into chunks, and reads them again. A stored chunk is a JSON array that describes its
 * runs, a line feed, and the messages in UTF-8, each followed by a line feed; as a whole compressed by Zstandard if it is large.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { type LineRun, type LogLevel, type LogLimits, type LogLine, lineFeed, lineOverheadBytes } from './model.ts'
import type { OutputStream } from './ports.ts'

const maxChunkLines = 1_000

/** Lines to store. They are numbered when they are stored. `bytes`: total size of the messages. */
export type NewChunk = { count: number; bytes: number; firstAt: number; lastAt: number; lines: Buffer }

export const weightOf = (chunk: { count: number; bytes: number }): number => chunk.bytes + chunk.count * lineOverheadBytes

/** How a run is stored. */
type StoredRun = [count: number, at: number, stream: OutputStream, level: LogLevel | null, instanceId: string | null, truncated: 0 | 1]

export type Chunker = {
  /** Number of lines that are not yet part of a chunk. */
  readonly count: number
  /** Adds lines, and returns the chunks that became full. The text of the run is copied. */
  add(run: LineRun): NewChunk[]
  /** Returns the chunk of the remaining lines, or null if there are none. */
  seal(): NewChunk | null
}

/** Collects lines into chunks, each as large as the limits allow. */
export function createChunker(limits: LogLimits): Chunker {
  let runs: StoredRun[] = []
  let text: Buffer = Buffer.alloc(0)
  let [size, count, firstAt, lastAt] = [0, 0, 0, 0]

  const append = (run: LineRun, lines: number, from: number, to: number) => {
    const at = run.at.getTime()
    if (count === 0) firstAt = lastAt = at
    firstAt = Math.min(firstAt, at)
    lastAt = Math.max(lastAt, at)
    const stored: StoredRun = [lines, at, run.stream, run.level, run.instanceId, run.truncated ? 1 : 0]
    const last = runs.at(-1)
    if (last && stored.every((value, index) => index === 0 || value === last[index])) last[0] += lines
    else runs.push(stored)
    text = withRoom(text, size, to - from)
    run.text.copy(text, size, from, to)
    size += to - from
    count += lines
  }

  const seal = (): NewChunk | null => {
    if (count === 0) return null
    const chunk = { count, bytes: size - count, firstAt, lastAt, lines: encode(runs, text.subarray(0, size)) }
    runs = []
    size = count = 0
    return chunk
  }

  const hasRoomFor = (lines: number, bytes: number) =>
    count + lines <= maxChunkLines && size - count + bytes + (count + lines) * lineOverheadBytes <= limits.chunkBytes

  return {
    get count() {
      return count
    },
    add(run) {
      const full: NewChunk[] = []
      for (let [from, left] = [0, run.count]; left > 0; ) {
        const whole = hasRoomFor(left, run.text.length - from - left)
        const part = whole ? { lines: left, to: run.text.length } : partThatFits(run, from, left, hasRoomFor)
        if (part.lines > 0) append(run, part.lines, from, part.to)
        left -= part.lines
        from = part.to
        if (left > 0 || count === maxChunkLines) full.push(seal()!)
      }
      return full
    },
    seal,
  }
}

/** The lines of a run, of `left` ones from an offset, for which there is room. */
function partThatFits({ text }: LineRun, from: number, left: number, hasRoomFor: (lines: number, bytes: number) => boolean) {
  let [lines, to] = [0, from]
  while (lines < left) {
    const end = text.indexOf(lineFeed, to) + 1
    if (!hasRoomFor(lines + 1, end - from - lines - 1)) break
    to = end
    lines++
  }
  return { lines, to }
}

const smallestBufferBytes = 1024

function withRoom(buffer: Buffer, used: number, more: number): Buffer {
  if (used + more <= buffer.length) return buffer
  const larger = Buffer.allocUnsafeSlow(Math.max(2 * buffer.length, used + more, smallestBufferBytes))
  buffer.copy(larger, 0, 0, used)
  return larger
}

/** Smaller chunks are not compressed, because reading many of them would take longer. */
const compressedBytes = 2 * 1024
/** First byte of a compressed chunk. That of any other chunk is the bracket of its JSON array. */
const compressedMark = 0x28
const fastest = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

function encode(runs: readonly StoredRun[], text: Buffer): Buffer {
  const plain = Buffer.concat([Buffer.from(`${JSON.stringify(runs)}\n`), text])
  return plain.length < compressedBytes ? plain : zstdCompressSync(plain, fastest)
}

/** The lines of a stored chunk. */
export function readChunk(firstSeq: number, stored: Uint8Array): LogLine[] {
  const plain = stored[0] === compressedMark ? zstdDecompressSync(stored) : Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const parts = plain.toString().split('\n')
  const lines: LogLine[] = []
  for (const [count, time, stream, level, instanceId, truncated] of JSON.parse(parts[0]!) as StoredRun[]) {
    const at = new Date(time)
    for (const end = lines.length + count; lines.length < end; ) {
      const seq = firstSeq + lines.length
      lines.push({ seq, at, stream, level, instanceId, message: parts[lines.length + 1]!, truncated: truncated === 1 })
    }
  }
  return lines
}
