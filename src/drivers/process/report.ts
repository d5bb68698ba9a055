/** What a running cell reports about itself, and how all its processes are found and killed. */
import { setTimeout as pause } from 'node:timers/promises'
import { isAlive, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import { pidNamespace, processTable, signalProcess } from './linux.ts'
import type { Sandbox } from './sandbox.ts'

/** Read from descriptor 3 of a launch. Null for values that have not been reported yet. */
export type Report = { rootPid: number | null; rootNamespace: number | null; exitCode: number | null }

export function parseReport(text: string): Report {
  const number = (key: string): number | null => {
    const found = new RegExp(`"${key}": (\\d+)`).exec(text)?.[1]
    return found === undefined ? null : Number(found)
  }
  return { rootPid: number('child-pid'), rootNamespace: number('pid-namespace'), exitCode: number('exit-code') }
}

/**
 * The root of a cell's processes: the sandbox's init, which ends all others with it, or the watching shell. Null if it has exited; its
 * namespace distinguishes it from a later process with the same pid.
 */
export function rootOf(report: Report): ProcessMark | null {
  if (report.rootPid === null) return null
  if (report.rootNamespace !== null && pidNamespace(report.rootPid) !== report.rootNamespace) return null
  return markOf(report.rootPid)
}

const killWithinMs = 10_000

/** Kills processes until none of the cell is left. Throws if a process is still there after 10 s. */
export async function killAll(sandbox: Sandbox, cell: { name: string; directory?: string }, root: ProcessMark | null): Promise<void> {
  for (const deadline = performance.now() + killWithinMs; ; await pause(5)) {
    const pids = sandbox.members(cell, root)
    if (root !== null && isAlive(root)) pids.push(root.pid)
    if (pids.length === 0) return
    if (performance.now() > deadline) throw new Error('A process could not be killed.')
    for (const pid of pids) signalProcess(pid, 'SIGKILL')
  }
}

/** Clock ticks of /proc, 100 a second. */
const stillbornTicks = 1000

/**
 * Kills a watcher that has not reported its root, and a child that it may have left waiting for it forever. The child shares the watcher's
 * session; a process that started much later has the same session number by chance.
 */
export function killStillborn(watcher: ProcessMark): void {
  for (const row of processTable()) {
    const isNear = Number(row.startTime) - Number(watcher.startTime) <= stillbornTicks
    if (row.session === watcher.pid && isNear) signalProcess(row.pid, 'SIGKILL')
  }
}
