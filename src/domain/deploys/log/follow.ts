/**
 * Follows a log as it grows. A follower stores only its position, and takes its next batch when its consumer requests one, so that slow
 * consumers use no memory: the longer they take, the more lines their next batch has. Followers in one process that are at the same position
 * share a read and receive the same batch object.
 */
import { DomainError } from '../../../platform/errors.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { type LogBatch, logTopic, type Position } from './model.ts'
import { type LogMode, type LogRead, type LogStart, readFrom, startPosition } from './queries.ts'

const batchLines = 1_000
/** Fallback for notifications, which can be lost. */
const defaultPollMs = 2_000
/** Size up to which the last batch of a log is kept for followers that are late. */
const keptBytes = 128 * 1024

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
  const feed = joinFeed(app, logId, pollMs, signal)
  try {
    let position = await startPosition(app.db, logId, start, mode)
    let isFirst = true
    while (!signal.aborted) {
      let read: FeedRead
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
      if (read.isAtEnd) await feed.changedSince(read.version)
    }
  } finally {
    feed.leave()
  }
}

/** `version`: version of the feed when the read started. */
type FeedRead = LogRead & { version: number }

type Feed = {
  followers: number
  /** Number of notifications and polls. A read that starts at a version sees every line that caused this version. */
  version: number
  /** Followers that wait for the next version. */
  waiting: (() => void)[]
  /** Running reads, by position. */
  reads: Map<string, Promise<FeedRead>>
  /** The last read that found something, until the next poll, for followers that are one batch behind. Null if it was large. */
  latest: { key: string; read: Promise<FeedRead> } | null
  close(): void
}

/** Open feeds, by log. */
const feedsOf = perApp(() => new Map<string, Feed>())

function joinFeed(app: App, logId: string, pollMs: number, signal: AbortSignal) {
  const feeds = feedsOf(app)
  const feed = feeds.get(logId) ?? openFeed(app, logId, pollMs)
  feeds.set(logId, feed)
  feed.followers++
  let stopWaiting = () => {}
  const onAbort = () => stopWaiting()
  signal.addEventListener('abort', onAbort, { once: true })

  return {
    /** Reads the batch after a position, shared with other followers at that position. */
    read({ seq, bytes }: Position): Promise<FeedRead> {
      const key = `${seq}:${bytes}`
      const shared = feed.latest?.key === key ? feed.latest.read : feed.reads.get(key)
      if (shared) return shared
      const { version } = feed
      const read = readFrom(app.db, logId, { seq, bytes }, batchLines).then(
        (found) => {
          feed.reads.delete(key)
          const size = found.position.bytes - bytes
          if (found.position.seq !== seq && size <= keptBytes && feed.followers > 1) feed.latest = { key, read }
          return { ...found, version }
        },
        (error) => {
          feed.reads.delete(key)
          throw error
        },
      )
      feed.reads.set(key, read)
      return read
    },
    /** Resolves when the version differs from `seen`, or on abort. */
    async changedSince(seen: number): Promise<void> {
      if (feed.version !== seen || signal.aborted) return
      await new Promise<void>((resolve) => {
        stopWaiting = resolve
        feed.waiting.push(resolve)
      })
    },
    leave() {
      signal.removeEventListener('abort', onAbort)
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
    for (const resolve of feed.waiting.splice(0)) resolve()
  }
  const poll = setInterval(() => {
    feed.latest = null
    bump()
  }, pollMs)
  const off = app.wake.on(logTopic(logId), bump)
  const feed: Feed = {
    followers: 0,
    version: 0,
    waiting: [],
    reads: new Map(),
    latest: null,
    close() {
      clearInterval(poll)
      off()
    },
  }
  return feed
}
