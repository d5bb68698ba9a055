import { spawn } from 'node:child_process'
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { BuiltRelease, ProbeResult } from '../../src/domain/deploys/instance/ports.ts'
import type { ProcessRuntimeOptions } from '../../src/drivers/process/index.ts'
import { openChild, readableCommand } from './process-peer.ts'
import {
  buildRequest,
  exists,
  fileSource,
  freePorts,
  get,
  hostPath,
  modes,
  observe,
  openRuntime,
  pidsRunning,
  quiet,
  readAll,
  startRequest,
  uniqueSleep,
  until,
  untilHealthy,
  untilRunning,
} from './process-support.ts'

const server = `
let count = 0
setInterval(() => console.log('tick ' + ++count), 20)
require('node:http').createServer((_, response) => response.end('up')).listen(process.env.PORT, process.env.HOST)
process.on('SIGTERM', () => { console.log('ending after ' + count); process.exit(5) })`

describe.each(modes)('when the control plane is killed (%s)', (sandbox) => {
  it('an instance keeps running, is adopted, loses no output, and reports its exit code', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const child = openChild()
    await child.order({ open: { dataDir, sandbox, hostPath } })
    const { source: _source, ...build } = buildRequest(fileSource({}), { startCommand: 'exec node server.js' })
    const release = (await child.order({ build, files: { 'server.js': server } })) as BuiltRelease
    const request = startRequest(release)
    await child.order({ start: request })
    await untilHealthy(runtime, request.instanceId)
    const before = await observe(runtime, request.instanceId)
    await child.kill()
    const count = (text: string) => text.split('\n').filter((line) => line.startsWith('tick')).length
    const seen = count(await readAll(runtime, request.instanceId))
    await until(async () => count(await readAll(runtime, request.instanceId)) > seen + 5)
    expect(await observe(runtime, request.instanceId)).toEqual(before)
    expect(await get(runtime, request.instanceId, '/')).toBe('up')
    // A repeated start finds it running.
    await runtime.start(request)
    await runtime.stop(request.instanceId, { graceMs: 10_000 })
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'exited', exitCode: 5, signal: null })
    const text = await readAll(runtime, request.instanceId)
    expect(text.endsWith(`ending after ${count(text)}\n`)).toBe(true)
  })

  it('its build is stopped and removed by the next process', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const child = openChild()
    await child.order({ open: { dataDir, sandbox, hostPath } })
    const [behind, before] = [uniqueSleep(), uniqueSleep()]
    const { source: _source, ...build } = buildRequest(fileSource({}), {
      startCommand: 'true',
      buildCommand: `setsid ${behind} & ${before}`,
    })
    child.send({ build, files: {} })
    await untilRunning(behind)
    await child.kill()
    await runtime.build(buildRequest(fileSource({}), { startCommand: 'true' }), quiet())
    await until(async () => [...(await pidsRunning(behind)), ...(await pidsRunning(before))].length === 0)
    expect(await readdir(join(dataDir, 'work'))).toEqual([])
  })

  it('during many starts, each instance runs once after the starts are repeated', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'echo begun; exec sleep 1000' }), quiet())
    for (const delayMs of [0, 3, 6, 10, 20, 40]) {
      const child = openChild()
      await child.order({ open: { dataDir, sandbox, hostPath } })
      const request = startRequest(release, { kind: 'worker' })
      child.send({ start: request })
      // Without waiting, so that the kill can happen at any point of a start.
      await pause(delayMs)
      await child.kill()
      await runtime.start(request)
      await until(async () => (await readAll(runtime, request.instanceId)) !== '')
      expect(await readAll(runtime, request.instanceId)).toBe('begun\n')
      expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'running' })
      await runtime.forget(request.instanceId)
    }
  })
})

describe.each(modes)('concurrent processes of the control plane (%s)', (sandbox) => {
  it('start an instance once when they start it at the same time', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'echo begun; exec sleep 1000' }), quiet())
    const peers = [openChild(), openChild()]
    await Promise.all(peers.map((peer) => peer.order({ open: { dataDir, sandbox, hostPath } })))
    for (let turn = 0; turn < 5; turn++) {
      const request = startRequest(release)
      await Promise.all([...peers.map((peer) => peer.order({ start: request })), runtime.start(request)])
      await until(async () => (await readAll(runtime, request.instanceId)) !== '')
      await runtime.stop(request.instanceId, { graceMs: 5000 })
      expect(await readAll(runtime, request.instanceId)).toBe('begun\n')
    }
  })

  it('never assign a port twice', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const portRange = await freePorts(7)
    const options: ProcessRuntimeOptions = { dataDir, sandbox, hostPath, portRange }
    const peers = [openChild(), openChild()]
    await Promise.all(peers.map((peer) => peer.order({ open: options })))
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'exec sleep 1000' }), quiet())
    const requests = Array.from({ length: 6 }, () => startRequest(release))
    await Promise.all(requests.map((request, index) => peers[index % 2]?.order({ start: request })))
    const ports = new Set(requests.map((request) => runtime.addressOf(request.instanceId)?.port))
    expect(ports.size).toBe(6)
  })
})

it('an instance from before a reboot has ended, and a reused pid is never signalled', async () => {
  const { runtime, dataDir } = await openRuntime({ sandbox: 'none' })
  const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'sleep 0' }), quiet())
  const request = startRequest(release)
  await runtime.start(request)
  await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
  const run = join(dataDir, 'instances', request.instanceId, 'run-1')
  const launched = JSON.parse(await readFile(join(run, 'launch.json'), 'utf8'))
  const stranger = spawn('sleep', ['1000'], { detached: true })
  const report = `{ "child-pid": ${stranger.pid} }\n`
  await writeFile(join(run, 'report'), report)
  for (const watcher of [
    { ...launched.watcher, pid: stranger.pid },
    { ...launched.watcher, pid: stranger.pid, bootId: 'another boot' },
  ]) {
    await writeFile(join(run, 'launch.json'), JSON.stringify({ ...launched, watcher }))
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'exited', exitCode: null })
    await runtime.stop(request.instanceId, { graceMs: 0 })
  }
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
  expect(await exists(`/proc/${stranger.pid}`)).toBe(true)
  stranger.kill('SIGKILL')
})

it('works for an unprivileged user', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-process-'))
  const nobody = 65_534
  const isRoot = process.getuid?.() === 0
  const program = await readableCommand()
  if (isRoot) await chown(dataDir, nobody, nobody)
  const asNobody = ['setpriv', '--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', '--']
  try {
    const child = openChild([...(isRoot ? asNobody : []), ...program.command])
    expect(await child.order({ open: { dataDir, sandbox: 'bwrap', hostPath } })).toBe('bubblewrap')
    const { source: _source, ...build } = buildRequest(fileSource({}), { startCommand: 'exec node server.js' })
    const files = { 'server.js': server.replace('process.env.PORT', 'Number(process.env.PORT) + 10_000') }
    for (const turn of [
      { files: { 'server.js': server }, ok: true },
      { files, ok: false },
    ]) {
      const release = (await child.order({ build, files: turn.files })) as BuiltRelease
      const request = startRequest(release)
      await child.order({ start: request })
      const probe = { instanceId: request.instanceId, path: '/', timeoutMs: 1000 }
      let result: ProbeResult | undefined
      await until(async () => {
        result = (await child.order({ probe })) as ProbeResult
        return result.ok || result.otherPorts.length > 0
      })
      expect(result?.ok).toBe(turn.ok)
      await child.order({ forget: request.instanceId })
    }
    expect(await readdir(join(dataDir, 'instances'))).toEqual([])
    expect(await pidsRunning(dataDir)).toEqual([])
  } finally {
    await rm(dataDir, { recursive: true, force: true })
    await rm(program.directory, { recursive: true, force: true })
  }
})
