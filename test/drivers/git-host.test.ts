import { spawnSync } from 'node:child_process'
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { markOf, type ProcessMark } from '../../src/platform/process-mark.ts'
import { createRepository, type GitRepository } from '../support/git-repository.ts'
import { createBench, type GitBench, leftovers, pathWith, recordedIo, ref, refusal } from './git-support.ts'

let bench: GitBench
let repository: GitRepository

beforeEach(async () => {
  bench = await createBench()
  repository = await createRepository({ 'index.js': 'one' })
  bench.own(repository)
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await bench.close()
})

const main = { branch: 'main', commit: null }

describe('a remote that stops responding', () => {
  /** Accepts connections and never responds. `connected` resolves when the first one has sent data. */
  async function silentServer() {
    const { promise: connected, resolve } = Promise.withResolvers<void>()
    const sockets = new Set<Socket>()
    const server: Server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
      socket.once('data', () => resolve())
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    bench.own({
      close: () => {
        for (const socket of sockets) socket.destroy()
        return new Promise((closed) => server.close(() => closed()))
      },
    })
    return { connected, url: `http://127.0.0.1:${(server.address() as { port: number }).port}/a.git` }
  }

  const gitProcesses = () =>
    spawnSync('/bin/sh', ['-c', `cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c '^HOME=${bench.workDir}'`], {
      encoding: 'utf8',
    }).stdout.trim()

  it('is abandoned on abort: throws the reason and leaves no process or folder', async () => {
    const { connected, url } = await silentServer()
    const io = recordedIo()
    const pinning = bench.source().pin({ repository: ref(url), ...main }, io)
    await Promise.race([connected, pinning])
    expect(Number(gitProcesses())).toBeGreaterThan(0)
    const reason = new Error('cancelled')
    io.abort(reason)
    await expect(pinning).rejects.toBe(reason)
    expect(gitProcesses()).toBe('0')
    expect(await leftovers(bench.workDir)).toEqual([])
  })

  it('is abandoned in the middle of a tree, and the directory stays empty', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    let isSilent = false
    const { repositoryUrl } = await bench.serve(repository, {
      intercept() {
        if (isSilent) resolve()
        return isSilent
      },
    })
    const source = bench.source()
    const commit = await source.pin({ repository: ref(repositoryUrl), ...main }, recordedIo())
    isSilent = true
    const io = recordedIo()
    const directory = bench.target()
    const writing = source.tree(ref(repositoryUrl), commit)(directory, io)
    await Promise.race([asked, writing])
    const reason = new Error('deadline')
    io.abort(reason)
    await expect(writing).rejects.toBe(reason)
    expect(gitProcesses()).toBe('0')
    expect(await readdir(directory)).toEqual([])
  })

  it('is abandoned when no data has arrived for the stall timeout', async () => {
    const { url } = await silentServer()
    const error = await refusal(bench.source({ limits: { stallMs: 1_000 } }).pin({ repository: ref(url), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringContaining('too long') })
  })

  it('is abandoned when the log rejects output', async () => {
    const { repositoryUrl } = await bench.serve(repository, {
      intercept(_, response) {
        response.writeHead(403, { 'Content-Type': 'text/plain' }).end('no\n')
        return true
      },
    })
    const controller = new AbortController()
    const { promise: blocked, resolve } = Promise.withResolvers<void>()
    const output = (stream: string) => {
      if (stream !== 'stderr') return
      resolve()
      return new Promise<void>(() => {})
    }
    const pinning = bench.source().pin({ repository: ref(repositoryUrl), ...main }, { output, signal: controller.signal })
    await blocked
    const reason = new Error('cancelled')
    controller.abort(reason)
    await expect(pinning).rejects.toBe(reason)
  })
})

describe('the host', () => {
  it('reports what to install if git is missing or too old', async () => {
    await mkdir(join(bench.folder, 'empty'))
    const request = { repository: ref(repository.url), ...main }
    const without = await refusal(bench.source({ hostPath: join(bench.folder, 'empty') }).pin(request, recordedIo()))
    expect(without).toMatchObject({ code: 'SOURCE_UNREACHABLE', hint: expect.stringContaining('2.37') })
    const hostPath = await pathWith(bench.folder, 'git', 'echo git version 2.30.2')
    expect(await refusal(bench.source({ hostPath }).pin(request, recordedIo()))).toMatchObject({
      message: 'git 2.30 is too old. Version 2.37 or later is required.',
    })
  })

  it('does not affect the driver with its own git settings', async () => {
    const home = join(bench.folder, 'home')
    await mkdir(home)
    await writeFile(join(home, '.gitconfig'), `[url "${bench.folder}/nowhere"]\n\tinsteadOf = ${repository.path}\n`)
    vi.stubEnv('HOME', home)
    vi.stubEnv('GIT_DIR', '/nowhere')
    // Without the driver's protection, git applies the setting.
    expect(spawnSync('git', ['ls-remote', repository.path], { encoding: 'utf8' }).stderr).toContain('nowhere')
    expect((await bench.source().pin({ repository: ref(repository.url), ...main }, recordedIo())).message).toBe('first')
  })

  it('is cleaned of folders that a killed process left in the work folder, except those that may be in use', async () => {
    const here = markOf(process.pid)!
    const nameOf = ({ pid, startTime, bootId }: ProcessMark, end: string) => `session-${pid}-${startTime}-${bootId}-${end}`
    const inUse = [nameOf(here, 'inuse1'), 'session-unmarked-new111']
    const gone = [
      nameOf({ ...here, pid: spawnSync('/bin/true').pid }, 'gone11'),
      nameOf({ ...here, startTime: '1' }, 'pidtwo'),
      nameOf({ ...here, bootId: here.bootId.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) }, 'reboot'),
      'session-unmarked-old111',
    ]
    for (const name of [...inUse, ...gone]) await mkdir(join(bench.workDir, name), { recursive: true })
    const old = new Date(Date.now() - 2 * 60 * 60 * 1000)
    for (const name of ['session-unmarked-old111', inUse[0]!]) await utimes(join(bench.workDir, name), old, old)
    await bench.source().sweep()
    expect((await leftovers(bench.workDir)).sort()).toEqual(inUse.sort())
    for (const name of await leftovers(bench.workDir)) await rm(join(bench.workDir, name), { recursive: true })
  })

  it('fails with NO_CAPACITY when its disk is full', async () => {
    const script = 'case "$*" in *fetch*) echo "fatal: write error: No space left on device" >&2; exit 128 ;; esac\nreal "$@"'
    const hostPath = await pathWith(bench.folder, 'git', script)
    const error = await refusal(bench.source({ hostPath }).pin({ repository: ref(repository.url), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'NO_CAPACITY', message: 'There is not enough disk space for the source.' })
  })
})
