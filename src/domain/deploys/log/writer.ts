/**
 * Takes the raw output of processes into a log: lines, redaction, chunks, back-pressure. Any number of writers may write to one log,
 * in any number of processes; each keeps its own order. What is stored, and what is removed, is the store's business.
 */
import type { App } from '../../../platform/work.ts'
import { createLineSplitter } from './line-splitter.ts'
import { createChunker, type LogLevel, logLimits, logTopic, type NewChunk, type NewLine, weightOf } from './model.ts'
import type { OutputSink, OutputStream } from './ports.ts'
import type { Redact } from './redactor.ts'
import { appendThroughOutages, flushesOf } from './store.ts'

export type LogWriterOptions = { logId: string; redact?: Redact }

export type LogWriter = {
  /** A taker of raw output of one instance, or of none; each stream of it has its own unfinished line. */
  sink(instanceId?: string | null): OutputSink
  /** A line of Quayside itself, or several; the promise is back-pressure. */
  say(message: string, level?: LogLevel): Promise<void>
  /** Takes unfinished lines as they are: what printed them has ended. */
  endLines(): Promise<void>
  /** Resolves when everything that was taken, but for unfinished lines, is stored. */
  flush(): Promise<void>
  /** Takes unfinished lines as they are, and resolves when everything is stored. What comes later is dropped. */
  close(): Promise<void>
}

const gatherMs = 100
/** Lines in memory, beyond which a sink answers with a promise. */
const queueBytes = 1024 * 1024
/** What is split at a stretch before the queue is looked at again. */
const sliceBytes = 16 * 1024

/**
 * Lines are stored within 100 ms, or 200 at a time; while the database is away they wait, and a sink with them. When storing fails, everything that is taken afterwards rejects with that error, and
 * so do `flush` and `close`: what the failed statement held may or may not be stored. What comes after the log's completion is dropped
 * with a warning in the program's own log.
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
  /** The last line that is known to be stored. */
  let ownSeq = 0
  let waiting: (() => void)[] = []
  const streams = new Set<{ idle(): Promise<void>; end(): void }>()

  const wakeWaiting = () => {
    const woken = waiting
    waiting = []
    for (const resolve of woken) resolve()
  }

  const enqueue = (chunk: NewChunk | null) => {
    if (!chunk) return
    queue.push(chunk)
    queuedBytes += weightOf(chunk)
    start()
  }

  const take = (line: NewLine) => {
    if (dropping || failure) return
    enqueue(chunker.add(line))
    if (!chunker.isEmpty && !pumping) timer ??= setTimeout(sealNow, gatherMs)
  }

  const sealNow = () => {
    clearTimeout(timer)
    timer = undefined
    enqueue(chunker.seal())
  }

  const start = () => {
    if (pumping || failure) return
    pumping = pump().finally(() => {
      pumping = undefined
      wakeWaiting()
      if (queue.length > 0) start()
      else if (!chunker.isEmpty && !failure) timer ??= setTimeout(sealNow, gatherMs)
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
      'lines arrived after the end of their log and were dropped',
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

  const room = async () => {
    while (isFull() && !failure) await new Promise<void>((resolve) => waiting.push(resolve))
    check()
  }

  const flush = async () => {
    sealNow()
    while (pumping) await pumping
    check()
  }

  const openStream = (stream: OutputStream, instanceId: string | null) => {
    const splitter = createLineSplitter({ stream, instanceId, messageBytes: limits.messageBytes, redact }, take)
    let busy: Promise<void> | undefined
    streams.add({
      async idle() {
        while (busy) await busy.catch(() => {})
      },
      end: () => splitter.end(app.clock.now()),
    })

    /** Gives the offset at which the queue was full. */
    const feed = (bytes: Uint8Array, from: number): number => {
      let offset = from
      for (; offset < bytes.length && !isFull(); offset += sliceBytes) {
        splitter.push(bytes.subarray(offset, offset + sliceBytes), app.clock.now())
      }
      return Math.min(offset, bytes.length)
    }
    const feedSlowly = async (bytes: Uint8Array, from: number) => {
      for (let offset = from; offset < bytes.length; ) {
        await room()
        offset = feed(bytes, offset)
      }
      await room()
    }
    /** One after the other, also for a caller that doesn't wait. */
    const queueUp = (bytes: Uint8Array, from: number): Promise<void> => {
      const next: Promise<void> = (busy ?? Promise.resolve())
        .then(() => feedSlowly(bytes, from))
        .finally(() => {
          if (busy === next) busy = undefined
        })
      // A caller that doesn't wait hears of a failure at its next call.
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
      const takers = new Map<OutputStream, ReturnType<typeof openStream>>()
      return (stream, bytes) => {
        const taker = takers.get(stream) ?? openStream(stream, instanceId)
        takers.set(stream, taker)
        return taker(bytes)
      }
    },
    async say(message, level = 'INFO') {
      check()
      const source = { stream: 'system' as const, instanceId: null, messageBytes: limits.messageBytes, redact, level }
      const splitter = createLineSplitter(source, take)
      splitter.push(Buffer.from(message), app.clock.now())
      splitter.end(app.clock.now())
      await room()
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
