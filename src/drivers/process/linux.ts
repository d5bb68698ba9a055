/** The process table as /proc tells it. Where there is no /proc every process counts as gone. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type ProcessRow, readProcess } from '../../platform/process-mark.ts'

/** Inode of a process's pid namespace, as bubblewrap reports it; null when the process is gone or not ours. */
export function pidNamespace(pid: number): number | null {
  const inode = /^pid:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/ns/pid`) ?? '')?.[1]
  return inode === undefined ? null : Number(inode)
}

export function processTable(): ProcessRow[] {
  return pids()
    .map(readProcess)
    .filter((row) => row !== null)
}

/** All processes below `ancestors`, without these. */
export function descendants(ancestors: number[], table: ProcessRow[] = processTable()): ProcessRow[] {
  const family = new Set(ancestors)
  const found: ProcessRow[] = []
  for (let grown = true; grown; ) {
    grown = false
    for (const row of table) {
      if (family.has(row.pid) || !family.has(row.parent)) continue
      family.add(row.pid)
      found.push(row)
      grown = true
    }
  }
  return found
}

/** Pids whose environment held this entry when they were started; processes of other users stay unseen. */
export function pidsWithEnv(entry: string): number[] {
  return pids().filter((pid) => readText(`/proc/${pid}/environ`)?.split('\0').includes(entry))
}

/** TCP ports on which these processes listen. */
export function listeningPorts(processes: number[]): number[] {
  const sockets = new Map<string, number>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readText(table)?.split('\n').slice(1) ?? []) {
      const fields = line.trim().split(/\s+/)
      const [local, state, inode] = [fields[1], fields[3], fields[9]]
      if (state === '0A' && local && inode) sockets.set(`socket:[${inode}]`, Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16))
    }
  }
  const ports = new Set<number>()
  for (const pid of processes) {
    for (const descriptor of readNames(`/proc/${pid}/fd`)) {
      const port = sockets.get(readLink(`/proc/${pid}/fd/${descriptor}`) ?? '')
      if (port !== undefined) ports.add(port)
    }
  }
  return [...ports].sort((one, other) => one - other)
}

/** Sends a signal; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function pids(): number[] {
  return readNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function readText(path: string): string | null {
  return orNull(() => readFileSync(path, 'utf8'))
}

function readLink(path: string): string | null {
  return orNull(() => readlinkSync(path))
}

function readNames(path: string): string[] {
  return orNull(() => readdirSync(path)) ?? []
}

function orNull<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch {
    return null
  }
}
