import type { Logger } from 'pino'
import { type DatabaseOutage, type OutageKind, outageOf } from './outage.ts'

/** Logs each outage twice, when it begins and when it ends, however many requests and loops are affected. */
export type OutageLog = {
  /** Counts an error that is caused by an outage and returns the outage's kind. Null for any other error, which the caller must report. */
  note(error: unknown): OutageKind | null
  /** The database is unavailable until `restored` is called. */
  lost(outage: DatabaseOutage): void
  restored(): void
  close(): void
}

type Outage = { began: number; failures: number; isWatched: boolean; quiet: NodeJS.Timeout | undefined }

const words: Record<OutageKind, { begins: string; ends: string; quietMs: number }> = {
  database: { begins: 'the database is not available', ends: 'the database is available again', quietMs: 10_000 },
  disk: { begins: 'a disk is full', ends: 'the disk accepts writes again', quietMs: 60_000 },
}

/** Time after an outage during which operations that began in it may still fail. */
const echoMs = 3_000

/** An outage that is not reported by `lost` counts as over when no error has been noted for a while. */
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
