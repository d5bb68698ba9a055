/**
 * Loopback ports for programs that Quayside runs: one file per reserved port, with the id of its owner, so that processes of the control plane
 * never reserve a port twice.
 */
import { randomInt } from 'node:crypto'
import { readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

export type PortRange = { first: number; last: number }

export type LoopbackPortOptions = {
  /** Holds the files. Must exist. */
  directory: string
  range: PortRange
  /** Whether an owner still exists. A reservation of one that does not is released when its port is needed. */
  isOwner: (owner: string) => Promise<boolean>
}

export type LoopbackPorts = {
  /** The reserved port of an owner, free or not. Null if it has none. */
  reserved(owner: string): Promise<number | null>
  /** Reserves a free port for an owner; keeps its existing reservation if that port is free. Null if no port is free. */
  reserve(owner: string): Promise<number | null>
  release(owner: string): Promise<void>
}

export function createLoopbackPorts({ directory, range, isOwner }: LoopbackPortOptions): LoopbackPorts {
  const fileOf = (port: number) => join(directory, String(port))

  async function owned(owner: string): Promise<number[]> {
    const ports = (await readdir(directory)).map(Number).sort((one, other) => one - other)
    const owners = await Promise.all(ports.map((port) => readOwner(fileOf(port))))
    return ports.filter((_, index) => owners[index] === owner)
  }

  async function claim(port: number, owner: string): Promise<boolean> {
    try {
      await writeFile(fileOf(port), owner, { flag: 'wx' })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (await isStale(fileOf(port))) await rm(fileOf(port), { force: true })
      return false
    }
  }

  /** Whether the process that removed the owner died before it released the port. */
  async function isStale(file: string): Promise<boolean> {
    const found = await stat(file).catch(() => null)
    if (found === null || Date.now() - found.mtimeMs < unownedMs) return false
    const owner = await readOwner(file)
    return !owner || !(await isOwner(owner))
  }

  return {
    reserved: async (owner) => (await owned(owner))[0] ?? null,
    async reserve(owner) {
      for (const port of await owned(owner)) {
        if (await isPortFree(port)) return port
        await rm(fileOf(port), { force: true })
      }
      const size = range.last - range.first + 1
      const start = randomInt(size)
      for (let step = 0; step < size; step++) {
        const port = range.first + ((start + step) % size)
        if (!(await claim(port, owner))) continue
        if (await isPortFree(port)) return port
        await rm(fileOf(port), { force: true })
      }
      return null
    },
    async release(owner) {
      for (const port of await owned(owner)) await rm(fileOf(port), { force: true })
    },
  }
}

/** Time after which a reservation must have an owner. */
const unownedMs = 60_000

async function readOwner(file: string): Promise<string | null> {
  return await readFile(file, 'utf8').catch(() => null)
}

/** Up to `most` free ports of a range that are not `taken`, in the order of a random start. */
export async function freePorts({ first, last }: PortRange, taken: ReadonlySet<number>, most = 50): Promise<number[]> {
  const size = last - first + 1
  const start = randomInt(size)
  const found: number[] = []
  for (let step = 0; step < size && found.length < most; step++) {
    const port = first + ((start + step) % size)
    if (!taken.has(port) && (await isPortFree(port))) found.push(port)
  }
  return found
}

/** Binding to all addresses fails if any of them has a listener. Uses IPv4 on a host without IPv6. */
export async function isPortFree(port: number): Promise<boolean> {
  const answer = await tryToListen(port, '::')
  return answer === 'no such address' ? (await tryToListen(port, '0.0.0.0')) === 'free' : answer === 'free'
}

function tryToListen(port: number, host: string): Promise<'free' | 'taken' | 'no such address'> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' ? 'no such address' : 'taken'),
    )
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('free')))
  })
}

/** A process that listens on a port, for messages to the operator. Null if it is unknown, for example because it belongs to another user. */
export async function listenerOf(port: number): Promise<{ pid: number; program: string } | null> {
  const sockets = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (await readText(table)).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const [local, state, inode] = [fields[1], fields[3], fields[9]]
      if (state === listening && Number.parseInt(local?.split(':')[1] ?? '', 16) === port) sockets.add(`socket:[${inode}]`)
    }
  }
  if (sockets.size === 0) return null
  for (const pid of (await readNames('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of await readNames(`/proc/${pid}/fd`)) {
      if (!sockets.has(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''))) continue
      return { pid: Number(pid), program: (await readText(`/proc/${pid}/comm`)).trim() }
    }
  }
  return null
}

/** State of a socket in the kernel's table. */
const listening = '0A'

const readText = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
const readNames = (path: string): Promise<string[]> => readdir(path).catch(() => [])
