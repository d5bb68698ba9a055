/**
 * Follows a log as it grows. A follower stores only its position, and reads its next batch when its consumer requests one, so that slow
 * consumers use no memory. Followers in one process that are at the same position share a read and receive the same batch object.
 */
import type { Wake } from '../../../platform/db/wake.ts'
import { DomainError } from '../../../platform/errors.ts'
import { throughOutages } from '../../../platform/outage.ts'
import type { App } from '../../../platform/work.ts'
import { type LogBatch, logTopic, type Position } from './model.ts'
import { type LogMode, type LogRead, type LogStart, readFrom, startPosition } from './queries.ts'

const batchLines = 1_000
/** Fallback for notifications, which can be lost. */
const defaultPollMs = 2_000

/**
 * Yields batches from the start position, first of stored lines, then of new ones. Ends after a batch with `complete`, the only one that
 * can be empty, and when `signal` aborts or the log is deleted. The first step throws as `readLog` does. Batches are shared: don't mutate
 * them.
 */
export async function* followLog(
  app: App,
  logId: string,
  { mode, pollMs = defaultPollMs, ...start }: LogStart & { mode: LogMode; pollMs?: number },
  signal: AbortSignal,
): AsyncGenerator<LogBatch, void, void> {
  const feed = joinFeed(app, logId, pollMs)
  try {
    let seen = feed.version()
    let position = await startPosition(app.db.prisma, logId, start, mode)
    let isFirst = true
    while (!signal.aborted) {
      let read: LogRead
      try {
        read = await throughOutages(app, () => feed.read(position), signal)
      } catch (error) {
        if (!isFirst && error instanceof DomainError && error.code === 'not_found') return
        throw error
      }
      isFirst = false
      position = read.position
      const { lines, gap, complete } = read.batch
      if (signal.aborted) return
      if (lines.length > 0 || gap || complete) yield read.batch
      if (complete) return
      if (read.isAtEnd) seen = await feed.changed(seen, signal)
    }
  } finally {
    feed.leave()
  }
}

type Feed = {
  followers: number
  /** Number of notifications and polls. A read that starts at a version sees every line that caused this version. */
  version: number
  waiting: Set<() => void>
  reads: Map<string, Promise<LogRead>>
  close(): void
}

const feedsByWake = new WeakMap<Wake, Map<string, Feed>>()

function joinFeed(app: App, logId: string, pollMs: number) {
  const feeds = feedsByWake.get(app.wake) ?? new Map<string, Feed>()
  feedsByWake.set(app.wake, feeds)
  const feed = feeds.get(logId) ?? openFeed(app, logId, pollMs)
  feeds.set(logId, feed)
  feed.followers++

  return {
    version: () => feed.version,
    /** Reads the batch after a position, shared with other followers at that position. */
    read({ seq, bytes }: Position): Promise<LogRead> {
      const key = `${feed.version}:${seq}:${bytes}`
      const shared = feed.reads.get(key)
      if (shared) return shared
      const read = readFrom(app.db.prisma, logId, { seq, bytes }, batchLines).finally(() => feed.reads.delete(key))
      feed.reads.set(key, read)
      return read
    },
    /** Resolves with the current version once it differs from `seen`, or on abort. */
    async changed(seen: number, signal: AbortSignal): Promise<number> {
      if (feed.version === seen && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const end = () => {
            feed.waiting.delete(end)
            signal.removeEventListener('abort', end)
            resolve()
          }
          feed.waiting.add(end)
          signal.addEventListener('abort', end, { once: true })
        })
      }
      return feed.version
    },
    leave() {
      feed.followers--
      if (feed.followers > 0) return
      feed.close()
      if (feeds.get(logId) === feed) feeds.delete(logId)
    },
  }
}

function openFeed(app: App, logId: string, pollMs: number): Feed {
  const bump = () => {
    feed.version++
    for (const end of [...feed.waiting]) end()
  }
  const poll = setInterval(bump, pollMs)
  const off = app.wake.on(logTopic(logId), bump)
  const feed: Feed = {
    followers: 0,
    version: 0,
    waiting: new Set(),
    reads: new Map(),
    close() {
      clearInterval(poll)
      off()
    },
  }
  return feed
}
