/** A service deployed from git uses a Redis instance through its resolved environment, also while the server is away. */
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

/** Increments a key of REDIS_URL all the time, without a library, and answers with the numbers of successes and failures. */
const app = `
const { connect } = require('node:net')
const { hostname, port, username, password } = new URL(process.env.REDIS_URL)
console.log('connects to ' + process.env.REDIS_URL)
const counts = { increments: 0, failures: 0 }
const redis = connect(Number(port), hostname)
redis.setEncoding('utf8')
redis.on('error', () => counts.failures++)
redis.on('close', () => counts.failures++)
redis.on('data', (text) => {
  for (const line of text.split('\\r\\n').filter(Boolean)) {
    if (line.startsWith(':')) counts.increments++
    else if (line !== '+OK') counts.failures++
  }
})
redis.write('AUTH ' + username + ' ' + password + '\\r\\n')
setInterval(() => redis.write('INCR hits\\r\\n'), 5)
require('node:http').createServer((_question, answer) => answer.end(JSON.stringify(counts))).listen(process.env.PORT, process.env.HOST)
`

it('no command fails while the server is killed, and its log does not contain the password', async () => {
  const repository = await world.repository({ 'server.js': app })
  const service = await world.service({ name: 'Counter', repositoryUrl: repository.url, startCommand: 'node server.js' })
  const environmentId = (await world.server.gql('query ($id: ID!) { webService(id: $id) { environment { id } } }', { id: service.id }))
    .webService.environment.id
  const { redis } = await world.mutate('createRedis', { environmentId, name: 'Hits' }, 'redis { id }')
  const status = async (): Promise<string> =>
    (await world.server.gql('query ($id: ID!) { redis(id: $id) { status } }', { id: redis.id })).redis.status
  await until('the instance runs', async () => (await status()) === 'RUNNING')
  await world.mutate('connectRedis', { redisId: redis.id, webServiceId: service.id }, 'resourceBinding { id }')
  await world.live(service)
  const { url } = await world.mutate('revealRedis', { id: redis.id }, 'url')
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0 })
  try {
    const processOf = async () => /process_id:(\d+)/.exec(await client.info('server'))?.[1]
    const hits = async () => Number(await client.get('hits'))
    const counts = async (): Promise<Data> => JSON.parse((await world.server.router(service.slug, '/')).body)
    const pid = await processOf()
    await until('the service counts', async () => (await hits()) > 0)
    await world.server.kill('SIGKILL')
    const before = await hits()
    await until('it counts without the server', async () => (await hits()) > before + 100)
    await world.server.start()
    await until('the service answers', async () => (await world.server.router(service.slug, '/').catch(() => null))?.status === 200)
    expect(await counts()).toMatchObject({ failures: 0 })
    expect((await counts()).increments).toBeGreaterThan(before)
    await until('the instance is adopted', async () => (await status()) === 'RUNNING')
    expect(await processOf()).toBe(pid)
    const printed = (await world.serviceLog(service)).map(({ message }) => message).join('\n')
    expect(printed).toContain('connects to ')
    expect(printed).not.toContain(new URL(url).password)
    await world.mutate('deleteRedis', { id: redis.id, force: true }, 'deletedId')
    await until('the instance is removed', async () => (await client.ping().catch(() => 'gone')) === 'gone')
  } finally {
    client.disconnect()
  }
})
