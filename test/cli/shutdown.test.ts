import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listProcesses, recordProcess } from '../../src/cli/process-record.ts'
import { shutDown } from '../../src/cli/shutdown.ts'
import { startEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'

const record = join(import.meta.dirname, '../../src/cli/process-record.ts')
let dataDir: string
let children: ChildProcess[]

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  children = []
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(dataDir, { recursive: true })
})

/** A process that records itself as a server or worker, as main does. */
async function start(kind: 'server' | 'worker', onTerm = 'process.exit(0)', isServing = true): Promise<ChildProcess> {
  const script = `import { recordProcess } from ${JSON.stringify(record)}
    process.on('SIGTERM', () => { ${onTerm} })
    const record = await recordProcess(${JSON.stringify(dataDir)}, '${kind}')
    if (${isServing}) await record.serving(4000)
    console.log('up')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}

/** A fake runtime that records the order of its calls. */
function fakeRuntime(instances: string[]) {
  const stopped: string[] = []
  return {
    stopped,
    list: async () => instances.filter((id) => !stopped.includes(id)),
    stop: async (id: string) => {
      expect(await listProcesses(dataDir)).toEqual([])
      stopped.push(id)
    },
  }
}

describe('shutDown', () => {
  it('ends servers and workers first, then instances, then the embedded PostgreSQL', async () => {
    await startEmbeddedPostgres({ dataDir })
    const server = await start('server')
    const worker = await start('worker')
    expect(await readFile(join(dataDir, 'server.pid'), 'utf8')).toBe(`${server.pid}\n`)
    const runtime = fakeRuntime(['inst_1', 'inst_2'])

    const report = await shutDown({ dataDir, embedded: true, runtime, graceMs: 10_000 })
    expect(report.processes).toHaveLength(2)
    expect(report.instances).toBe(2)
    expect([server.exitCode ?? (await once(server, 'exit'))[0], worker.exitCode ?? (await once(worker, 'exit'))[0]]).toEqual([0, 0])
    expect(runtime.stopped.sort()).toEqual(['inst_1', 'inst_2'])
    expect(await readdir(join(dataDir, 'postgres/18'))).not.toContain('postmaster.pid')
  })

  it('ends instances and the database when the server was killed before, and has nothing to do the second time', async () => {
    await startEmbeddedPostgres({ dataDir })
    const server = await start('server')
    server.kill('SIGKILL')
    await once(server, 'exit')
    const runtime = fakeRuntime(['inst_1'])
    expect(await shutDown({ dataDir, embedded: true, runtime, graceMs: 1_000 })).toEqual({
      processes: [],
      instances: 1,
      databases: 0,
      redis: 0,
    })
    expect(await shutDown({ dataDir, embedded: true, runtime, graceMs: 1_000 })).toEqual({
      processes: [],
      instances: 0,
      databases: 0,
      redis: 0,
    })
  })

  it('ends a server that is still starting', async () => {
    const server = await start('server', 'process.exit(0)', false)
    expect(await listProcesses(dataDir)).toEqual([{ pid: server.pid, kind: 'server', serving: false, port: null }])
    expect(await readdir(dataDir)).not.toContain('server.pid')
    const report = await shutDown({ dataDir, embedded: false, runtime: fakeRuntime([]), graceMs: 10_000 })
    expect(report.processes).toHaveLength(1)
    expect(await listProcesses(dataDir)).toEqual([])
  })

  it('kills a process that does not end within its grace', async () => {
    const server = await start('server', '')
    await shutDown({ dataDir, embedded: false, runtime: fakeRuntime([]), graceMs: 200 })
    if (server.signalCode === null) await once(server, 'exit')
    expect(server.signalCode).toBe('SIGKILL')
  })

  it('never signals a foreign process that got the pid of a dead server', async () => {
    await start('server')
    const [name] = await readdir(join(dataDir, 'processes'))
    const path = join(dataDir, 'processes', name as string)
    await writeFile(path, JSON.stringify({ kind: 'server', started: 'long ago' }))
    expect(await listProcesses(dataDir)).toEqual([])
    await shutDown({ dataDir, embedded: false, runtime: fakeRuntime([]), graceMs: 200 })
    expect(children[0]?.exitCode).toBeNull()
    expect(children[0]?.signalCode).toBeNull()
  })

  it('leaves the calling process alone', async () => {
    const record = await recordProcess(dataDir, 'server')
    await record.serving(4000)
    await shutDown({ dataDir, embedded: false, runtime: { list: async () => [], stop: async () => {} }, graceMs: 200 })
    expect(await listProcesses(dataDir)).toEqual([{ pid: process.pid, kind: 'server', serving: true, port: 4000 }])
    await record.forget()
    expect(await listProcesses(dataDir)).toEqual([])
    await expect(readFile(join(dataDir, 'server.pid'))).rejects.toThrow('ENOENT')
  })
})

it('server.pid names the first server while it runs, and then another one that runs', async () => {
  const pid = () => readFile(join(dataDir, 'server.pid'), 'utf8')
  const first = await recordProcess(dataDir, 'server')
  await first.serving(4000)
  const second = await start('server')
  await start('worker')
  expect(await pid()).toBe(`${process.pid}\n`)
  await first.forget()
  expect(await pid()).toBe(`${second.pid}\n`)
  second.kill('SIGKILL')
  await once(second, 'exit')
  const third = await start('server')
  expect(await pid()).toBe(`${third.pid}\n`)
})
