/** Use of CPU and memory by something that runs: what is measured, and how a rate follows from two readings of a counter. Pure. */

/** What something that runs uses with all its processes. */
export type Usage = {
  /** Changes when it is started again, and its counters begin anew. */
  run: string
  /** CPU time since its start, in milliseconds, including that of processes that have exited. */
  cpuMs: number
  /** Resident memory of its processes. What they share may be counted for each of them. */
  memoryBytes: number
  /** Time since its start, in milliseconds. */
  uptimeMs: number
}

/** What everything on a machine can use together. */
export type Capacity = { millicores: number; memoryBytes: number }

/** A reading that the next one is compared with. `isDoubted`: the reading after it was implausible. */
export type Baseline = Usage & { isDoubted?: boolean }

/** The first reading of something that was started this recently is compared with its start. */
const recentMs = 60_000

/**
 * The CPU use since the baseline, in millicores, and the baseline of the next reading. Null if nothing is known yet, or if the reading is
 * implausible: the CPU time of a process that exits while it is read can be missing or counted twice. Then the next reading is compared with
 * the former baseline, unless it is implausible too.
 */
export function cpuRate(
  former: Baseline | undefined,
  usage: Usage,
  capacity: Capacity | null,
): { millicores: number | null; baseline: Baseline } {
  const base = former?.run === usage.run ? former : usage.uptimeMs <= recentMs ? { cpuMs: 0, uptimeMs: 0 } : null
  if (base === null) return { millicores: null, baseline: usage }
  const [cpuMs, elapsedMs] = [usage.cpuMs - base.cpuMs, usage.uptimeMs - base.uptimeMs]
  if (elapsedMs > 0 && cpuMs >= 0 && cpuMs <= mostCpuMs(elapsedMs, capacity))
    return { millicores: (cpuMs / elapsedMs) * 1_000, baseline: usage }
  const isFirstDoubt = former !== undefined && base === former && !former.isDoubted
  return { millicores: null, baseline: isFirstDoubt ? { ...former, isDoubted: true } : usage }
}

/** CPU time is counted in ticks, and the readings of processes are not simultaneous. */
const mostCpuMs = (elapsedMs: number, capacity: Capacity | null): number =>
  capacity === null ? Number.POSITIVE_INFINITY : (elapsedMs * 1.1 + 50) * (capacity.millicores / 1_000)

/** Rounded to two decimals. Null without a capacity. */
export const percentOf = (used: number, capacity: number | null): number | null => capacity && Math.round((used / capacity) * 10_000) / 100
