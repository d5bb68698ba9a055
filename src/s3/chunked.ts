/**
 * Decodes bodies of the encoding `aws-chunked`: chunks with their sizes, and their signatures if they are signed, followed by trailing
 * headers. Chunks pass through as they arrive; a wrong signature fails the stream when its chunk ends.
 */
import { createHash, type Hash } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import type { ChunkSigner } from '../platform/s3-signature.ts'
import { S3Error } from './error.ts'

const maxLineBytes = 1_024
const maxTrailerBytes = 8 * 1_024

export type ChunkedOptions = {
  /** Verifies the signatures of chunks. Null if they are not signed. */
  signer: ChunkSigner | null
  /** Whether headers follow the body, and are signed if the chunks are. */
  hasTrailer: boolean
}

const malformed = (what: string) => new S3Error('InvalidRequest', `The aws-chunked body is malformed: ${what}.`)
const incomplete = () => new S3Error('IncompleteBody', 'The body ended before its last chunk.')

type State = 'size' | 'data' | 'end of data' | 'trailer' | 'done'

export class ChunkDecoder extends Transform {
  /** The trailing headers by their names in lower case, once the stream has ended. */
  readonly trailers = new Map<string, string>()
  readonly #signer: ChunkSigner | null
  readonly #hasTrailer: boolean
  #state: State = 'size'
  /** The beginning of a line that has not arrived completely. */
  #line: Buffer = Buffer.alloc(0)
  #left = 0
  #isLast = false
  #hash: Hash | null = null
  #signature = ''
  #signedTrailer = ''
  #trailerBytes = 0

  constructor({ signer, hasTrailer }: ChunkedOptions) {
    super({ highWaterMark: 256 * 1024 })
    this.#signer = signer
    this.#hasTrailer = hasTrailer
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      for (let rest = data; rest.length > 0; ) rest = this.#state === 'data' ? this.#takeData(rest) : this.#takeLine(rest)
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      // Some clients leave out the empty line at the end.
      if (this.#state === 'trailer' && this.#line.length === 0) this.#end()
      done(this.#state === 'done' ? null : incomplete())
    } catch (error) {
      done(error as Error)
    }
  }

  #takeData(data: Buffer): Buffer {
    const piece = data.length <= this.#left ? data : data.subarray(0, this.#left)
    this.#hash?.update(piece)
    this.push(piece)
    this.#left -= piece.length
    if (this.#left === 0) {
      this.#verifyChunk()
      this.#state = 'end of data'
    }
    return data.subarray(piece.length)
  }

  #takeLine(data: Buffer): Buffer {
    const at = data.indexOf(10)
    const piece = at < 0 ? data : data.subarray(0, at)
    if (this.#line.length + piece.length > maxLineBytes) throw malformed('a line is too long')
    this.#line = Buffer.concat([this.#line, piece])
    if (at < 0) return data.subarray(data.length)
    const line = this.#line.toString('latin1').replace(/\r$/, '')
    this.#line = Buffer.alloc(0)
    this.#readLine(line)
    return data.subarray(at + 1)
  }

  #readLine(line: string): void {
    if (this.#state === 'done') throw malformed('there is more after its end')
    if (this.#state === 'end of data') {
      if (line !== '') throw malformed('a chunk is longer than its size')
      this.#state = 'size'
    } else if (this.#state === 'size') this.#beginChunk(line)
    else this.#readTrailer(line)
  }

  #beginChunk(line: string): void {
    const [, size, signature] = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line) ?? []
    if (size === undefined) throw malformed('a line with the size of a chunk is expected')
    if (this.#signer && signature === undefined) throw malformed('a chunk is not signed')
    this.#left = Number.parseInt(size, 16)
    this.#hash = this.#signer ? createHash('sha256') : null
    this.#signature = signature ?? ''
    this.#isLast = this.#left === 0
    if (this.#isLast) {
      this.#verifyChunk()
      this.#state = 'trailer'
    } else this.#state = 'data'
  }

  #verifyChunk(): void {
    if (this.#hash) this.#signer?.chunk(this.#hash.digest('hex'), this.#signature)
    this.#hash = null
  }

  #readTrailer(line: string): void {
    if (line === '') this.#end()
    else this.#readTrailingHeader(line)
  }

  #readTrailingHeader(line: string): void {
    this.#trailerBytes += line.length
    const at = line.indexOf(':')
    if (!this.#hasTrailer || at < 1 || this.#trailerBytes > maxTrailerBytes) throw malformed('a trailing header is not expected')
    const [name, value] = [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]
    if (name === 'x-amz-trailer-signature') this.#verifyTrailer(value)
    else {
      if (this.trailers.has(name)) throw malformed(`the trailing header ${name} is repeated`)
      this.trailers.set(name, value)
      this.#signedTrailer += `${name}:${value}\n`
    }
  }

  #verifyTrailer(signature: string): void {
    this.#signer?.trailer(this.#signedTrailer, signature)
    this.#signedTrailer = ''
  }

  #end(): void {
    if (this.#signer && this.#signedTrailer !== '') throw malformed('its trailing headers are not signed')
    this.#state = 'done'
  }
}
