import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createLoopbackPorts, isPortFree, listenerOf, type PortRange } from '../../src/platform/loopback-port.ts'
import { freePorts } from '../drivers/process-support.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

async function listen(port: number): Promise<void> {
  const server: Server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
}

async function openPorts(range: PortRange, owners = new Set<string>()) {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-ports-'))
  closers.push(() => rm(directory, { recursive: true }))
  return { directory, ports: createLoopbackPorts({ directory, range, isOwner: async (owner) => owners.has(owner) }) }
}

describe('a reserved port', () => {
  it('is known until it is released, even if a stranger listens on it', async () => {
    const { ports } = await openPorts(await freePorts(3))
    expect(await ports.reserved('a')).toBeNull()
    const port = (await ports.reserve('a'))!
    expect(await ports.reserve('a')).toBe(port)
    await listen(port)
    expect(await ports.reserved('a')).toBe(port)
    await ports.release('a')
    expect(await ports.reserved('a')).toBeNull()
  })

  it('is replaced by another reservation if a stranger listens on it', async () => {
    const { ports } = await openPorts(await freePorts(2))
    const port = (await ports.reserve('a'))!
    await listen(port)
    const other = await ports.reserve('a')
    expect(other).not.toBeNull()
    expect(other).not.toBe(port)
    expect(await ports.reserve('b')).toBeNull()
  })

  it('whose owner is gone is reserved again after a while', async () => {
    const range = await freePorts(1)
    const owners = new Set(['a'])
    const { directory, ports } = await openPorts(range, owners)
    expect(await ports.reserve('a')).toBe(range.first)
    const early = new Date(Date.now() - 3_600_000)
    await utimes(join(directory, String(range.first)), early, early)
    expect(await ports.reserve('b')).toBeNull()
    owners.delete('a')
    // The first attempt removes the reservation.
    expect([await ports.reserve('b'), await ports.reserve('b')]).toContain(range.first)
  })
})

describe('the listener of a port', () => {
  it('is named by its pid and program', async () => {
    const { first } = await freePorts(1)
    expect(await listenerOf(first)).toBeNull()
    expect(await isPortFree(first)).toBe(true)
    await listen(first)
    expect(await listenerOf(first)).toMatchObject({ pid: process.pid, program: expect.stringMatching(/./) })
    expect(await isPortFree(first)).toBe(false)
  })
})
