/**
 * CPU and memory that the servers of resources use, measured when somebody asks, by whoever is asked. The CPU use is that since the last time
 * somebody asked, if that was recent; otherwise the server is measured twice.
 */
import { pause } from '../../../platform/clock.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type Baseline, type Capacity, cpuRate, percentOf, type Usage } from '../../../platform/usage.ts'
import type { App } from '../../../platform/work.ts'

/** What the server of a resource uses, in percent of what the machine has. */
export type ServerUse = { cpuPercent: number | null; memoryPercent: number | null }

/** Measures servers, by id. Servers that do not run, or cannot be measured, are absent. */
export type MeasureServers = (app: App, ids: readonly string[]) => Promise<{ usage: ReadonlyMap<string, Usage>; capacity: Capacity } | null>

type Known = { baseline: Baseline; atMs: number; use: ServerUse }

/** `measuring`: measurements under way, by server. Whoever asks meanwhile waits for them, because a reading that follows at once tells little. */
type Memory = { known: Map<string, Known>; measuring: Map<string, Promise<void>> }

/** Age up to which what is known is returned without a measurement. */
const freshMs = 3_000
/** Age up to which a reading is compared with the next one. */
const recentMs = 60_000
/** Time between the two measurements of a server that was not asked about recently. CPU time is counted in steps of 10 ms. */
const betweenMs = 500
/** A bound for the memory. Those asked about least recently are forgotten. */
const knownMost = 1_000

/** Returns a function that tells what many servers use, in order. Null for one that is not running, and one that cannot be measured. */
export function createUsageReader(measure: MeasureServers) {
  const memoryOf = perApp((): Memory => ({ known: new Map(), measuring: new Map() }))

  /** Notes what the servers use. Returns the ids of those whose CPU use is not known yet. */
  async function note(app: App, ids: readonly string[]): Promise<string[]> {
    const { known } = memoryOf(app)
    const measured = ids.length > 0 ? await measure(app, ids) : null
    const atMs = app.clock.elapsedMs()
    const unknown: string[] = []
    for (const id of ids) {
      const usage = measured?.usage.get(id)
      const former = known.get(id)
      known.delete(id)
      if (!measured || !usage) continue
      const { capacity } = measured
      const { millicores, baseline } = cpuRate(former && atMs - former.atMs <= recentMs ? former.baseline : undefined, usage, capacity)
      const cpuPercent = millicores === null ? null : percentOf(millicores, capacity.millicores)
      known.set(id, { baseline, atMs, use: { cpuPercent, memoryPercent: percentOf(usage.memoryBytes, capacity.memoryBytes) } })
      if (cpuPercent === null) unknown.push(id)
    }
    for (const id of [...known.keys()].slice(0, Math.max(0, known.size - knownMost))) known.delete(id)
    return unknown
  }

  async function measureTwice(app: App, ids: readonly string[]): Promise<void> {
    const { measuring } = memoryOf(app)
    try {
      const unknown = await note(app, ids)
      if (unknown.length === 0) return
      await pause(betweenMs)
      await note(app, unknown)
    } finally {
      for (const id of ids) measuring.delete(id)
    }
  }

  return async (app: App, ids: readonly string[]): Promise<(ServerUse | null)[]> => {
    const { known, measuring } = memoryOf(app)
    const isFresh = (id: string) => app.clock.elapsedMs() - (known.get(id)?.atMs ?? Number.NEGATIVE_INFINITY) < freshMs
    const stale = [...new Set(ids)].filter((id) => !measuring.has(id) && !isFresh(id))
    const measured = measureTwice(app, stale)
    for (const id of stale) measuring.set(id, measured)
    await Promise.all([measured, ...ids.map((id) => measuring.get(id))])
    return ids.map((id) => known.get(id)?.use ?? null)
  }
}
