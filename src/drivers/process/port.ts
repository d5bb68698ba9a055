/** Loopback ports for instances: one file per reserved port, so that processes of the control plane never reserve a port twice. */
import { randomInt } from 'node:crypto'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PortError } from '../../platform/errors.ts'
import type { Layout } from './layout.ts'
import { isErrno } from './tree.ts'

export type PortRange = { first: number; last: number }

export type Ports = {
  /** Reserves a free port for an instance; its existing reservation if that port is free. Throws PortError NO_CAPACITY. */
  reserve(instanceId: string): Promise<number>
  release(instanceId: string): Promise<void>
}

export function createPorts(layout: Layout, range: PortRange): Ports {
  const fileOf = (port: number) => join(layout.ports, String(port))
  const owned = async (instanceId: string): Promise<number[]> => {
    const ports: number[] = []
    for (const name of await readdir(layout.ports)) if ((await readOwner(join(layout.ports, name))) === instanceId) ports.push(Number(name))
    return ports
  }
  return {
    async reserve(instanceId) {
      for (const port of await owned(instanceId)) {
        if (await isFree(port)) return port
        await rm(fileOf(port), { force: true })
      }
      const size = range.last - range.first + 1
      const start = randomInt(size)
      for (let step = 0; step < size; step++) {
        const port = range.first + ((start + step) % size)
        if (!(await claim(layout, fileOf(port), instanceId))) continue
        if (await isFree(port)) return port
        await rm(fileOf(port), { force: true })
      }
      throw new PortError('NO_CAPACITY', 'No free port is available for another instance.')
    },
    async release(instanceId) {
      for (const port of await owned(instanceId)) await rm(fileOf(port), { force: true })
    },
  }
}

async function claim(layout: Layout, file: string, instanceId: string): Promise<boolean> {
  try {
    await writeFile(file, instanceId, { flag: 'wx' })
    return true
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
    if (await isStale(layout, file)) await rm(file, { force: true })
    return false
  }
}

const unownedMs = 60_000

/** Whether the instance no longer exists: the process that removed it died before it released the port. */
async function isStale(layout: Layout, file: string): Promise<boolean> {
  const found = await stat(file).catch(() => null)
  if (found === null || Date.now() - found.mtimeMs < unownedMs) return false
  const owner = await readOwner(file)
  return !owner || (await stat(join(layout.instances, owner)).catch(() => null)) === null
}

async function readOwner(file: string): Promise<string | null> {
  return await readFile(file, 'utf8').catch(() => null)
}

/** Binding to all addresses fails if any of them has a listener. Uses IPv4 on a host without IPv6. */
async function isFree(port: number): Promise<boolean> {
  const answer = await tryToListen(port, '::')
  return answer === 'no such address' ? (await tryToListen(port, '0.0.0.0')) === 'free' : answer === 'free'
}

function tryToListen(port: number, host: string): Promise<'free' | 'taken' | 'no such address'> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(isErrno(error, 'EAFNOSUPPORT', 'EADDRNOTAVAIL') ? 'no such address' : 'taken'))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('free')))
  })
}
