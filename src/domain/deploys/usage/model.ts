/** Samples of what the instances of a service use, and what is shown of them. All pure. */
import { type Baseline, type Capacity, cpuRate, percentOf, type Usage } from '../../../platform/usage.ts'

/** What the instances of a service used together at a time. */
export type Sample = {
  at: Date
  millicores: number
  memoryBytes: number
  /** Number of instances that were measured. */
  instances: number
  /** What the machine had. Null if the runtime does not know. */
  capacityMillicores: number | null
  capacityBytes: number | null
}

/** One measurement of the instances of a service. Null unless the CPU use of each is known, because a part would be taken for the whole. */
export type Round = Pick<Sample, 'millicores' | 'memoryBytes' | 'instances'>

export function roundOf(
  usages: ReadonlyMap<string, Usage>,
  baselines: ReadonlyMap<string, Baseline>,
  capacity: Capacity | null,
): { round: Round | null; baselines: Map<string, Baseline> } {
  const next = new Map<string, Baseline>()
  let round: Round | null = { millicores: 0, memoryBytes: 0, instances: usages.size }
  for (const [id, usage] of usages) {
    const { millicores, baseline } = cpuRate(baselines.get(id), usage, capacity)
    next.set(id, baseline)
    if (millicores === null) round = null
    else if (round) round = { ...round, millicores: round.millicores + millicores, memoryBytes: round.memoryBytes + usage.memoryBytes }
  }
  return { round: usages.size > 0 ? round : null, baselines: next }
}

/** The average of several rounds, with the number of instances of the last one. */
export function averageOf(rounds: readonly Round[]): Round {
  const mean = (name: 'millicores' | 'memoryBytes') => Math.round(rounds.reduce((sum, round) => sum + round[name], 0) / rounds.length)
  return { millicores: mean('millicores'), memoryBytes: mean('memoryBytes'), instances: rounds.at(-1)!.instances }
}

/** Metrics of a service. The values are null while nothing is measured. */
export type Metrics = {
  webServiceId: string
  /** When they were measured. */
  at: Date | null
  millicores: number | null
  cpuPercent: number | null
  memoryBytes: number | null
  memoryPercent: number | null
  instances: number
}

export const metricsOf = (webServiceId: string, sample: Sample | null, running: number): Metrics => ({
  webServiceId,
  at: sample?.at ?? null,
  millicores: sample && Math.round(sample.millicores),
  cpuPercent: sample && percentOf(sample.millicores, sample.capacityMillicores),
  memoryBytes: sample?.memoryBytes ?? null,
  memoryPercent: sample && percentOf(sample.memoryBytes, sample.capacityBytes),
  instances: sample?.instances ?? running,
})
