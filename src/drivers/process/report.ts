/** What a running cell reports about itself, and how all of it is found and ended. */
import { setTimeout as pause } from 'node:timers/promises'
import { isAlive, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import { pidNamespace, processTable, signalProcess } from './linux.ts'
import type { Sandbox } from './sandbox.ts'

/** Read from descriptor 3 of a launch; null for what is not reported yet. */
export type Report = { rootPid: number | null; rootNamespace: number | null; exitCode: number | null }

export function parseReport(text: string): Report {
  const number = (key: string): number | null => {
    const found = new RegExp(`"${key}": (\\d+)`).exec(text)?.[1]
    return found === undefined ? null : Number(found)
  }
  return { rootPid: number('child-pid'), rootNamespace: number('pid-namespace'), exitCode: number('exit-code') }
}

/**
 * The root of a cell's processes: the sandbox's init, which takes all others with it, or the watching shell. Null when it is
 * gone; its namespace tells it from a later process with the same pid.
 */
export function rootOf(report: Report): ProcessMark | null {
  if (report.rootPid === null) return null
  if (report.rootNamespace !== null && pidNamespace(report.rootPid) !== report.rootNamespace) return null
  return markOf(report.rootPid)
}

const killWithinMs = 10_000

/** Kills until nothing of the cell runs any more. Throws when the kernel does not let go of a process within 10 s. */
export async function killAll(sandbox: Sandbox, cell: { name: string; directory?: string }, root: ProcessMark | null): Promise<void> {
  for (const deadline = performance.now() + killWithinMs; ; await pause(5)) {
    const pids = sandbox.members(cell, root)
    if (root !== null && isAlive(root)) pids.push(root.pid)
    if (pids.length === 0) return
    if (performance.now() > deadline) throw new Error('A process could not be killed')
    for (const pid of pids) signalProcess(pid, 'SIGKILL')
  }
}

/** Clock ticks of /proc, 100 a second. */
const stillbornTicks = 1000

/**
 * Ends a watcher that has not reported its root, or what it left when it died before that: a first child which waits for it for
 * ever. It shares the watcher's session; a session that began much later has got the same number by chance.
 */
export function killStillborn(watcher: ProcessMark): void {
  for (const row of processTable()) {
    const isNear = Number(row.startTime) - Number(watcher.startTime) <= stillbornTicks
    if (row.session === watcher.pid && isNear) signalProcess(row.pid, 'SIGKILL')
  }
}
