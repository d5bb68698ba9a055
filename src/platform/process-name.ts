/** Names of processes in leases. On the same machine, a name shows whether its process is still alive. */
import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { bootId, isAlive, markOf } from './process-mark.ts'

/** A unique name: `host:pid:random`, and on Linux also start time, boot ID and pid namespace. */
export function nameProcess(): string {
  const [pids, mark] = [pidNamespace(), markOf(process.pid)]
  const name = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`
  return pids && mark ? `${name}:${mark.startTime}@${mark.bootId}/${pids}` : name
}

/** Whether the named process is alive; null if that can't be determined, for example because it runs on another machine. */
export function isNamedAlive(name: string): boolean | null {
  const [, pid, startTime, boot, pids] = /:(\d+):[0-9a-f]{8}:(\d+)@(\S+)\/(\d+)$/.exec(name) ?? []
  if (!startTime || !boot || boot !== bootId() || pids !== pidNamespace()) return null
  return isAlive({ pid: Number(pid), startTime, bootId: boot })
}

/** The pid namespace of this process. */
function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
  } catch {
    return null
  }
}
