/**
 * Measures the instances that this process takes care of, and stores the averages: at once for a service that was not measured before, then
 * every six measurements. Without instances, nothing runs.
 */
import type { Chore } from '../../../platform/claim.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { Baseline, Capacity, Usage } from '../../../platform/usage.ts'
import type { App } from '../../../platform/work.ts'
import { heldInstances, heldTopic, runtimePort } from '../instance/index.ts'
import { averageOf, type Round, roundOf, type Sample } from './model.ts'
import { appendPoints, expirePoints } from './store.ts'

/** What one process remembers. It can be lost without harm, except for what was measured since the last point. */
type Memory = {
  /** By instance. */
  baselines: Map<string, Baseline>
  /** By service. */
  series: Map<string, Series>
  capacity: Capacity | null
}

type Series = {
  /** Rounds that are not stored yet. */
  rounds: Round[]
  /** When the next point is due, on the monotonic clock. */
  dueAt: number
  /** The last round, and its time on the monotonic clock. Null while nothing is measured. */
  latest: { sample: Sample; atMs: number } | null
}

const memoryOf = perApp((): Memory => ({ baselines: new Map(), series: new Map(), capacity: null }))

const roundsPerPoint = 6
/** A bound while the database is unavailable. Later rounds are dropped. */
const maxRounds = 60

const pointMs = (app: App) => roundsPerPoint * app.settings.USAGE_SAMPLE_MS
/** Age up to which a sample is shown as the current one. Two points and a half, because a point may be late. */
export const currentMs = (app: App) => 2.5 * pointMs(app)

/** The last sample of a service that this process has measured. Null if it does not measure the service. */
export function latestSample(app: App, serviceId: string): Sample | null {
  const latest = memoryOf(app).series.get(serviceId)?.latest
  return latest && app.clock.elapsedMs() - latest.atMs <= currentMs(app) ? latest.sample : null
}

export const sampleUsage: Chore = {
  name: 'sample usage',
  topic: heldTopic,
  everyMs: 60_000,
  dueInMs: (app) => (memoryOf(app).series.size > 0 || heldInstances(app).length > 0 ? app.settings.USAGE_SAMPLE_MS : null),
  async run(app) {
    await measure(app)
    await storeDue(app)
  },
}

async function measure(app: App): Promise<void> {
  const memory = memoryOf(app)
  const held = heldInstances(app)
  const ids = held.map(({ id }) => id)
  const measured = ids.length > 0 ? await runtimePort.use(app).measure(ids) : null
  const usages = new Map<string, Usage>()
  for (const [index, usage] of measured?.usage.entries() ?? []) if (usage) usages.set(ids[index]!, usage)
  memory.capacity = measured?.capacity ?? memory.capacity
  const baselines = new Map<string, Baseline>()
  const now = app.clock.elapsedMs()
  for (const series of memory.series.values()) series.latest = null
  for (const [serviceId, instances] of Map.groupBy(held, ({ webServiceId }) => webServiceId)) {
    const own = new Map(instances.flatMap(({ id }) => (usages.has(id) ? [[id, usages.get(id)!]] : [])))
    const { round, baselines: next } = roundOf(own, memory.baselines, memory.capacity)
    for (const [id, baseline] of next) baselines.set(id, baseline)
    if (round) note(memory, app, serviceId, round, now)
  }
  memory.baselines = baselines
}

function note(memory: Memory, app: App, serviceId: string, round: Round, now: number): void {
  const series = memory.series.get(serviceId) ?? { rounds: [], dueAt: now, latest: null }
  memory.series.set(serviceId, series)
  if (series.rounds.length < maxRounds) series.rounds.push(round)
  const { millicores = null, memoryBytes = null } = memory.capacity ?? {}
  const sample = { ...round, at: app.clock.now(), capacityMillicores: millicores, capacityBytes: memoryBytes }
  series.latest = { sample, atMs: now }
}

/** Stores what is due, in one statement. What cannot be stored is kept for the next time. */
async function storeDue(app: App): Promise<void> {
  const { series, capacity } = memoryOf(app)
  const now = app.clock.elapsedMs()
  const due = [...series].filter(([, { rounds, dueAt }]) => rounds.length > 0 && dueAt <= now)
  if (due.length > 0) await appendPoints(app.db, new Map(due.map(([id, { rounds }]) => [id, averageOf(rounds)])), capacity)
  for (const [, one] of due) Object.assign(one, { rounds: [], dueAt: now + pointMs(app) })
  for (const [id, { rounds, latest }] of series) if (rounds.length === 0 && latest === null) series.delete(id)
}

export const expireUsage: Chore = {
  name: 'expire usage',
  topic: null,
  everyMs: 3_600_000,
  async run(app) {
    await expirePoints(app.db)
  },
}
