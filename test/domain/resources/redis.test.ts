/** Redis instances through the GraphQL API, with the supervisor and real servers. */
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { redisEngine } from '../../../src/domain/resources/redis/index.ts'
import { settleResources } from '../../../src/domain/resources/resource/index.ts'
import { createRedisEngine } from '../../../src/drivers/redis/index.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { until } from '../../support/wait.ts'
import { useShop } from './support.ts'

const shop = useShop()
const clients: Redis[] = []
/** One range of ports for each worker of vitest, so that concurrent tests do not take each other's ports. */
const worker = Number(process.env.VITEST_POOL_ID ?? 1) % 20
const ports = { first: 11_000 + worker * 100, last: 11_099 + worker * 100 }

beforeAll(async () => {
  const { settings } = shop.app
  redisEngine.provide(
    shop.app,
    await createRedisEngine({ dataDir: settings.DATA_DIR, hostPath: settings.hostPath, ports, silenceMs: 2_000 }),
  )
})
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect()
})
afterAll(async () => {
  await run(shop.app.db, sql`delete from resource_binding`)
  await run(shop.app.db, sql`delete from resource where type = 'Redis'`)
  await settleResources(shop.app)
  const engine = redisEngine.use(shop.app)
  for (const id of await engine.list()) await engine.remove(id)
})

type Shown = { status: string; statusMessage: string | null; redisVersion: string; maxMemoryBytes: number; evictionPolicy: string }
const show = async (id: string): Promise<(Shown & Record<string, unknown>) | null> =>
  (
    await shop.run(
      `query ($id: ID!) { redis(id: $id) { name slug version status statusMessage desiredState redisVersion host port maxMemoryBytes evictionPolicy
         persistent usedMemoryBytes connectedClients keyCount cpuUsagePercent memoryUsagePercent project { id } environment { id } resourceBindings { id } } }`,
      { id },
    )
  ).redis
const untilStatus = (id: string, status: string) =>
  until(`the instance is ${status}`, async () => {
    const found = await show(id)
    return found?.status === status ? found : null
  })
const reveal = async (id: string): Promise<string> =>
  (await shop.run('mutation ($id: ID!) { revealRedis(input: {id: $id}) { url } }', { id })).revealRedis.url
const act = (name: 'start' | 'stop' | 'restart', id: string) =>
  shop.run(`mutation ($id: ID!) { ${name}Redis(input: {id: $id}) { redis { id status desiredState } } }`, { id })

async function create(name: string, input = ''): Promise<{ id: string; url: string }> {
  const { createRedis } = await shop.run(
    `mutation ($p: ID!, $name: String!) { createRedis(input: {projectId: $p, name: $name ${input}}) { redis { id } } }`,
    { p: shop.projectId, name },
  )
  await untilStatus(createRedis.redis.id, 'RUNNING')
  return { id: createRedis.redis.id, url: await reveal(createRedis.redis.id) }
}

async function connect(url: string): Promise<Redis> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => undefined)
  clients.push(client)
  await client.connect()
  return client
}

const pidOf = async (url: string): Promise<number> => {
  const info = await (await connect(url)).info('server')
  return Number(/process_id:(\d+)/.exec(info)?.[1])
}

const eventsOf = async (slug: string): Promise<string[]> =>
  (await rows<{ type: string }>(shop.app.db, sql`select type from event where data->>'slug' = ${slug} order by id`)).map(({ type }) => type)

describe('a Redis instance', () => {
  it('is CREATING at once, and RUNNING when it answers', async () => {
    const { createRedis } = await shop.run(
      `mutation ($p: ID!) { createRedis(input: {projectId: $p, name: "Main cache"}) {
         redis { id status desiredState host port slug maxMemoryBytes evictionPolicy persistent usedMemoryBytes } } }`,
      { p: shop.projectId },
    )
    const { id, ...created } = createRedis.redis
    expect(created).toMatchObject({
      ...{ status: 'CREATING', desiredState: 'RUNNING', host: '127.0.0.1', slug: 'main-cache', usedMemoryBytes: null },
      ...{ maxMemoryBytes: 134_217_728, evictionPolicy: 'noeviction', persistent: true },
    })
    const running = await untilStatus(id, 'RUNNING')
    expect(running).toMatchObject({
      statusMessage: null,
      port: created.port,
      project: { id: shop.projectId },
      environment: { id: shop.environmentId },
    })
    expect(running.redisVersion).toMatch(/^\d+\.\d+\.\d+$/)
    const client = await connect(await reveal(id))
    await client.mset('a', 1, 'b', 2)
    const shown = await until('the metrics are new', async () => {
      const found = await show(id)
      return found?.keyCount === 2 ? found : null
    })
    expect(shown.connectedClients).toBe(1)
    expect(shown.usedMemoryBytes).toBeGreaterThan(500_000)
    expect(shown.cpuUsagePercent).toBeGreaterThanOrEqual(0)
    expect(shown.memoryUsagePercent).toBeCloseTo((Number(shown.usedMemoryBytes) / 134_217_728) * 100, 1)
    expect(await eventsOf('main-cache')).toEqual(['redis.created', 'redis.started'])
  })

  it('does not see another one, and refuses a wrong password and that of another one', async () => {
    const [one, other] = [await create('one'), await create('other')]
    const [toOne, toOther] = [await connect(one.url), await connect(other.url)]
    await toOne.set('key', 'one')
    expect(await toOther.get('key')).toBeNull()
    for (const password of ['wrong', new URL(other.url).password]) {
      const url = new URL(one.url)
      url.password = password
      await expect(connect(url.href).then((client) => client.get('key'))).rejects.toThrow()
    }
  })

  it('keeps its data and its address while it is stopped, and a start or stop twice changes nothing', async () => {
    const { id, url } = await create('stopped')
    await (await connect(url)).set('key', 'value')
    expect((await act('start', id)).startRedis.redis.status).toBe('RUNNING')
    expect((await act('stop', id)).stopRedis.redis).toMatchObject({ status: 'STOPPING', desiredState: 'STOPPED' })
    await untilStatus(id, 'STOPPED')
    await expect(connect(url)).rejects.toThrow()
    const version = (await show(id))!.version
    await act('stop', id)
    expect((await show(id))!.version).toBe(version)
    expect((await act('start', id)).startRedis.redis).toMatchObject({ status: 'STARTING', desiredState: 'RUNNING' })
    await untilStatus(id, 'RUNNING')
    expect(await (await connect(url)).get('key')).toBe('value')
    expect(await eventsOf('stopped')).toEqual(['redis.created', 'redis.started', 'redis.stopped', 'redis.started'])
  })

  it('is restarted on request', async () => {
    const { id, url } = await create('restarted')
    const pid = await pidOf(url)
    expect((await act('restart', id)).restartRedis.redis.status).toBe('STARTING')
    await until('another process serves it', async () => (await pidOf(url).catch(() => pid)) !== pid)
    await untilStatus(id, 'RUNNING')
    await until('the event is there', async () => (await eventsOf('restarted')).includes('redis.restarted'))

    await act('stop', id)
    await untilStatus(id, 'STOPPED')
    expect((await act('restart', id)).restartRedis.redis.status).toBe('STARTING')
    await untilStatus(id, 'RUNNING')
  })

  it('is restarted with its data if its process is killed', async () => {
    const { id, url } = await create('killed')
    await (await connect(url)).set('key', 'value')
    process.kill(await pidOf(url), 'SIGKILL')
    await until('it has recovered', async () => (await eventsOf('killed')).includes('redis.recovered'))
    await untilStatus(id, 'RUNNING')
    expect(await (await connect(url)).get('key')).toBe('value')
    expect(await eventsOf('killed')).toEqual(['redis.created', 'redis.started', 'redis.failed', 'redis.recovered'])
  })

  it('is restarted if it hangs', async () => {
    const { id, url } = await create('hanging')
    const pid = await pidOf(url)
    process.kill(pid, 'SIGSTOP')
    await until('it has recovered', async () => (await eventsOf('hanging')).includes('redis.recovered'))
    await untilStatus(id, 'RUNNING')
    expect(await pidOf(url)).not.toBe(pid)
  })

  it('gets changed settings without a restart; an update that changes nothing does nothing', async () => {
    const { id, url } = await create('changed', ', maxMemoryBytes: 33554432, persistent: false')
    const pid = await pidOf(url)
    const update = `mutation ($id: ID!) { updateRedis(input: {id: $id, name: "Renamed", maxMemoryBytes: 67108864, evictionPolicy: "allkeys-lru"}) {
      redis { name maxMemoryBytes evictionPolicy version } } }`
    const { updateRedis } = await shop.run(update, { id })
    expect(updateRedis.redis).toEqual({ name: 'Renamed', maxMemoryBytes: 67_108_864, evictionPolicy: 'allkeys-lru', version: 2 })
    const client = await connect(url)
    await until('the settings are applied', async () => {
      const info = await client.info('memory')
      return info.includes('maxmemory:67108864') && info.includes('maxmemory_policy:allkeys-lru')
    })
    expect(await pidOf(url)).toBe(pid)
    expect((await shop.run(update, { id })).updateRedis.redis.version).toBe(2)
    expect(await eventsOf('changed')).toEqual(['redis.created', 'redis.started', 'redis.updated'])
  })

  it('is FAILED while a stranger has its port, with a message that names it, and then runs on the same port', async () => {
    const { id, url } = await create('port')
    await act('stop', id)
    await untilStatus(id, 'STOPPED')
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(Number(new URL(url).port), '127.0.0.1', resolve))
    await act('start', id)
    const failed = await untilStatus(id, 'FAILED')
    expect(failed.statusMessage).toContain(`Port ${new URL(url).port}`)
    expect(failed.statusMessage).toContain(`pid ${process.pid}`)
    await new Promise((resolve) => stranger.close(resolve))
    await untilStatus(id, 'RUNNING')
    expect(await (await connect(url)).ping()).toBe('PONG')
  })

  it('is removed with its data when it is deleted', async () => {
    const { id, url } = await create('gone')
    await shop.run('mutation ($id: ID!) { deleteRedis(input: {id: $id}) { deletedId } }', { id })
    await until('it is removed', async () => (await show(id)) === null)
    await expect(connect(url)).rejects.toThrow()
    expect(await eventsOf('gone')).toEqual(['redis.created', 'redis.started', 'redis.deleted'])
  })

  it('is listed with its project and environment', async () => {
    const { id } = await create('listed')
    const { redisInstances, project } = await shop.run(
      `query ($p: ID!, $e: ID!) {
         redisInstances(projectId: $p, environmentId: $e, first: 100) { nodes { id } }
         project(id: $p) { redisInstances(first: 100) { nodes { id } } environments { nodes { redisInstances(first: 100) { totalCount } } } } }`,
      { p: shop.projectId, e: shop.environmentId },
    )
    expect(redisInstances.nodes).toContainEqual({ id })
    expect(project.redisInstances.nodes).toEqual(redisInstances.nodes)
    expect(project.environments.nodes[0].redisInstances.totalCount).toBe(redisInstances.nodes.length)
  })
})

describe('input', () => {
  it('out of bounds is refused with its field, and nothing is created', async () => {
    const count = async () => (await shop.run('{ redisInstances { totalCount } }')).redisInstances.totalCount
    const before = await count()
    for (const [field, value] of [
      ['name', '""'],
      ['maxMemoryBytes', '1000'],
      ['maxMemoryBytes', '1e15'],
      ['maxMemoryBytes', '20000000.5'],
      ['evictionPolicy', '"lru; config"'],
    ]) {
      const name = field === 'name' ? '' : 'name: "bad",'
      const source = `mutation ($p: ID!) { createRedis(input: {projectId: $p, ${name} ${field}: ${value}}) { redis { id } } }`
      expect(await shop.refused(source, { p: shop.projectId })).toMatchObject({ code: 'invalid_input', field })
    }
    expect(await count()).toBe(before)
  })

  it('of a creation without an installed Redis is refused with the command that installs it', async () => {
    const own = redisEngine.use(shop.app)
    const { settings } = shop.app
    redisEngine.provide(shop.app, await createRedisEngine({ dataDir: settings.DATA_DIR, hostPath: '/nowhere', ports }))
    try {
      const source = 'mutation ($p: ID!) { createRedis(input: {projectId: $p, name: "none"}) { redis { id } } }'
      expect(await shop.refused(source, { p: shop.projectId })).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('Neither redis-server nor valkey-server is installed'),
      })
    } finally {
      redisEngine.provide(shop.app, own)
    }
  })

  it('of 20 creations at one moment gives 20 instances with ports of their own', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `crowd ${n}`)
    const source =
      'mutation ($p: ID!, $name: String!) { createRedis(input: {projectId: $p, name: $name, persistent: false}) { redis { id port } } }'
    const made = await Promise.all(names.map((name) => shop.run(source, { p: shop.projectId, name })))
    const instances: { id: string; port: number }[] = made.map(({ createRedis }) => createRedis.redis)
    expect(new Set(instances.map(({ port }) => port)).size).toBe(20)
    for (const { id } of instances) await untilStatus(id, 'RUNNING')
    for (const { id } of instances) await shop.run('mutation ($id: ID!) { deleteRedis(input: {id: $id}) { deletedId } }', { id })
    for (const { id } of instances) await until('it is removed', async () => (await show(id)) === null)
  })
})

describe('a connected Redis instance', () => {
  const connectRedis = `mutation ($r: ID!, $s: ID!, $alias: String) {
    connectRedis(input: {redisId: $r, webServiceId: $s, alias: $alias}) { resourceBinding { id variables resource { id } } warnings } }`

  it('gives the service its URL as a secret variable, in its configuration and in the plan', async () => {
    const { id, url } = await create('connected')
    const service = await shop.service('web')
    const connected = (await shop.run(connectRedis, { r: id, s: service })).connectRedis
    const second = (await shop.run(connectRedis, { r: id, s: service, alias: 'CACHE_URL' })).connectRedis
    expect(connected.resourceBinding).toMatchObject({ variables: ['REDIS_URL'], resource: { id } })
    const { webService, deployPlan } = await shop.run(
      `query ($id: ID!) { webService(id: $id) { resolvedEnv { key maskedValue isSecret source { kind id } } }
         deployPlan(webServiceId: $id) { changes { key kind } } }`,
      { id: service },
    )
    for (const [key, binding] of [
      ['REDIS_URL', connected],
      ['CACHE_URL', second],
    ]) {
      const source = { kind: 'RESOURCE_CONNECTION', id: binding.resourceBinding.id }
      expect(webService.resolvedEnv).toContainEqual({ key, maskedValue: '********', isSecret: true, source })
      expect(deployPlan.changes).toContainEqual({ key, kind: 'VARIABLE_ADDED' })
    }
    const { revealResolvedEnv } = await shop.run(
      'mutation ($id: ID!) { revealResolvedEnv(input: {webServiceId: $id}) { values { key value } } }',
      { id: service },
    )
    expect(revealResolvedEnv.values).toContainEqual({ key: 'CACHE_URL', value: url })
  })

  it('is not deleted while services use it, unless forced; the refusal names them', async () => {
    const { id } = await create('used')
    const service = await shop.service('user of redis')
    await shop.run(connectRedis, { r: id, s: service })
    const remove = 'mutation ($id: ID!, $force: Boolean) { deleteRedis(input: {id: $id, force: $force}) { deletedId } }'
    expect(await shop.refused(remove, { id })).toMatchObject({ code: 'resource_in_use', message: expect.stringContaining('user of redis') })
    await shop.run(remove, { id, force: true })
    await until('it is removed', async () => (await show(id)) === null)
    const { webService } = await shop.run('query ($id: ID!) { webService(id: $id) { resourceBindings { id } } }', { id: service })
    expect(webService.resourceBindings).toEqual([])
  })

  it('belongs to a service of its environment, under a name that no other connection has', async () => {
    const { id } = await create('apart')
    const { createEnvironment } = await shop.run(
      'mutation ($p: ID!) { createEnvironment(input: {projectId: $p, name: "Redis staging", type: STAGING}) { environment { id } } }',
      { p: shop.projectId },
    )
    const staged = await shop.service('staged', createEnvironment.environment.id)
    expect(await shop.refused(connectRedis, { r: id, s: staged })).toMatchObject({ code: 'invalid_input' })
    const service = await shop.service('twice')
    await shop.run(connectRedis, { r: id, s: service })
    expect(await shop.refused(connectRedis, { r: id, s: service })).toMatchObject({ code: 'key_taken' })
    expect(await shop.refused(connectRedis, { r: id, s: service, alias: 'not a name' })).toMatchObject({
      code: 'invalid_input',
      field: 'alias',
    })
  })
})

it('an environment that is deleted with cascade takes its instances with it', async () => {
  const { createEnvironment } = await shop.run(
    'mutation ($p: ID!) { createEnvironment(input: {projectId: $p, name: "Short-lived", type: STAGING}) { environment { id } } }',
    { p: shop.projectId },
  )
  const { createRedis } = await shop.run(
    'mutation ($p: ID!, $e: ID!) { createRedis(input: {projectId: $p, environmentId: $e, name: "short"}) { redis { id } } }',
    { p: shop.projectId, e: createEnvironment.environment.id },
  )
  const { id } = createRedis.redis
  await untilStatus(id, 'RUNNING')
  const remove = 'mutation ($id: ID!, $c: Boolean!) { deleteEnvironment(input: {id: $id, cascade: $c}) { deletedId } }'
  expect(await shop.refused(remove, { id: createEnvironment.environment.id, c: false })).toMatchObject({ code: 'not_empty' })
  await shop.run(remove, { id: createEnvironment.environment.id, c: true })
  await until('it is removed', async () => (await show(id)) === null)
})
