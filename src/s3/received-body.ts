/**
 * The body of a request as a stream of its own: if it is destroyed, the connection stays open for the response. It fails when the client
 * disconnects, stalls, or is slower than the slowest permitted rate. It is paused while nobody reads, which does not count as slowness.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { S3Error } from './error.ts'

export type Patience = {
  /** Maximum time without a byte from the client. */
  stallMs: number
  /** Minimum rate over the whole body. */
  bytesPerSecond: number
}

/** A body may take this long at any rate. */
const leniencyMs = 60_000
const checkEveryMs = 1_000

const timedOut = () => new S3Error('RequestTimeout', 'The body of the request did not arrive in time.')
const cutOff = () => new S3Error('IncompleteBody', 'The connection was closed before the end of the body.')

export class ReceivedBody extends Readable {
  readonly #message: IncomingMessage
  readonly #patience: Patience
  readonly #timer: NodeJS.Timeout
  #receivedAt = performance.now()
  /** Time that the client was waited for, up to `#receivedAt`. */
  #waitedMs = 0
  #bytes = 0
  #isWaiting = false

  constructor(message: IncomingMessage, patience: Patience) {
    super({ highWaterMark: 256 * 1024 })
    this.#message = message
    this.#patience = patience
    this.#timer = setInterval(() => this.#check(), Math.min(checkEveryMs, patience.stallMs / 2))
    message.pause()
    message.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onClose).on('close', this.#onClose)
    // Listening to data begins the flow, which `_read` does.
    message.pause()
  }

  readonly #onData = (data: Buffer): void => {
    this.#count()
    this.#bytes += data.length
    if (this.push(data)) return
    this.#isWaiting = false
    this.#message.pause()
  }

  readonly #onEnd = (): void => void this.push(null)

  readonly #onClose = (): void => {
    if (!this.#message.readableEnded) this.destroy(cutOff())
  }

  #count(): void {
    const now = performance.now()
    if (this.#isWaiting) this.#waitedMs += now - this.#receivedAt
    this.#receivedAt = now
  }

  #check(): void {
    if (!this.#isWaiting) return
    const silentMs = performance.now() - this.#receivedAt
    const dueMs = leniencyMs + (this.#bytes / this.#patience.bytesPerSecond) * 1_000
    if (silentMs > this.#patience.stallMs || this.#waitedMs + silentMs > dueMs) this.destroy(timedOut())
  }

  override _read(): void {
    if (!this.#isWaiting) this.#receivedAt = performance.now()
    this.#isWaiting = true
    this.#message.resume()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearInterval(this.#timer)
    this.#message.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onClose).off('close', this.#onClose)
    // Without a listener, an error of the connection would be uncaught.
    this.#message.on('error', () => {})
    this.#message.pause()
    done(error)
  }
}
