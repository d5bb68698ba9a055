/** The process table as /proc tells it. Where there is no /proc every process counts as gone. */
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import ipaddr from 'ipaddr.js'
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

/** Pids whose hard limit of file locks is this number: children get it however they leave their parent. */
export function pidsWithLockLimit(limit: number): number[] {
  const line = new RegExp(`^Max file locks +\\d+ +${limit} `, 'm')
  return pids().filter((pid) => line.test(readText(`/proc/${pid}/limits`) ?? ''))
}

/** Pids that see this directory, or one below it, as a mount of their own. */
export function pidsWithMount(directory: string): number[] {
  // Spaces and the like stand there as octal escapes.
  const written = directory.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return pids().filter((pid) => readText(`/proc/${pid}/mountinfo`)?.includes(`${written}/`))
}

const closeOnExec = 0o2000000

/**
 * Closes what this process was handed by its parent beside its standard streams, which every child of ours would get in turn. Node marks
 * what it opens itself so that no child gets it.
 */
export function closeInherited(): void {
  for (const name of readNames('/proc/self/fd')) {
    const descriptor = Number(name)
    if (descriptor <= 2 || descriptor === channelDescriptor()) continue
    const flags = /^flags:\s*([0-7]+)/m.exec(readText(`/proc/self/fdinfo/${name}`) ?? '')?.[1]
    if (flags === undefined || (Number.parseInt(flags, 8) & closeOnExec) !== 0) continue
    orNull(() => closeSync(descriptor))
  }
}

/** Of a process that a Node parent talks to; null for any other. */
function channelDescriptor(): number | null {
  const channel = process.channel as { fd?: number } | null | undefined
  return channel?.fd ?? null
}

/** Where these processes listen for TCP connections, by port. */
export function listeningSockets(processes: number[]): { host: string; port: number }[] {
  const sockets = new Map<string, { host: string; port: number }>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readText(table)?.split('\n').slice(1) ?? []) {
      const fields = line.trim().split(/\s+/)
      const [local, state, inode] = [fields[1], fields[3], fields[9]]
      const [address, port] = local?.split(':') ?? []
      if (state === '0A' && address && port && inode)
        sockets.set(`socket:[${inode}]`, { host: hostOf(address), port: Number.parseInt(port, 16) })
    }
  }
  const found = new Map<string, { host: string; port: number }>()
  for (const pid of processes) {
    for (const descriptor of readNames(`/proc/${pid}/fd`)) {
      const socket = sockets.get(readLink(`/proc/${pid}/fd/${descriptor}`) ?? '')
      if (socket !== undefined) found.set(`${socket.host} ${socket.port}`, socket)
    }
  }
  return [...found.values()].sort((one, other) => one.port - other.port)
}

/** The kernel prints words of four bytes, each in the order of this machine. */
function hostOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex').reverse()])
  // An IPv4 address in IPv6 clothes is the IPv4 address.
  return ipaddr.process(ipaddr.fromByteArray(bytes).toString()).toString()
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
