/**
 * Names one process for ever: a pid alone is used again, so it is compared with the start time and the boot. Where there is no /proc
 * no process can be marked.
 */
import { readFileSync } from 'node:fs'

export type ProcessMark = { pid: number; startTime: string; bootId: string }

export type ProcessRow = { pid: number; parent: number; session: number; startTime: string }

export function markOf(pid: number): ProcessMark | null {
  const row = readProcess(pid)
  return row === null ? null : { pid, startTime: row.startTime, bootId: bootId() }
}

export function isAlive(mark: ProcessMark): boolean {
  return mark.bootId === bootId() && readProcess(mark.pid)?.startTime === mark.startTime
}

/** Comparable between all processes of this boot; setting the wall clock doesn't move it. */
export const sinceBootMs = (): number => Number(process.hrtime.bigint() / 1_000_000n)

export function bootId(): string {
  knownBootId ??= readText('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
  return knownBootId
}
let knownBootId: string | undefined

/** Null for what is gone. */
export function readProcess(pid: number): ProcessRow | null {
  const text = readText(`/proc/${pid}/stat`)
  if (text === null) return null
  // The command name stands in parentheses and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parent, session, threads, startTime] = [fields[0], fields[1], fields[3], fields[17], fields[19]]
  // A zombie runs nothing and only waits for its parent, unless other threads of it are still ending and hold its sockets.
  if (startTime === undefined || state === 'X' || (state === 'Z' && Number(threads) <= 1)) return null
  return { pid, parent: Number(parent), session: Number(session), startTime }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
