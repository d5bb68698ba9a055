/**
 * Writes raw process output to a log: splits it into lines, redacts them, collects them into chunks, and applies back-pressure. Several
 * writers, also in several processes, may write to one log; the lines of each keep their order.
 */
import type { App } from '../../../platform/work.ts'
import { createChunker, type NewChunk, weightOf } from './chunk.ts'
import { createLineSplitter } from './line-splitter.ts'
import { type LineRun, type LogLevel, logLimits, logTopic } from './model.ts'
import type { OutputSink, OutputStream } from './ports.ts'
import type { Redact } from './redactor.ts'
import { appendThroughOutages, flushesOf } from './store.ts'

export type LogWriterOptions = { logId: string; redact?: Redact }

export type LogWriter = {
  /** Returns a sink for raw output, of an instance if one is named. Each stream of each sink has its own unfinished line. */
  sink(instanceId?: string | null): OutputSink
  /** Writes one or more lines to the `system` stream. The promise is back-pressure. */
  say(message: string, level?: LogLevel): Promise<void>
  /** Ends unfinished lines, because their process has ended. */
  endLines(): Promise<void>
  /** Resolves when all output so far, except unfinished lines, is stored. */
  flush(): Promise<void>
  /** Ends unfinished lines and resolves when all output is stored. Later output is dropped. */
  close(): Promise<void>
}

/** Maximum time that lines are collected before they are stored. */
const collectMs = 100
/** Number of lines that are stored without waiting for more. While others are being stored, chunks grow larger. */
const promptLines = 200
/** Size of the queue above which a sink returns a promise. */
const queueBytes = 1024 * 1024
/** Bytes that are split before the size of the queue is checked again. */
const sliceBytes = 64 * 1024

/**
 * Lines are stored after at most 100 ms, or earlier once there are 200. While the database is unavailable, lines and sinks wait. After an
 * append has failed, every later call, including `flush` and `close`, rejects with its error; the lines of that append may or may not be
 * stored. Lines that arrive after the log's completion are dropped, with a warning in the program's own log.
 */
export function openLogWriter(app: App, { logId, redact }: LogWriterOptions): LogWriter {
  const limits = logLimits(app.settings)
  const chunker = createChunker(limits)
  let queue: NewChunk[] = []
  let queuedBytes = 0
  let timer: NodeJS.Timeout | undefined
  let pumping: Promise<void> | undefined
  let failure: { error: unknown } | undefined
  let dropping = false
  /** Number of the last line of this writer that is known to be stored. */
  let ownSeq = 0
  let waiting: (() => void)[] = []
  const streams = new Set<{ idle(): Promise<void>; end(): void }>()

  const wakeWaiting = () => {
    const woken = waiting
    waiting = []
    for (const resolve of woken) resolve()
  }

  const enqueue = (chunk: NewChunk) => {
    queue.push(chunk)
    queuedBytes += weightOf(chunk)
  }

  const addRun = (run: LineRun) => {
    if (dropping || failure) return
    chunker.add(run).forEach(enqueue)
    if (queue.length > 0) start()
    else if (!pumping) sealSoon()
  }

  const sealSoon = () => {
    if (chunker.count >= promptLines) sealNow()
    else if (chunker.count > 0) timer ??= setTimeout(sealNow, collectMs)
  }

  const sealNow = () => {
    clearTimeout(timer)
    timer = undefined
    const chunk = chunker.seal()
    if (chunk) enqueue(chunk)
    if (queue.length > 0) start()
  }

  const start = () => {
    if (pumping || failure) return
    pumping = pump().finally(() => {
      pumping = undefined
      wakeWaiting()
      if (queue.length > 0) start()
      else if (!failure) sealSoon()
    })
  }

  const pump = async () => {
    try {
      while (queue.length > 0) {
        const [group = []] = flushesOf(queue, limits)
        await store(group)
        queue = queue.slice(group.length)
        queuedBytes -= group.reduce((sum, chunk) => sum + weightOf(chunk), 0)
        wakeWaiting()
      }
    } catch (error) {
      failure = { error }
      discard()
    }
  }

  const store = async (chunks: NewChunk[]) => {
    if (dropping) return
    const stored = await appendThroughOutages(app, logId, chunks, ownSeq)
    if (stored !== null) {
      ownSeq = stored + chunks.reduce((sum, chunk) => sum + chunk.count, 0) - 1
      return app.wake.notify(logTopic(logId))
    }
    dropping = true
    app.log.warn(
      { logId, lines: chunks.reduce((sum, chunk) => sum + chunk.count, 0) },
      'Lines that arrived after the end of their log were dropped.',
    )
  }

  const discard = () => {
    queue = []
    queuedBytes = 0
    chunker.seal()
    clearTimeout(timer)
    timer = undefined
  }

  const check = () => {
    if (failure) throw failure.error
  }

  const isFull = () => queuedBytes > queueBytes

  const waitForRoom = async () => {
    while (isFull() && !failure) await new Promise<void>((resolve) => waiting.push(resolve))
    check()
  }

  const flush = async () => {
    sealNow()
    while (pumping) await pumping
    check()
  }

  const openStream = (stream: OutputStream, instanceId: string | null) => {
    const splitter = createLineSplitter({ stream, instanceId, messageBytes: limits.messageBytes, redact }, addRun)
    let busy: Promise<void> | undefined
    streams.add({
      async idle() {
        while (busy) await busy.catch(() => {})
      },
      end: () => splitter.end(app.clock.now()),
    })

    /** Splits bytes until the queue is full. Returns the offset of the first byte that is left. */
    const feed = (bytes: Uint8Array, from: number): number => {
      let offset = from
      for (; offset < bytes.length && !isFull(); offset += sliceBytes) {
        splitter.push(bytes.subarray(offset, offset + sliceBytes), app.clock.now())
      }
      return Math.min(offset, bytes.length)
    }
    const feedSlowly = async (bytes: Uint8Array, from: number) => {
      for (let offset = from; offset < bytes.length; ) {
        await waitForRoom()
        offset = feed(bytes, offset)
      }
      await waitForRoom()
    }
    /** Processes chunks in order, even if the caller doesn't wait. */
    const queueUp = (bytes: Uint8Array, from: number): Promise<void> => {
      const next: Promise<void> = (busy ?? Promise.resolve())
        .then(() => feedSlowly(bytes, from))
        .finally(() => {
          if (busy === next) busy = undefined
        })
      // A caller that doesn't wait receives the failure from its next call.
      next.catch(() => {})
      busy = next
      return next
    }
    return (bytes: Uint8Array): void | Promise<void> => {
      if (dropping) return
      if (failure) return Promise.reject(failure.error)
      if (busy) return queueUp(bytes, 0)
      const offset = feed(bytes, 0)
      if (offset < bytes.length || isFull()) return queueUp(bytes, offset)
    }
  }

  const endLines = async () => {
    for (const stream of streams) await stream.idle()
    for (const stream of streams) stream.end()
  }

  return {
    sink(instanceId = null) {
      const inputs = new Map<OutputStream, ReturnType<typeof openStream>>()
      return (stream, bytes) => {
        const input = inputs.get(stream) ?? openStream(stream, instanceId)
        inputs.set(stream, input)
        return input(bytes)
      }
    },
    async say(message, level = 'INFO') {
      check()
      const source = { stream: 'system' as const, instanceId: null, messageBytes: limits.messageBytes, redact, level }
      const splitter = createLineSplitter(source, addRun)
      splitter.push(Buffer.from(message), app.clock.now())
      splitter.end(app.clock.now())
      await waitForRoom()
    },
    endLines,
    flush,
    async close() {
      await endLines()
      streams.clear()
      await flush()
      dropping = true
    },
  }
}
