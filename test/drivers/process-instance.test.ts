import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  appSource,
  beginning,
  buildRequest,
  fileSource,
  freePorts,
  get,
  modes,
  observe,
  openRuntime,
  outputOf,
  pidsRunning,
  quiet,
  readAll,
  startCommand,
  startRequest,
  uniqueSleep,
  until,
  untilHealthy,
  untilRunning,
} from './process-support.ts'

describe.each(modes)('an instance (%s)', (sandbox) => {
  it('serves on its own port, and has its variables and none of the control plane', async () => {
    const { runtime } = await openRuntime({ sandbox })
    process.env.QUAYSIDE_TEST_CANARY = 'ours'
    const release = await runtime.build(buildRequest(appSource('web')), quiet())
    const request = startRequest(release, { env: { GREETING: '', PORT: '1', HOST: '0.0.0.0' } })
    await runtime.start(request)
    await untilHealthy(runtime, request.instanceId, '/health')
    expect(await get(runtime, request.instanceId, '/')).toBe('v1\n')
    const names = Object.keys(JSON.parse(await get(runtime, request.instanceId, '/env-hash')))
    expect(names).toEqual(expect.arrayContaining(['GREETING', 'PORT', 'HOST', 'PATH', 'HOME']))
    expect(names).not.toContain('QUAYSIDE_TEST_CANARY')
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'running', startedAt: expect.any(Date) })
    delete process.env.QUAYSIDE_TEST_CANARY
  })

  it('is started once by two concurrent starts', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'echo begun; exec sleep 1000' }), quiet())
    const request = startRequest(release, { kind: 'worker' })
    await Promise.all([runtime.start(request), runtime.start(request), runtime.start(request)])
    await runtime.start(request)
    await until(async () => (await readAll(runtime, request.instanceId)) !== '')
    await runtime.stop(request.instanceId, { graceMs: 2000 })
    expect(await readAll(runtime, request.instanceId)).toBe('begun\n')
  })

  it('never shares a port with another instance', async () => {
    const range = await freePorts(4)
    const { runtime } = await openRuntime({ sandbox, portRange: range })
    const occupied = createServer()
    await new Promise<void>((resolve) => occupied.listen(range.first + 1, '127.0.0.1', resolve))
    try {
      const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'exec sleep 1000' }), quiet())
      const requests = [1, 2, 3].map(() => startRequest(release))
      await Promise.all(requests.map((request) => runtime.start(request)))
      const ports = requests.map((request) => runtime.addressOf(request.instanceId)?.port)
      expect(ports.sort()).toEqual([range.first, range.first + 2, range.last])
      await expect(runtime.start(startRequest(release))).rejects.toMatchObject({ code: 'NO_CAPACITY' })
      await runtime.forget(requests[0]?.instanceId ?? '')
      await runtime.start(startRequest(release))
    } finally {
      await new Promise((resolve) => occupied.close(resolve))
    }
  })

  it('of a worker has no address', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('worker'), { kind: 'worker' }), quiet())
    const request = startRequest(release, { kind: 'worker' })
    await runtime.start(request)
    await until(async () => (await readAll(runtime, request.instanceId)).includes('job 1 done'))
    expect(runtime.addressOf(request.instanceId)).toBeNull()
    await runtime.stop(request.instanceId, { graceMs: 10_000 })
    expect(await readAll(runtime, request.instanceId)).toContain('worker ends')
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'exited' })
  })

  it('that exits immediately is observed with its exit code until it is forgotten', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('exits')), quiet())
    const request = startRequest(release)
    await runtime.start(request)
    await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
    expect(await observe(runtime, request.instanceId)).toMatchObject({
      state: 'exited',
      exitCode: 3,
      signal: null,
      exitedAt: expect.any(Date),
    })
    expect(await readAll(runtime, request.instanceId)).toContain('no configuration found')
    expect(await runtime.list()).toEqual([request.instanceId])
    await runtime.forget(request.instanceId)
    await runtime.forget(request.instanceId)
    expect(await observe(runtime, request.instanceId)).toEqual({ instanceId: request.instanceId, state: 'missing' })
    expect(await runtime.list()).toEqual([])
    expect(runtime.addressOf(request.instanceId)).toBeNull()
  })

  it('that has ended can be started again with its id, and its output continues', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'echo once' }), quiet())
    const request = startRequest(release)
    for (const expected of ['once\n', 'once\nonce\n']) {
      await runtime.start(request)
      await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
      expect(await readAll(runtime, request.instanceId)).toBe(expected)
    }
  })

  it('receives SIGTERM on a stop, with all of its processes', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const script = `trap 'echo parent asked; exit 0' TERM; sh -c 'trap "echo child asked; exit 0" TERM; echo child up; while :; do sleep 0.05; done' & echo parent up; while :; do sleep 0.05; done`
    const instanceId = await startCommand(runtime, script)
    await until(async () => (await readAll(runtime, instanceId)).match(/ up$/gm)?.length === 2)
    await runtime.stop(instanceId, { graceMs: 10_000 })
    const output = await readAll(runtime, instanceId)
    expect(output).toContain('parent asked')
    expect(output).toContain('child asked')
    expect(await observe(runtime, instanceId)).toMatchObject({ state: 'exited', exitCode: 0 })
  })

  it('finishes its requests within the shutdown grace period, even below npm and shells that exit first', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('web')), quiet())
    const request = startRequest(release)
    await runtime.start(request)
    await untilHealthy(runtime, request.instanceId)
    const answer = get(runtime, request.instanceId, '/?wait=4000')
    // The request has arrived once a later one has been answered.
    await get(runtime, request.instanceId, '/')
    const stopped = runtime.stop(request.instanceId, { graceMs: 10_000 })
    await until(async () => (await readAll(runtime, request.instanceId)).includes('asked to end'))
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'running' })
    expect(await answer).toBe('v1\n')
    await stopped
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'exited' })
  })

  it('that ignores SIGTERM is killed after the grace period', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('ignores-term')), quiet())
    const request = startRequest(release)
    await runtime.start(request)
    await untilHealthy(runtime, request.instanceId)
    const address = runtime.addressOf(request.instanceId)
    await runtime.stop(request.instanceId, { graceMs: 300 })
    expect(await readAll(runtime, request.instanceId)).toContain('not yet')
    expect(await observe(runtime, request.instanceId)).toMatchObject({ state: 'exited' })
    await until(() =>
      connectTo(address?.port ?? 0).then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    )
    await runtime.stop(request.instanceId, { graceMs: 300 })
  })

  it('leaves no process running when its first process ends', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const sleeps = [uniqueSleep(), uniqueSleep()] as const
    const instanceId = await startCommand(runtime, `setsid ${sleeps[0]} & ${sleeps[1]} & echo gone`)
    await until(async () => (await observe(runtime, instanceId)).state === 'exited')
    await observe(runtime, instanceId)
    await until(async () => [...(await pidsRunning(sleeps[0])), ...(await pidsRunning(sleeps[1]))].length === 0)
  })

  it('is stopped with a daemon that has left its session, parent and environment', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const daemon = (seconds: number) => `(env -i setsid /bin/sh -c "cd /; exec sleep ${seconds}" <&- >/dev/null 2>&1 &)`
    const build = buildRequest(fileSource({}), { startCommand: 'true', buildCommand: `${daemon(8765)}; echo built` })
    await runtime.build(build, quiet())
    expect(await pidsRunning('sleep 8765')).toEqual([])
    const instanceId = await startCommand(runtime, `${daemon(8766)}; exec sleep 8767`)
    await until(async () => (await pidsRunning('sleep 8766')).length > 0)
    await runtime.stop(instanceId, { graceMs: 0 })
    for (const seconds of [8766, 8767]) expect(await pidsRunning(`sleep ${seconds}`)).toEqual([])
  })

  it('can write next to its code without changing the release or another instance', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(
      buildRequest(fileSource({ 'file.txt': 'from the release\n' }), {
        startCommand: 'cat file.txt; ls; echo changed > file.txt; echo > new.txt; echo > "$HOME/x"; echo > "$TMPDIR/x"',
      }),
      quiet(),
    )
    for (let turn = 0; turn < 2; turn++) {
      const request = startRequest(release)
      await runtime.start(request)
      await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
      expect(await observe(runtime, request.instanceId)).toMatchObject({ exitCode: 0 })
      expect(await readAll(runtime, request.instanceId)).toBe('from the release\nfile.txt\n')
    }
  })

  it('of a removed release is rejected, and a release in use is not removed', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'exec sleep 1000' }), quiet())
    const request = startRequest(release)
    await runtime.start(request)
    await runtime.removeRelease(release.digest)
    expect(await runtime.hasRelease(release.digest)).toBe(true)
    await runtime.stop(request.instanceId, { graceMs: 0 })
    await runtime.removeRelease(release.digest)
    await runtime.removeRelease(release.digest)
    expect(await runtime.hasRelease(release.digest)).toBe(false)
    const other = startRequest(release)
    await expect(runtime.start(other)).rejects.toMatchObject({ name: 'PortError', code: 'ARTIFACT_MISSING' })
    expect(await observe(runtime, other.instanceId)).toMatchObject({ state: 'exited', exitCode: null })
  })

  it('with a variable that no process can have is rejected', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const env = { TRICK: 'x\0--bind\0/\0/host' }
    await expect(startCommand(runtime, 'true', { env })).rejects.toMatchObject({ name: 'PortError', code: 'START_FAILED' })
  })

  it('receives variables of any size and content, never on its command line', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const value = `secret-canary-${'é"\n$`\\'.repeat(15_000)}`
    const output = await outputOf(
      runtime,
      'printf %s "$VALUE" | wc -c; cat /proc/*/cmdline 2>/dev/null | tr "\\0" " " | grep -c secret-can[a]ry',
      { env: { VALUE: value } },
    )
    expect(output.trim().split('\n')).toEqual([String(Buffer.byteLength(value)), '0'])
  })

  it('takes less than 10 MB of memory in addition to the application', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const sleep = uniqueSleep()
    const instanceId = await startCommand(runtime, `exec ${sleep}`)
    await untilRunning(sleep)
    const application = await pidsRunning(sleep)
    let kilobytes = 0
    for (const pid of application) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      if (!/^Name:\s+sleep$/m.test(status)) kilobytes += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    }
    expect(kilobytes).toBeGreaterThan(0)
    expect(kilobytes).toBeLessThan(10_000)
    await runtime.stop(instanceId, { graceMs: 0 })
  })
})

describe.each(modes)('a probe (%s)', (sandbox) => {
  it('succeeds for 2xx and 3xx, and otherwise reports the reason', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('web', { unhealthy: '' })), quiet())
    const { instanceId } = await startAndReturn(runtime, startRequest(release))
    await untilHealthy(runtime, instanceId, null)
    const probe = (path: string, timeoutMs = 5000) => runtime.probe({ instanceId, path, timeoutMs })
    expect(await probe('/')).toEqual({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] })
    expect(await probe('/moved')).toEqual({ ok: true, status: 302, reason: null, otherPorts: [], otherHosts: [] })
    expect(await probe('/health')).toEqual({ ok: false, status: 503, reason: 'answered 503', otherPorts: [], otherHosts: [] })
    expect(await probe('/?wait=60000', 50)).toEqual({
      ok: false,
      status: null,
      reason: 'no response within 50 ms',
      otherPorts: [],
      otherHosts: [],
    })
    await runtime.stop(instanceId, { graceMs: 0 })
    // A killed process closes its socket only at the very end.
    await until(async () => (await probe('/')).reason === 'connection refused')
    expect(await probe('/')).toMatchObject({ ok: false, status: null })
    expect(await runtime.probe({ instanceId: 'unknown', path: '/', timeoutMs: 50 })).toMatchObject({ ok: false, status: null })
  })

  it('reports the port that an application listens on instead of its own', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(appSource('ignores-port')), quiet())
    const { instanceId } = await startAndReturn(runtime, startRequest(release))
    await until(async () => (await readAll(runtime, instanceId)).includes('listens on'))
    const port = Number(/listens on (\d+)/.exec(await readAll(runtime, instanceId))?.[1])
    const result = await runtime.probe({ instanceId, path: '/', timeoutMs: 1000 })
    expect(result).toEqual({ ok: false, status: null, reason: 'connection refused', otherPorts: [port], otherHosts: [] })
  })
})

describe.each(modes)('captured output (%s)', (sandbox) => {
  it('is read from a position, up to the requested size, with separate streams', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const instanceId = await startCommand(runtime, 'printf 0123456789; printf abcdefghij >&2')
    await until(async () => (await observe(runtime, instanceId)).state === 'exited')
    const texts = { stdout: '', stderr: '' }
    let position = beginning
    for (let turn = 0; turn < 20; turn++) {
      const read = await runtime.readOutput(instanceId, position, 3)
      expect(read.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)).toBeLessThanOrEqual(3)
      for (const chunk of read.chunks) texts[chunk.stream] += Buffer.from(chunk.bytes).toString()
      position = read.position
      expect(read.droppedBytes).toBe(0)
    }
    expect(texts).toEqual({ stdout: '0123456789', stderr: 'abcdefghij' })
    expect(position).toEqual({ stdout: 10, stderr: 10 })
    expect(await runtime.readOutput('unknown', position, 10)).toEqual({ chunks: [], position, droppedBytes: 0 })
  })

  it('beyond the cap loses its oldest part, counts the lost bytes, and frees disk space', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox, outputCapBytes: 1 << 20 })
    const instanceId = await startCommand(runtime, 'head -c 20000000 /dev/zero | tr "\\0" x; printf END')
    await until(async () => (await observe(runtime, instanceId)).state === 'exited')
    const file = join(dataDir, 'instances', instanceId, 'stdout')
    const first = await runtime.readOutput(instanceId, beginning, 4 << 20)
    expect(first.droppedBytes).toBe(20_000_003 - (1 << 20))
    expect(first.position.stdout).toBe(20_000_003)
    expect(
      Buffer.from(first.chunks[0]?.bytes ?? [])
        .toString()
        .slice(-4),
    ).toBe('xEND')
    expect(await diskBytes(file)).toBeLessThan(3 << 20)
    const again = await runtime.readOutput(instanceId, beginning, 100)
    expect(Buffer.from(again.chunks[0]?.bytes ?? []).toString()).toBe('x'.repeat(100))
    expect((await runtime.readOutput(instanceId, first.position, 100)).chunks).toEqual([])
  })

  it('that was read is erased from the disk while the instance runs', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const instanceId = await startCommand(runtime, 'printf taken-in; printf read-only >&2; sleep 1000')
    const spool = async () => {
      const parts = await Promise.all(['stdout', 'stderr'].map((name) => readFile(join(dataDir, 'instances', instanceId, name), 'latin1')))
      return parts.join('|')
    }
    await until(async () => (await spool()) === 'taken-in|read-only')
    const { position } = await runtime.readOutput(instanceId, beginning, 100)
    expect(await spool()).toBe('taken-in|read-only')
    await runtime.readOutput(instanceId, { ...position, stderr: 4 }, 100)
    expect(await spool()).toBe(`${'\0'.repeat(8)}|${'\0'.repeat(4)}-only`)
    const { chunks } = await runtime.readOutput(instanceId, { ...position, stderr: 4 }, 100)
    expect(chunks.map(({ stream, bytes }) => [stream, Buffer.from(bytes).toString()])).toEqual([['stderr', '-only']])
    await runtime.stop(instanceId, { graceMs: 0 })
  })

  it('that was read frees its disk space while the instance runs', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const instanceId = await startCommand(runtime, 'head -c 8000000 /dev/zero | tr "\\0" x; echo done >&2; sleep 1000')
    await until(async () => (await runtime.readOutput(instanceId, { stdout: 0, stderr: 0 }, 1 << 24)).position.stderr > 0)
    let position = beginning
    for (let read = 0; read < 8_000_000; read = position.stdout) {
      position = (await runtime.readOutput(instanceId, position, 2 << 20)).position
    }
    expect(position.stdout).toBe(8_000_000)
    expect(await diskBytes(join(dataDir, 'instances', instanceId, 'stdout'))).toBeLessThan(4 << 20)
  })
})

async function startAndReturn<Request extends { instanceId: string }>(
  runtime: { start(request: Request): Promise<void> },
  request: Request,
): Promise<Request> {
  await runtime.start(request)
  return request
}

function connectTo(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve()
    })
    socket.on('error', reject)
  })
}

async function diskBytes(file: string): Promise<number> {
  const { stat } = await import('node:fs/promises')
  return (await stat(file)).blocks * 512
}
