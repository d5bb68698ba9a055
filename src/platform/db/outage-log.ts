import type { Logger } from 'pino'
import { type DatabaseOutage, type OutageKind, outageOf } from './outage.ts'

/** Says each outage twice, when it begins and when it is over, however many requests and loops run into it. */
export type OutageLog = {
  /** Counts an error that is an outage, and gives its kind; null: it is something else, and the caller's to tell. */
  note(error: unknown): OutageKind | null
  /** The database is known to be away, until `restored`. */
  lost(outage: DatabaseOutage): void
  restored(): void
  close(): void
}

type Outage = { began: number; failures: number; isWatched: boolean; quiet: NodeJS.Timeout | undefined }

const words: Record<OutageKind, { begins: string; ends: string; quietMs: number }> = {
  database: { begins: 'the database is not available', ends: 'the database is available again', quietMs: 10_000 },
  disk: { begins: 'a disk is full', ends: 'the disk accepts writes again', quietMs: 60_000 },
}

/** So long what began during an outage may still fail by it. */
const echoMs = 3_000

/** What nobody watches counts as over when it was met no more for a while. */
export function createOutageLog(log: Pick<Logger, 'error' | 'warn'>): OutageLog {
  const outages = new Map<OutageKind, Outage>()
  const ended = new Map<OutageKind, number>()

  const begin = (kind: OutageKind, reason: string): Outage => {
    const known = outages.get(kind)
    if (known) return known
    const outage: Outage = { began: performance.now(), failures: 0, isWatched: false, quiet: undefined }
    outages.set(kind, outage)
    log.error({ reason }, words[kind].begins)
    return outage
  }
  const end = (kind: OutageKind) => {
    const outage = outages.get(kind)
    if (!outage) return
    clearTimeout(outage.quiet)
    outages.delete(kind)
    ended.set(kind, performance.now())
    log.warn({ afterMs: Math.round(performance.now() - outage.began), failures: outage.failures }, words[kind].ends)
  }

  return {
    note(error) {
      const kind = outageOf(error)
      if (!kind) return null
      if (!outages.has(kind) && performance.now() - (ended.get(kind) ?? Number.NEGATIVE_INFINITY) < echoMs) return kind
      const outage = begin(kind, (error as Error).message)
      outage.failures++
      clearTimeout(outage.quiet)
      if (!outage.isWatched) outage.quiet = setTimeout(end, words[kind].quietMs, kind).unref()
      return kind
    },
    lost(error) {
      const outage = begin('database', error.message)
      outage.isWatched = true
      clearTimeout(outage.quiet)
    },
    restored: () => end('database'),
    close() {
      for (const { quiet } of outages.values()) clearTimeout(quiet)
      outages.clear()
    },
  }
}
