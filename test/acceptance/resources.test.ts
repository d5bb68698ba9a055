/** A service deployed from git uses a database and a Redis instance through its resolved environment, whatever happens to any of them. */
import { once } from 'node:events'
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { beforeAll, expect, it } from 'vitest'
import { packageFiles } from '../support/package-files.ts'
import { acceptance, appFiles, type Data, refusalOf, until } from './support.ts'

const world = acceptance()
let [service, database, redis]: [Data, Data, Data] = [{}, {}, {}]

beforeAll(async () => {
  const libraries = await packageFiles(['pg', 'ioredis'])
  const repository = await world.repository(await appFiles('resources', libraries))
  service = await world.service({ name: 'Counter', repositoryUrl: repository.url })
  const environmentId = (await world.server.gql('query ($id: ID!) { webService(id: $id) { environment { id } } }', { id: service.id }))
    .webService.environment.id
  database = (await world.mutate('createDatabase', { environmentId, name: 'Rows' }, 'database { id }')).database
  redis = (await world.mutate('createRedis', { environmentId, name: 'Hits' }, 'redis { id }')).redis
  await bothRun()
  await world.mutate('connectDatabase', { databaseId: database.id, webServiceId: service.id }, 'resourceBinding { id }')
  await world.mutate('connectRedis', { redisId: redis.id, webServiceId: service.id }, 'resourceBinding { id }')
  await world.live(service)
})

const bothRun = () =>
  until('the database and the Redis instance run', async () => {
    const now = await world.server.gql('query ($d: ID!, $r: ID!) { database(id: $d) { status } redis(id: $r) { status } }', {
      d: database.id,
      r: redis.id,
    })
    return now.database.status === 'RUNNING' && now.redis.status === 'RUNNING'
  })

const databaseUrl = async (): Promise<string> => (await world.mutate('revealDatabase', { id: database.id }, 'url')).url
const redisUrl = async (): Promise<string> => (await world.mutate('revealRedis', { id: redis.id }, 'url')).url
const passwordIn = (url: string) => new URL(url).password

async function connected<T>(url: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await act(client)
  } finally {
    await client.end()
  }
}

const query = (url: string, text: string): Promise<Data> => connected(url, async (client) => (await client.query(text)).rows[0])

async function command<T>(url: string, act: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  try {
    return await act(client)
  } finally {
    client.disconnect()
  }
}

const succeeds = (act: Promise<unknown>): Promise<boolean> =>
  act.then(
    () => true,
    () => false,
  )

const rowsIn = async (url: string): Promise<number> => (await query(url, 'select count(*)::int as n from hits')).n
const hitsIn = (url: string): Promise<number> => command(url, async (client) => Number(await client.get('hits')))

/** The process that accepts the connections of the database: the parent of the one that answers. */
const postmasterOf = (url: string): Promise<number> =>
  connected(url, async (client) => {
    const { pid } = (await client.query('select pg_backend_pid() as pid')).rows[0]
    return Number(/^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1])
  })

const redisProcessOf = (url: string): Promise<number> =>
  command(url, async (client) => Number(/process_id:(\d+)/.exec(await client.info('server'))![1]))

/** Processes that run in a folder, or name it in their command. */
async function processesOf(folder: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const directory = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (directory.includes(folder) || words.includes(folder)) found.push(Number(pid))
  }
  return found
}

const counts = async (): Promise<Data> => JSON.parse((await world.server.router(service.slug)).body)
const answers = () => until('the service answers', async () => (await world.server.router(service.slug).catch(() => null))?.status === 200)

/** Waits until the instance that answers has used both after now. */
async function usesBoth(): Promise<Data> {
  const before = await counts()
  return until('the service uses both', async () => {
    const now = await counts()
    return now.inserts > before.inserts && now.increments > before.increments && now
  })
}

it('no query fails while the server is killed and starts again, and neither process is replaced', async () => {
  const [rowsUrl, hitsUrl] = [await databaseUrl(), await redisUrl()]
  const processes = async () => [await postmasterOf(rowsUrl), await redisProcessOf(hitsUrl)]
  const before = await processes()
  await usesBoth()
  await world.server.kill('SIGKILL')
  const [rows, hits] = [await rowsIn(rowsUrl), await hitsIn(hitsUrl)]
  await until('it uses both without the server', async () => (await rowsIn(rowsUrl)) > rows + 100 && (await hitsIn(hitsUrl)) > hits + 100)
  await world.server.start()
  await answers()
  await bothRun()
  expect(await usesBoth()).toMatchObject({ failures: 0 })
  expect(await processes()).toEqual(before)
  expect([await databaseUrl(), await redisUrl()]).toEqual([rowsUrl, hitsUrl])
})

it('a rotated password is a pending change, the next deployment works with it, and so does a rollback, which warns', async () => {
  const former = await databaseUrl()
  const earlier = (await world.read(service)).liveDeployment
  const pending = async () => {
    const { webService, deployPlan } = await world.server.gql(
      'query ($id: ID!) { webService(id: $id) { pendingConfig } deployPlan(webServiceId: $id) { changes { kind key from to } } }',
      { id: service.id },
    )
    return { isPending: webService.pendingConfig, changes: deployPlan.changes }
  }
  expect(await pending()).toEqual({ isPending: false, changes: [] })

  await world.mutate('rotateDatabasePassword', { id: database.id }, 'database { id }')
  const url = await databaseUrl()
  await until('the new password is accepted', () => succeeds(query(url, 'select 1')))
  await expect(query(former, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  const planned = await pending()
  expect(planned).toMatchObject({ isPending: true, changes: [{ kind: 'VARIABLE_CHANGED', key: 'DATABASE_URL' }] })
  expect(planned.changes[0].to).not.toBe(planned.changes[0].from)
  expect(JSON.stringify(planned)).not.toContain(passwordIn(url))

  await world.live(service)
  expect(await pending()).toEqual({ isPending: false, changes: [] })
  expect(await usesBoth()).toMatchObject({ failures: 0 })

  const { rollbackPlan } = await world.server.gql(
    'query ($id: ID!) { rollbackPlan(deploymentId: $id, config: SNAPSHOT) { eligible warnings changes { key } } }',
    { id: earlier.id },
  )
  expect(rollbackPlan).toEqual({
    eligible: true,
    changes: [],
    warnings: ['DATABASE_URL: the address or password of its resource has changed. The current value is used instead.'],
  })
  expect(await world.end(await world.rollback(earlier))).toMatchObject({ status: 'LIVE', kind: 'ROLLBACK' })
  expect(await usesBoth()).toMatchObject({ failures: 0 })

  const printed = await until('the log has the start of each of the three deployments', async () => {
    const lines = (await world.serviceLog(service)).map(({ message }) => message).join('\n')
    return lines.split('connects to ').length === 4 && lines
  })
  for (const password of [former, url, await redisUrl()].map(passwordIn)) expect(printed).not.toContain(password)
})

it('after a SIGKILL of its postmaster, the database runs again by itself, with its address and all acknowledged rows', async () => {
  const url = await databaseUrl()
  const killed = await postmasterOf(url)
  await usesBoth()
  process.kill(killed, 'SIGKILL')
  await until('the service notices it', async () => (await counts()).failures > 0)
  const recovered = await usesBoth()
  await bothRun()
  expect(await databaseUrl()).toBe(url)
  expect(await rowsIn(url)).toBeGreaterThanOrEqual(recovered.inserts)
  expect(await postmasterOf(url)).not.toBe(killed)
})

it('npm stop ends both and leaves no process, and a start brings back both, their addresses and their data', async () => {
  const [rowsUrl, hitsUrl] = [await databaseUrl(), await redisUrl()]
  const [rows, hits] = [await rowsIn(rowsUrl), await hitsIn(hitsUrl)]
  expect(await processesOf(world.server.dataDir)).toEqual(
    expect.arrayContaining([await postmasterOf(rowsUrl), await redisProcessOf(hitsUrl)]),
  )
  await world.server.stop()
  expect(await processesOf(world.server.dataDir)).toEqual([])
  await world.server.start()
  const seen = await world.server.gql('query ($d: ID!, $r: ID!) { database(id: $d) { status } redis(id: $r) { status } }', {
    d: database.id,
    r: redis.id,
  })
  if (seen.database.status !== 'STARTING') expect(await query(rowsUrl, 'select 1 as n')).toEqual({ n: 1 })
  if (seen.redis.status !== 'STARTING') expect(await command(hitsUrl, (client) => client.ping())).toBe('PONG')
  await answers()
  await bothRun()
  await usesBoth()
  expect([await databaseUrl(), await redisUrl()]).toEqual([rowsUrl, hitsUrl])
  expect(await rowsIn(rowsUrl)).toBeGreaterThan(rows)
  expect(await hitsIn(hitsUrl)).toBeGreaterThan(hits)
})

it('after a failure of the machine, with stale pid files and a port that a stranger has taken, everything runs again', async () => {
  const [rowsUrl, hitsUrl] = [await databaseUrl(), await redisUrl()]
  await world.mutate('createDatabaseReplica', { databaseId: database.id }, 'databaseReplica { id }')
  const replica = async () =>
    (await world.server.gql('query ($id: ID!) { database(id: $id) { replicas { status port } } }', { id: database.id })).database
      .replicas[0]
  const replicaRuns = () => until('the replica runs', async () => (await replica()).status === 'RUNNING')
  await replicaRuns()
  const rows = (await usesBoth()).inserts
  const { dataDir } = world.server
  await world.server.kill('SIGKILL')
  await until('no process is left', async () => {
    const left = await processesOf(dataDir)
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {}
    }
    return left.length === 0
  })
  // After a boot, the pids in these files are those of other programs.
  for (const name of await readdir(join(dataDir, 'databases'))) {
    const file = join(dataDir, 'databases', name, 'data/postmaster.pid')
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^\d+/, String(process.pid)))
  }
  const port = Number(new URL(rowsUrl).port)
  const stranger = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1')
  await once(stranger, 'listening')
  await world.server.start()
  const message = async () =>
    (await world.server.gql('query ($id: ID!) { database(id: $id) { statusMessage } }', { id: database.id })).database.statusMessage
  await until('the stranger is named', async () => (await message())?.includes(`Port ${port} of the database is in use by`))
  stranger.close()
  await once(stranger, 'close')
  await bothRun()
  await replicaRuns()
  await answers()
  await usesBoth()
  expect([await databaseUrl(), await redisUrl()]).toEqual([rowsUrl, hitsUrl])
  expect(await rowsIn(rowsUrl)).toBeGreaterThanOrEqual(rows)
  const copy = new URL(rowsUrl)
  copy.port = String((await replica()).port)
  const last = await rowsIn(rowsUrl)
  await until('the replica follows', async () => (await rowsIn(copy.href)) >= last)
})

it('while the service is connected, both are deleted only by force, and are gone then', async () => {
  const [rowsUrl, hitsUrl] = [await databaseUrl(), await redisUrl()]
  for (const [name, { id }] of [
    ['deleteDatabase', database],
    ['deleteRedis', redis],
  ] as const) {
    expect((await refusalOf(world.mutate(name, { id }, 'deletedId'))).message).toContain('Counter')
    await world.mutate(name, { id, force: true }, 'deletedId')
  }
  await until('the database is gone', async () => !(await succeeds(query(rowsUrl, 'select 1'))))
  await until('the Redis instance is gone', async () => !(await succeeds(command(hitsUrl, (client) => client.ping()))))
})
