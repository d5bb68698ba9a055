/** Servers outlive the process that started them, whenever it dies, and any other process of the control plane manages them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, it } from 'vitest'
import type { RedisSpec } from '../../src/domain/resources/redis/ports.ts'
import type { RedisEngineOptions } from '../../src/drivers/redis/index.ts'
import { connect, newSpec, openEngine, pidOf, startServer, stateOf, until } from './redis-support.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Another process of the control plane on the same data directory. */
async function openPeer(options: RedisEngineOptions) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'redis-child.ts')], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const send = (value: unknown) => void child.stdin!.write(`${JSON.stringify(value)}\n`)
  send(options)
  await lines.next()
  return {
    send: (spec: RedisSpec) => send(spec),
    async start(spec: RedisSpec) {
      send(spec)
      await lines.next()
    },
    async kill() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

it('a server continues without a failed command when its control plane is killed', async () => {
  const { engine, options } = await openEngine()
  const peer = await openPeer(options)
  const spec = await newSpec(engine)
  await peer.start(spec)
  const client = await connect(spec)
  const pid = await pidOf(spec)
  let running = true
  const commands = (async () => {
    for (; running; await new Promise((resolve) => setImmediate(resolve))) await client.incr('count')
  })()
  await peer.kill()
  const after = Number(await client.get('count'))
  await until('more commands', async () => Number(await client.get('count')) > after)
  running = false
  await commands
  expect(await stateOf(engine, spec)).toBe('running')
  await engine.start(spec)
  expect(await pidOf(spec)).toBe(pid)
})

it('a starter that is killed in any phase leaves at most one server, which the next start adopts', async () => {
  const { engine, dataDir, options } = await openEngine()
  const filesOf = async (id: string): Promise<string[]> => readdir(join(dataDir, 'redis', id)).catch(() => [])
  const phases: ((id: string) => Promise<boolean>)[] = [
    async (id) => (await filesOf(id)).length > 0,
    async (id) => (await filesOf(id)).includes('claim-1.json'),
    async (id) => (await filesOf(id)).includes('log'),
    async (id) => (await filesOf(id)).includes('run-1.json'),
    async (id) => (await engine.observe([id]))[0] === 'running',
  ]
  for (const reached of phases) {
    const peer = await openPeer(options)
    const spec = await newSpec(engine)
    peer.send(spec)
    await until('the phase is reached', () => reached(spec.id))
    await peer.kill()
    await engine.start(spec)
    const client = await connect(spec)
    expect(await client.set('key', 'value')).toBe('OK')
    expect(Number(/process_id:(\d+)/.exec(await client.info())?.[1])).toBe(await pidOf(spec))
  }
})

it('concurrent starts of several processes make one server', async () => {
  const { engine, options } = await openEngine()
  const peers = await Promise.all([openPeer(options), openPeer(options)])
  for (let turn = 0; turn < 5; turn++) {
    const spec = await newSpec(engine)
    await Promise.all([...peers.map((peer) => peer.start(spec)), engine.start(spec)])
    const client = await connect(spec)
    expect(Number(/process_id:(\d+)/.exec(await client.info())?.[1])).toBe(await pidOf(spec))
  }
})

it('a server from before a reboot was lost, and a process that has its pid now is never signalled', async () => {
  const { engine, dataDir } = await openEngine()
  const spec = await startServer(engine)
  await (await connect(spec)).set('key', 'value')
  await engine.stop(spec.id, { graceMs: 10_000 })
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
  children.push(stranger)
  const file = join(dataDir, 'redis', spec.id, 'run-1.json')
  const run = JSON.parse(await readFile(file, 'utf8')) as { process: object }
  for (const change of [{ pid: stranger.pid }, { pid: stranger.pid, bootId: 'another boot' }]) {
    await writeFile(file, JSON.stringify({ ...run, process: { ...run.process, ...change } }))
    expect(await stateOf(engine, spec)).toBe('stopped')
    await engine.stop(spec.id, { graceMs: 0 })
  }
  await engine.start(spec)
  expect(await (await connect(spec)).get('key')).toBe('value')
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
  stranger.kill('SIGKILL')
})
