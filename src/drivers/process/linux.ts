/** The process table, read from /proc. Without /proc, no process exists. */
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import ipaddr from 'ipaddr.js'
import { type ProcessRow, readProcess } from '../../platform/process-mark.ts'

/** Inode of a process's pid namespace, as bubblewrap reports it. Null if the process is gone or belongs to another user. */
export function pidNamespace(pid: number): number | null {
  const inode = /^pid:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/ns/pid`) ?? '')?.[1]
  return inode === undefined ? null : Number(inode)
}

export function processTable(): ProcessRow[] {
  return pids()
    .map(readProcess)
    .filter((row) => row !== null)
}

/** All descendants of `ancestors`, without those themselves. */
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

/** Pids of processes that were started with this entry in their environment. Processes of other users are not found. */
export function pidsWithEnv(entry: string): number[] {
  return pids().filter((pid) => readText(`/proc/${pid}/environ`)?.split('\0').includes(entry))
}

/** Pids of processes whose hard limit of file locks is this number. Children always inherit it. */
export function pidsWithLockLimit(limit: number): number[] {
  const line = new RegExp(`^Max file locks +\\d+ +${limit} `, 'm')
  return pids().filter((pid) => line.test(readText(`/proc/${pid}/limits`) ?? ''))
}

/** Pids of processes in whose mount namespace a directory below this one is mounted. */
export function pidsWithMount(directory: string): number[] {
  // Spaces and similar characters are written as octal escapes.
  const written = directory.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return pids().filter((pid) => readText(`/proc/${pid}/mountinfo`)?.includes(`${written}/`))
}

const closeOnExec = 0o2000000

/**
 * Closes file descriptors inherited from the parent, other than the standard streams, which all child processes would inherit, too. Node
 * marks the ones that it opens itself as close-on-exec, except certificate files.
 */
export function closeInherited(): void {
  // Node reads the file of NODE_EXTRA_CA_CERTS and the system's certificates in threads. This call waits for them.
  getCACertificates('default')
  for (const name of readNames('/proc/self/fd')) {
    const descriptor = Number(name)
    if (descriptor <= 2 || descriptor === channelDescriptor()) continue
    const flags = /^flags:\s*([0-7]+)/m.exec(readText(`/proc/self/fdinfo/${name}`) ?? '')?.[1]
    if (flags === undefined || (Number.parseInt(flags, 8) & closeOnExec) !== 0) continue
    orNull(() => closeSync(descriptor))
  }
}

/** Descriptor of the IPC channel to a parent Node process; null without one. */
function channelDescriptor(): number | null {
  const channel = process.channel as { fd?: number } | null | undefined
  return channel?.fd ?? null
}

/** TCP sockets on which these processes listen, sorted by port. */
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

/** The kernel prints words of four bytes, each in the byte order of the machine. */
function hostOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex').reverse()])
  // An IPv4-mapped IPv6 address becomes the IPv4 address.
  return ipaddr.process(ipaddr.fromByteArray(bytes).toString()).toString()
}

/** Sends a signal. Does nothing if the process no longer exists. */
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
