import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SourceWriter } from '../../src/domain/deploys/instance/ports.ts'
import { PortError } from '../../src/platform/errors.ts'
import {
  appSource,
  buildRequest,
  fileSource,
  get,
  hostPath,
  modes,
  observe,
  openRuntime,
  pidsRunning,
  quiet,
  readAll,
  recording,
  startRequest,
  uniqueSleep,
  until,
  untilHealthy,
} from './process-support.ts'

describe.each(modes)('a build (%s)', (sandbox) => {
  it('of a Node application installs dependencies, builds, and streams the output', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const io = recording()
    const release = await runtime.build(buildRequest(appSource('web')), io)
    expect(release).toMatchObject({ detected: 'node', startCommand: 'npm start', digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) })
    expect(io.text()).toContain('$ npm ci')
    expect(io.text()).toContain('compiling module 20 of 20')
    expect(io.text()).toContain('build finished')
    expect(await runtime.hasRelease(release.digest)).toBe(true)
    expect(await readdir(join(dataDir, 'work'))).toEqual([])
    const tree = join(dataDir, 'releases', release.digest.slice(7), 'tree')
    expect(JSON.parse(await readFile(join(tree, 'built.json'), 'utf8'))).toEqual({ version: 'v1' })
  })

  it('of a Python application creates an environment for the command of its Procfile', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const source = appSource('python', { Procfile: 'web: pip --version && python app.py\n' })
    const release = await runtime.build(buildRequest(source), quiet())
    expect(release).toMatchObject({ detected: 'procfile' })
    const request = startRequest(release)
    await runtime.start(request)
    await untilHealthy(runtime, request.instanceId)
    expect(await get(runtime, request.instanceId, '/')).toMatch(/^python in .*\/\.venv\n$/)
    expect(await readAll(runtime, request.instanceId)).toMatch(/^pip \d/)
  })

  it('of a Go application uses the toolchain of the machine', async () => {
    const programs = await mkdtemp(join(tmpdir(), 'quayside-go-'))
    try {
      await writeFile(join(programs, 'go'), '#!/bin/sh\nprintf "#!/bin/sh\\necho built by go\\n" > "$3" && chmod +x "$3"\n', {
        mode: 0o755,
      })
      // In a sandbox, only toolchains that are installed for all users are visible.
      const { runtime } = await openRuntime({ sandbox: 'none', hostPath: `${programs}:${hostPath}` })
      const release = await runtime.build(buildRequest(fileSource({ 'go.mod': 'module app\n' })), quiet())
      expect(release).toMatchObject({ detected: 'go', startCommand: './go-server' })
      const request = startRequest(release)
      await runtime.start(request)
      await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
      expect(await readAll(runtime, request.instanceId)).toBe('built by go\n')
    } finally {
      await rm(programs, { recursive: true })
    }
  })

  it('derives the digest of a release from its content and its deployment', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const request = buildRequest(fileSource({ 'a.txt': 'a' }), { startCommand: 'true' })
    const release = await runtime.build(request, quiet())
    expect((await runtime.build(request, quiet())).digest).toBe(release.digest)
    expect((await runtime.build({ ...request, deploymentId: randomUUID() }, quiet())).digest).not.toBe(release.digest)
    const changed = await runtime.build({ ...request, source: fileSource({ 'a.txt': 'b' }) }, quiet())
    expect(changed.digest).not.toBe(release.digest)
    // The release of the deployment's earlier attempt has been removed.
    expect(await runtime.hasRelease(release.digest)).toBe(false)
    expect(changed.sizeBytes).toBe(1)
  })

  it('keeps a cache per service until it is cleared', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const base = {
      startCommand: 'true',
      buildCommand: 'cat "$XDG_CACHE_HOME/seen" || (mkdir -p "$XDG_CACHE_HOME" && echo cached > "$XDG_CACHE_HOME/seen")',
    }
    const request = buildRequest(fileSource({}), base)
    const output = async (wishes: Partial<typeof request>) => {
      const io = recording()
      await runtime.build({ ...request, deploymentId: randomUUID(), ...wishes }, io)
      return io.text().includes('\ncached')
    }
    expect(await output({})).toBe(false)
    expect(await output({})).toBe(true)
    expect(await output({ serviceId: randomUUID() })).toBe(false)
    expect(await output({ clearCache: true })).toBe(false)
    expect(await output({})).toBe(true)
    await runtime.removeService(request.serviceId)
    expect(await output({})).toBe(false)
  })

  it('has its own variables and none of the control plane', async () => {
    const { runtime } = await openRuntime({ sandbox, hostPath: `/somewhere/node_modules/.bin:${process.env.PATH}` })
    process.env.QUAYSIDE_TEST_CANARY = 'ours'
    const io = recording()
    await runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand: 'env', env: { GREETING: 'hello world' } }), io)
    delete process.env.QUAYSIDE_TEST_CANARY
    expect(io.text()).toContain('GREETING=hello world\n')
    expect(io.text()).toContain('CI=true\n')
    expect(io.text()).not.toContain('QUAYSIDE_TEST_CANARY')
    expect(io.text()).not.toContain('/somewhere')
  })

  it('that fails reports its exit code and leaves nothing behind', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const failing = (buildCommand: string) => runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand }), quiet())
    await expect(failing('exit 7')).rejects.toMatchObject({ name: 'PortError', code: 'BUILD_FAILED', exitCode: 7 })
    await expect(failing('no-such-program')).rejects.toMatchObject({ code: 'BUILD_FAILED', exitCode: 127, hint: expect.any(String) })
    await expect(failing('kill -KILL $$')).rejects.toMatchObject({ code: 'BUILD_FAILED', exitCode: 137 })
    expect(await readdir(join(dataDir, 'work'))).toEqual([])
    expect(await readdir(join(dataDir, 'releases'))).toEqual([])
  })

  it('that is cancelled is killed with all of its processes, and throws the reason', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const abort = new AbortController()
    const io = recording(abort.signal)
    const sleeps = [uniqueSleep(), uniqueSleep(), uniqueSleep()]
    const command = `trap '' TERM INT; setsid ${sleeps[0]} & ${sleeps[1]} & echo building; while :; do ${sleeps[2]}; done`
    const building = runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand: command }), io)
    const reason = new Error('cancelled by a person')
    building.catch(() => undefined)
    await until(async () => io.text().includes('\nbuilding'))
    abort.abort(reason)
    await expect(building).rejects.toBe(reason)
    for (const text of sleeps) expect(await pidsRunning(text)).toEqual([])
    expect(await readdir(join(dataDir, 'work'))).toEqual([])
    await expect(runtime.build(buildRequest(fileSource({})), quiet(abort.signal))).rejects.toBe(reason)
  })

  it('does not wait for background processes', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const left = uniqueSleep()
    await runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand: `${left} & echo done` }), quiet())
    expect(await pidsRunning(left)).toEqual([])
  })

  it('that prints 100 MB takes no memory, even if its reader is slow', async () => {
    const { runtime } = await openRuntime({ sandbox })
    let seen = 0
    let largest = 0
    let busy = 0
    const before = process.memoryUsage().rss
    const output = async (stream: string, bytes: Uint8Array) => {
      if (stream !== 'stdout') return
      busy++
      largest = Math.max(largest, busy)
      await new Promise((resolve) => setImmediate(resolve))
      seen += bytes.length
      busy--
    }
    const buildCommand = 'head -c 100000000 /dev/zero | tr "\\0" x'
    await runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand }), { ...quiet(), output })
    expect(seen).toBe(100_000_000)
    expect(largest).toBe(1)
    expect(process.memoryUsage().rss - before).toBeLessThan(60 << 20)
  })

  it('whose output is rejected ends with the reason', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const output = (stream: string) => (stream === 'stdout' ? Promise.reject(new Error('log is gone')) : undefined)
    const request = buildRequest(fileSource({}), { startCommand: 'true', buildCommand: 'while :; do echo more; done' })
    await expect(runtime.build(request, { ...quiet(), output })).rejects.toThrow('log is gone')
  })

  it('of a rejected source throws the error of the source', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const source: SourceWriter = () => Promise.reject(new PortError('COMMIT_NOT_FOUND', 'No such commit.'))
    await expect(runtime.build(buildRequest(source), quiet())).rejects.toMatchObject({ code: 'COMMIT_NOT_FOUND' })
  })

  it.each([
    ['an absolute link', '/etc/passwd'],
    ['a relative link', '../../../etc'],
    ['a link to a sibling of the tree', '../tree-beside'],
  ])('of a tree with %s that points outside is rejected', async (_name, target) => {
    const { runtime } = await openRuntime({ sandbox })
    const source: SourceWriter = (directory) => symlink(target, join(directory, 'link'))
    await expect(runtime.build(buildRequest(source, { startCommand: 'true' }), quiet())).rejects.toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('with a root directory runs there, and only inside the tree', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const source: SourceWriter = async (directory, io) => {
      await fileSource({ 'apps/one/Procfile': 'web: cat ../../shared.txt\n', 'shared.txt': 'shared\n', file: '' })(directory, io)
      await symlink('..', join(directory, 'apps/up'))
    }
    const release = await runtime.build(buildRequest(source, { rootDirectory: 'apps/one' }), quiet())
    const request = startRequest(release)
    await runtime.start(request)
    await until(async () => (await observe(runtime, request.instanceId)).state === 'exited')
    expect(await readAll(runtime, request.instanceId)).toBe('shared\n')
    for (const rootDirectory of ['..', '/etc', 'apps/../..', 'missing', 'file', 'apps/up/../../..']) {
      await expect(runtime.build(buildRequest(source, { rootDirectory }), quiet())).rejects.toMatchObject({ code: 'SOURCE_REJECTED' })
    }
  })

  it('of a static site publishes its directory and nothing else', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const plain = await runtime.build(buildRequest(appSource('static'), { kind: 'static_site' }), quiet())
    expect(plain).toMatchObject({ detected: 'static', startCommand: null })
    expect((await readdir(runtime.staticFiles(plain.digest)?.root ?? '')).sort()).toEqual(['404.html', 'index.html', 'style.css'])
    const wishes = { kind: 'static_site', buildCommand: 'mkdir -p out && echo built > out/page.html', publishDirectory: 'out' } as const
    const built = await runtime.build(buildRequest(appSource('static'), wishes), quiet())
    expect(await readdir(runtime.staticFiles(built.digest)?.root ?? '')).toEqual(['page.html'])
    const web = await runtime.build(buildRequest(appSource('static')), quiet())
    expect(web).toMatchObject({ detected: 'static', startCommand: null })
    expect(runtime.staticFiles(web.digest)).not.toBeNull()
    await runtime.removeRelease(built.digest)
    expect(runtime.staticFiles(built.digest)).toBeNull()
    expect(runtime.staticFiles('sha256:../..')).toBeNull()
    const missing = runtime.build(buildRequest(appSource('static'), { ...wishes, publishDirectory: 'dist' }), quiet())
    await expect(missing).rejects.toMatchObject({ code: 'BUILD_FAILED', hint: expect.stringContaining('publishDirectory') })
    const leaking = { ...wishes, buildCommand: 'mkdir out && ln -s /etc out/etc' }
    await expect(runtime.build(buildRequest(appSource('static'), leaking), quiet())).rejects.toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('is rejected without free disk space and when it grows too large', async () => {
    const full = await openRuntime({ sandbox, quotas: { dataDirFreeBytes: Number.MAX_SAFE_INTEGER } })
    const refused = full.runtime.build(buildRequest(appSource('static')), quiet())
    await expect(refused).rejects.toMatchObject({ name: 'PortError', code: 'NO_CAPACITY' })
    const small = await openRuntime({ sandbox, quotas: { releaseBytes: 1000, cacheBytes: 1000 } })
    const buildCommand = 'head -c 2000 /dev/zero > large; mkdir -p $XDG_CACHE_HOME; head -c 2000 /dev/zero > $XDG_CACHE_HOME/large'
    const request = buildRequest(fileSource({}), { startCommand: 'true', buildCommand })
    await expect(small.runtime.build(request, quiet())).rejects.toMatchObject({ code: 'NO_CAPACITY' })
    expect(await readdir(join(small.dataDir, 'releases'))).toEqual([])
    expect(await readdir(join(small.dataDir, 'caches'))).toEqual([])
  })

  it('keeps unreadable files, and omits pipes from the release', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const buildCommand = 'mkfifo pipe; echo x > kept; chmod 000 kept'
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'cat kept', buildCommand }), quiet())
    expect(await readdir(join(dataDir, 'releases', release.digest.slice(7), 'tree'))).toEqual(['kept'])
  })
})

describe.each(modes)('a release command (%s)', (sandbox) => {
  it('runs once in a view of the release, and reports its exit code if it fails', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const request = buildRequest(fileSource({ 'file.txt': 'released' }), { startCommand: 'true' })
    const { digest } = await runtime.build(request, quiet())
    const run = (command: string, io = recording()) =>
      runtime.runReleaseCommand({ ...request, digest, command, env: { GREETING: 'hello' } }, io).then(() => io.text())
    expect(await run('cat file.txt; echo " $GREETING"; echo changed > file.txt')).toBe('released hello\n')
    expect(await run('cat file.txt')).toBe('released')
    await expect(run('exit 9')).rejects.toMatchObject({ name: 'PortError', code: 'RELEASE_COMMAND_FAILED', exitCode: 9 })
    const abort = new AbortController()
    const io = recording(abort.signal)
    const sleep = uniqueSleep()
    const running = run(`echo begun; ${sleep}`, io)
    running.catch(() => undefined)
    await until(async () => io.text() === 'begun\n')
    abort.abort(new Error('too long'))
    await expect(running).rejects.toThrow('too long')
    expect(await pidsRunning(sleep)).toEqual([])
    await runtime.removeRelease(digest)
    await expect(run('true')).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' })
  })
})
