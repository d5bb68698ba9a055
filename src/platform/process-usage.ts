/**
 * CPU time and memory of trees of processes, from one pass over the process table. The pass takes about 10 µs for each process of the machine,
 * however many trees are asked about. Requires /proc; without it, no process is found.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { createPace } from './pace.ts'
import { type ProcessMark, readStat } from './process-mark.ts'
import type { Capacity, Usage } from './usage.ts'

type Row = { pid: number; parent: number; session: number; startTicks: number; cpuTicks: number; residentPages: number }

export type ProcessTree = {
  /** What a process, its descendants and the session that it leads use. Null if it has exited. Memory is the sum of resident memory. */
  usage(root: ProcessMark): Usage | null
  /**
   * The memory of the same processes, of which each page is counted once, however many of them share it. Takes 100 µs for each process. Null if
   * the process has exited.
   */
  memoryOnce(root: ProcessMark): number | null
}

/** Clock ticks of /proc, 100 a second. */
const tickMs = 10

/** Reads the process table. Other work is served in between. */
export async function readProcessTree(): Promise<ProcessTree> {
  const pace = createPace()
  const rows = new Map<number, Row>()
  const uptimeMs = readUptimeMs()
  for (const name of readNames('/proc')) {
    if (!/^\d+$/.test(name)) continue
    await pace.next()
    const row = readRow(Number(name))
    if (row !== null) rows.set(row.pid, row)
  }
  const children = Map.groupBy(rows.values(), ({ parent }) => parent)
  const sessions = Map.groupBy(rows.values(), ({ session }) => session)

  function find({ pid, startTime }: ProcessMark): Row | null {
    const row = rows.get(pid)
    return row && String(row.startTicks) === startTime ? row : null
  }

  function family(root: Row): Set<Row> {
    const found = new Set([root, ...(sessions.get(root.pid) ?? [])])
    // A Set is iterated in the order of insertion, including what is added meanwhile.
    for (const { pid } of found) for (const child of children.get(pid) ?? []) found.add(child)
    return found
  }

  return {
    usage(mark) {
      const root = find(mark)
      if (root === null) return null
      let cpuTicks = 0
      let residentPages = 0
      for (const row of family(root)) {
        cpuTicks += row.cpuTicks
        residentPages += row.residentPages
      }
      return {
        run: `${mark.pid} ${mark.startTime}`,
        cpuMs: cpuTicks * tickMs,
        memoryBytes: residentPages * pageBytes(),
        uptimeMs: Math.max(0, uptimeMs - root.startTicks * tickMs),
      }
    },
    memoryOnce(mark) {
      const root = find(mark)
      return root && [...family(root)].reduce((sum, { pid }) => sum + readProportionalBytes(pid), 0)
    },
  }
}

/** What all processes of this machine, or of the container that this process runs in, can use together. */
export function machineCapacity(): Capacity {
  // 0, or more than the machine has, without a limit.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return { millicores: availableParallelism() * 1_000, memoryBytes: Math.min(totalmem(), limit) }
}

/** Also of a process that has exited and whose parent has not asked for it yet, because its CPU time counts. */
function readRow(pid: number): Row | null {
  const fields = readStat(pid)
  if (fields === null) return null
  const number = (index: number) => Number(fields[index])
  return {
    ...{ pid, parent: number(1), session: number(3), startTicks: number(19), residentPages: number(21) },
    // Its own in user and kernel mode, and that of the children that it has waited for.
    cpuTicks: number(11) + number(12) + number(13) + number(14),
  }
}

/** Resident memory, of which a page that n processes share counts as the n-th part. 0 for a process that has exited. */
function readProportionalBytes(pid: number): number {
  const text = orNull(() => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? ''
  return Number(/^Pss: +(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024
}

/** On the clock that start times of processes refer to. */
const readUptimeMs = () => Number((orNull(() => readFileSync('/proc/uptime', 'utf8')) ?? '').split(' ')[0]) * 1_000

let knownPageBytes: number | undefined

function pageBytes(): number {
  knownPageBytes ??= readPageBytes()
  return knownPageBytes
}

const auxiliaryPageSize = 6n

/** The auxiliary vector of a process consists of pairs of keys and values, 64 bits each. */
function readPageBytes(): number {
  const vector = orNull(() => readFileSync('/proc/self/auxv'))
  const words = vector ? new BigUint64Array(new Uint8Array(vector).buffer, 0, Math.floor(vector.length / 8)) : []
  for (let at = 0; at + 1 < words.length; at += 2) if (words[at] === auxiliaryPageSize) return Number(words[at + 1])
  return 4096
}

const readNames = (path: string): string[] => orNull(() => readdirSync(path)) ?? []

function orNull<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch {
    return null
  }
}
