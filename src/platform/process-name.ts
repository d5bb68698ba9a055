/** Names of processes in leases: they tell whoever is on the same machine whether their owner still lives. */
import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { bootId, isAlive, markOf } from './process-mark.ts'

/** What no other process has, now or later: `host:pid:random`, and on Linux when it began, on which boot, and among which pids. */
export function nameProcess(): string {
  const [pids, mark] = [pidNamespace(), markOf(process.pid)]
  const name = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`
  return pids && mark ? `${name}:${mark.startTime}@${mark.bootId}/${pids}` : name
}

/** Whether the process of that name lives; null where that can't be known, as of one on another machine. */
export function isNamedAlive(name: string): boolean | null {
  const [, pid, startTime, boot, pids] = /:(\d+):[0-9a-f]{8}:(\d+)@(\S+)\/(\d+)$/.exec(name) ?? []
  if (!startTime || !boot || boot !== bootId() || pids !== pidNamespace()) return null
  return isAlive({ pid: Number(pid), startTime, bootId: boot })
}

/** The namespace that pids of this process count in. */
function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
  } catch {
    return null
  }
}
