/**
 * Identifies a process uniquely. A pid can be reused, so it is combined with the process's start time and the boot ID. Requires /proc;
 * without it, no process can be identified.
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

/** Monotonic, and comparable between all processes of this boot. */
export const sinceBootMs = (): number => Number(process.hrtime.bigint() / 1_000_000n)

export function bootId(): string {
  knownBootId ??= readText('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
  return knownBootId
}
let knownBootId: string | undefined

/** Fields of /proc/<pid>/stat after the command name: the first is the state, field 3 in proc(5). Null if the process is gone. */
export function readStat(pid: number): string[] | null {
  const text = readText(`/proc/${pid}/stat`)
  // The command name is in parentheses and may itself contain spaces and parentheses.
  return text === null ? null : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** Null if the process has ended. */
export function readProcess(pid: number): ProcessRow | null {
  const fields = readStat(pid)
  if (fields === null) return null
  const [state, parent, session, threads, startTime] = [fields[0], fields[1], fields[3], fields[17], fields[19]]
  // A zombie counts as ended unless other threads of it still hold its sockets.
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
