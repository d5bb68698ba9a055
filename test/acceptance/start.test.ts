/** How the program starts: next to another process, with wrong settings, again after a kill, and on a full disk. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, inject, it } from 'vitest'
import type { ServerProcess } from '../support/server.ts'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

const urlOf = (process: ServerProcess) => until('it prints its address', () => /^GraphQL (\S+)$/m.exec(process.output())?.[1])
const routerOf = (process: ServerProcess) =>
  until('it prints the address of its router', () => /^Router (\S+)$/m.exec(process.output())?.[1])

async function ask(url: string, key: string, query: string, variables: Data = {}): Promise<Data> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })
  return ((await answer.json()) as { data: Data }).data
}

describe('the first start', () => {
  it('prints its addresses, and stores the key for its owner only', async () => {
    const file = join(world.server.dataDir, 'bootstrap.json')
    const bootstrap = JSON.parse(await readFile(file, 'utf8'))
    expect(bootstrap).toMatchObject({ apiKey: expect.stringMatching(/^ak_live_/), graphqlUrl: world.server.url })
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(world.server.process.output()).toContain(`API key ${bootstrap.apiKey}`)
    expect(Number(await readFile(join(world.server.dataDir, 'server.pid'), 'utf8'))).toBe(world.server.process.pid)
  })

  it.each(['postgres/new/PG_VERSION', 'postgres/18/postmaster.pid', 'master.key'])(
    'that is interrupted at %s leaves nothing running, and the next one works',
    async (step) => {
      const DATA_DIR = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
      const process = world.server.spawn({ DATA_DIR })
      await until(`it comes to ${step}`, async () => existsSync(join(DATA_DIR, step)))
      expect(await process.kill('SIGINT')).toBe(130)
      await expect(stat(join(DATA_DIR, 'postgres', '18', 'postmaster.pid'))).rejects.toThrow('ENOENT')
      const again = world.server.spawn({ DATA_DIR })
      await urlOf(again)
      expect(await again.kill('SIGINT')).toBe(0)
      await rm(DATA_DIR, { recursive: true, force: true, maxRetries: 3 })
    },
  )

  it('by two processes at once makes one installation, one key and one router; both serve, and Ctrl-C on one stops everything', async ({
    onTestFinished,
  }) => {
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
    const both = [world.server.spawn({ DATA_DIR }), world.server.spawn({ DATA_DIR })]
    onTestFinished(async () => {
      for (const process of both) await process.kill('SIGINT')
      await rm(DATA_DIR, { recursive: true, force: true, maxRetries: 3 })
    })
    const urls = await Promise.all(both.map(urlOf))
    const routers = await Promise.all(both.map(routerOf))
    expect(routers[0]).toBe(routers[1])
    const { apiKey } = JSON.parse(await readFile(join(DATA_DIR, 'bootstrap.json'), 'utf8'))
    const answers = await Promise.all(urls.map((url) => ask(url, apiKey, '{ organization { id } apiKeys { totalCount } }')))
    expect(answers[0]!.organization.id).toBe(answers[1]!.organization.id)
    expect(answers[0]!.apiKeys.totalCount).toBe(1)
    expect(both.filter((process) => process.output().includes('API key ak_live_'))).toHaveLength(1)
    expect(await both[0]!.kill('SIGINT')).toBe(0)
    expect(await both[1]!.ended).toBe(0)
    await expect(stat(join(DATA_DIR, 'postgres', 'postmaster.pid'))).rejects.toThrow('ENOENT')
  })
})

describe('a first start that is killed again and again', () => {
  it('is completed by the one that survives: one working key, and ready only then', async ({ onTestFinished }) => {
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
    let last: ServerProcess | undefined
    onTestFinished(async () => {
      await last?.kill('SIGINT')
      await rm(DATA_DIR, { recursive: true, force: true, maxRetries: 3 })
    })
    const exists = (path: string) => existsSync(join(DATA_DIR, path))
    for (const step of ['postgres/new/PG_VERSION', 'postgres/18/postmaster.pid', 'master.key', 'bootstrap.unfinished', 'bootstrap.json']) {
      const started = world.server.spawn({ DATA_DIR })
      // A short step may be over before it is observed.
      await until(step, () => exists(step) || started.output().includes('GraphQL'))
      expect(await started.kill('SIGKILL')).toBe('SIGKILL')
    }
    last = world.server.spawn({ DATA_DIR })
    const url = await urlOf(last)
    expect(exists('bootstrap.unfinished')).toBe(false)
    const { apiKey } = JSON.parse(await readFile(join(DATA_DIR, 'bootstrap.json'), 'utf8'))
    const { organization, apiKeys } = await ask(url, apiKey, '{ organization { id } apiKeys(first: 50) { nodes { name revokedAt } } }')
    expect(organization.id).toMatch(/^org_/)
    expect(apiKeys.nodes.filter((key: Data) => key.revokedAt === null)).toMatchObject([{ name: 'first key' }])
    expect((await fetch(new URL('/readyz', url))).status).toBe(200)
    expect(Number(await readFile(join(DATA_DIR, 'server.pid'), 'utf8'))).toBe(last.pid)
  })
})

describe('a further process on the same data', () => {
  it('takes over the deployment and the instances of a killed one', async () => {
    const repository = await world.app('lab')
    const gate = await world.gate()
    const service = await world.service({ name: 'Shared', repositoryUrl: repository.url, buildCommand: gate.wait })
    const deployment = await world.deploy(service)
    await until('the build has begun', () => gate.arrivals() === 1)
    const second = world.server.spawn()
    const url = await urlOf(second)
    const read = async () =>
      (await ask(url, world.server.key, 'query ($id: ID!) { deployment(id: $id) { status } }', deployment)).deployment
    expect(await read()).toMatchObject({ status: 'RUNNING' })
    await world.server.kill('SIGKILL')
    gate.open()
    await until('the second one brings it online', async () => (await read()).status === 'LIVE')
    expect(await second.kill('SIGTERM')).toBe(0)
    await world.server.start()
    await until('it is served again', async () => (await world.server.router('shared').catch(() => null))?.status === 200)
    expect((await world.read(service)).instances).toMatchObject([{ restarts: 0 }])
  })

  it('reports that its port is in use, by another program or by another server', async ({ onTestFinished }) => {
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void stranger.close())
    const { port } = stranger.address() as { port: number }
    for (const taken of [String(port), new URL(world.server.url).port]) {
      const refused = world.server.spawn({ PORT: taken })
      expect(await refused.ended).toBe(1)
      expect(refused.output()).toContain(`Port ${taken} is in use`)
      expect(refused.output()).toContain('Set PORT')
      expect(refused.output()).not.toContain('    at ')
    }
    const own = world.server.spawn({ PORT: new URL(world.server.url).port })
    expect(await own.ended).toBe(1)
    expect(own.output()).toContain(`the server of this installation, which is already running (pid ${world.server.process.pid})`)
    expect(own.output()).toContain('npm stop')
    expect(await world.server.gql('{ organization { id } }')).toHaveProperty('organization.id')
  })

  it('serves object storage on a free port if another program has the default one, and refuses a chosen port that is in use', async ({
    onTestFinished,
  }) => {
    const stranger = createServer()
    // Another program may have the port already. That is as good.
    await new Promise<void>((resolve) => stranger.once('error', () => resolve()).listen(4090, '127.0.0.1', resolve))
    onTestFinished(() => void stranger.close())
    const refused = world.server.spawn({ S3_PORT: '4090' })
    expect(await refused.ended).toBe(1)
    expect(refused.output()).toContain('Port 4090 is in use by another program. Set S3_PORT to another port.')
    const second = world.server.spawn({ S3_PORT: undefined, LOG_LEVEL: 'warn' })
    const query = '{ storageTenant { endpoint } }'
    const { endpoint } = (await ask(await urlOf(second), world.server.key, query)).storageTenant
    expect(endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(endpoint).not.toContain(':4090')
    expect((await fetch(endpoint)).status).toBe(403)
    expect(second.output()).toContain('port 4090 is in use')
    expect(await second.kill('SIGTERM')).toBe(0)
  })

  it('reports all problems of its settings at once', async () => {
    const refused = world.server.spawn({ PORT: 'four thousand', WORKER_LEASE_MS: '0', EGRESS_ALLOW: 'everything' })
    expect(await refused.ended).toBe(1)
    for (const name of ['PORT', 'WORKER_LEASE_MS', 'EGRESS_ALLOW']) expect(refused.output()).toContain(`${name}:`)
  })
})

/** An empty database on the server of the test run. Created with plain SQL, because these tests import nothing of src. */
async function createEmptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = inject('postgresUrl')
  const name = `acceptance_${process.pid}`
  await query(server, `create database ${name} template template0`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => query(server, `drop database if exists ${name} with (force)`) }
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text).finally(() => client.end())
}

describe('a start with an unreachable database', () => {
  it.each([
    ['a closed port', 'postgresql://someone:canary-password@127.0.0.1:1/shop', '127.0.0.1:1/shop'],
    ['an unknown name', 'postgresql://someone:canary-password@no-such-host.invalid/shop', 'no-such-host.invalid/shop'],
  ])('fails with one line that names the database without credentials: %s', async (_what, DATABASE_URL, named) => {
    const refused = world.server.spawn({ DATABASE_URL })
    expect(await refused.ended).toBe(1)
    expect(refused.output().trim().split('\n')).toHaveLength(1)
    expect(refused.output()).toContain(`The database ${named} cannot be reached: `)
    expect(refused.output()).not.toContain('canary-password')
  })
})

describe('a start with a database that does not match', () => {
  it('fails if the database is newer than the program, or sealed with another master key', async ({ onTestFinished }) => {
    const database = await createEmptyDatabase()
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
    const processes: ServerProcess[] = []
    onTestFinished(async () => {
      for (const process of processes) await process.kill('SIGKILL')
      await rm(DATA_DIR, { recursive: true, force: true })
      await database.drop()
    })
    const launch = (settings: Record<string, string> = {}) => {
      const process = world.server.spawn({ DATA_DIR, DATABASE_URL: database.url, ...settings })
      processes.push(process)
      return process
    }
    const first = launch()
    await routerOf(first)
    await first.kill('SIGTERM')

    const otherKey = join(DATA_DIR, 'other.key')
    await writeFile(otherKey, `1:${Buffer.alloc(32, 9).toString('base64')}\n`, { mode: 0o600 })
    const locked = launch({ MASTER_KEY_FILE: otherKey })
    expect(await locked.ended).toBe(1)
    expect(locked.output()).toMatch(/master key/i)
    expect(locked.output()).not.toContain('    at ')

    const again = launch()
    await routerOf(again)
    await again.kill('SIGTERM')

    await query(
      database.url,
      `insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) values ('x', 'x', '99990101000000_from_the_future', now(), 1)`,
    )
    const older = launch()
    expect(await older.ended).toBe(1)
    expect(older.output()).toContain('99990101000000_from_the_future')
    expect(older.output()).not.toContain('    at ')
  })
})

describe('a start that fails', () => {
  it('stops the database that it has started, and none that was running before', async ({ onTestFinished }) => {
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const launch = (settings: Record<string, string> = {}) => world.server.spawn({ DATA_DIR, ...settings })
    onTestFinished(async () => {
      stranger.close()
      // Ctrl-C stops the database too, whoever has started it.
      const last = launch()
      await routerOf(last)
      await last.kill('SIGINT')
      await rm(DATA_DIR, { recursive: true, force: true, maxRetries: 3 })
    })
    const hasDatabase = () => existsSync(join(DATA_DIR, 'postgres', '18', 'postmaster.pid'))
    const refuses = async (settings: Record<string, string>, why: RegExp) => {
      const refused = launch(settings)
      expect(await refused.ended).toBe(1)
      expect(refused.output()).toMatch(why)
      expect(refused.output()).not.toContain('    at ')
    }
    const { port } = stranger.address() as { port: number }
    await refuses({ PORT: String(port) }, /is in use/)
    expect(hasDatabase()).toBe(false)

    const otherKey = join(DATA_DIR, 'other.key')
    await writeFile(otherKey, `1:${Buffer.alloc(32, 9).toString('base64')}\n`, { mode: 0o600 })
    await refuses({ MASTER_KEY_FILE: otherKey }, /master key/i)
    expect(hasDatabase()).toBe(false)

    const serving = launch()
    await routerOf(serving)
    expect(await serving.kill('SIGTERM')).toBe(0)
    expect(hasDatabase()).toBe(true)
    await refuses({ MASTER_KEY_FILE: otherKey }, /master key/i)
    expect(hasDatabase()).toBe(true)
  })
})

describe('a full disk', () => {
  it('fails deployments with NO_CAPACITY, and running services continue', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Full', repositoryUrl: repository.url })
    const live = await world.live(service)
    const boot = (await world.server.router('full', '/boot')).body
    await world.server.kill('SIGTERM')
    await world.server.start({ DISK_RESERVE_BYTES: String(2 ** 52) })
    const failed = await world.end(await world.deploy(service))
    expect(failed).toMatchObject({ status: 'FAILED', failure: { phase: 'BUILD', code: 'NO_CAPACITY' } })
    const answer = await until('it is served', async () => {
      const answer = await world.server.router('full', '/boot')
      return answer.status === 200 && answer
    })
    expect(answer).toMatchObject({ body: boot, headers: { 'x-quayside-deployment': live.id } })
    await world.server.kill('SIGTERM')
    await world.server.start()
    await world.live(service)
  })
})
