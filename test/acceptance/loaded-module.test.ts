/** What a serving process loads: parts that take much memory are loaded by those who use them, and most installations don't. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { startReceiver } from '../support/receiver.ts'
import { acceptance, type Data, until } from './support.ts'

// Node writes the names of all loaded modules there when a process exits.
const directory = await mkdtemp(join(tmpdir(), 'quayside-loaded-'))
const world = acceptance({ NODE_V8_COVERAGE: directory, EGRESS_ALLOW: '127.0.0.0/8' })
afterAll(() => rm(directory, { recursive: true }))

/** Paths within this project that a process has loaded. The thread that migrates a new database is left out: it ends before the server starts. */
async function loadedBy(pid: number): Promise<string[]> {
  const files = (await readdir(directory)).filter((name) => name.startsWith(`coverage-${pid}-`))
  const reports = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')))
  const loaded = reports.map((text) => (JSON.parse(text).result as { url: string }[]).map(({ url }) => url))
  const lasting = loaded.filter((urls) => !urls.some((url) => url.endsWith('/migrate-worker.ts')))
  return lasting.flat().flatMap((url) => /\/((?:node_modules|src)\/.*)$/.exec(url)?.[1] ?? [])
}

it('a server that deploys, delivers webhooks and changes everything loads no Prisma client, Yoga, GraphiQL or Svix', async () => {
  const receiver = await startReceiver()
  const { mutate } = world
  const { webhookEndpoint } = await mutate('createWebhookEndpoint', { url: receiver.url }, 'webhookEndpoint { id }')
  const repository = await world.app('web')
  const service = await world.service({ name: 'Loaded', repositoryUrl: repository.url, healthCheckPath: '/health' })
  const { webService } = await world.server.gql('query ($id: ID!) { webService(id: $id) { project { id } } }', { id: service.id })
  const projectId = webService.project.id

  await mutate('updateProject', { id: projectId, description: 'changed', idempotencyKey: 'once' }, 'project { id }')
  const { envVars } = await mutate('setEnvVars', { webServiceId: service.id, variables: [{ key: 'MODE', value: 'on' }] }, 'envVars { id }')
  await mutate('revealEnvVar', { id: envVars[0].id }, 'value')
  const { secret } = await mutate('createSecret', { projectId, key: 'TOKEN', value: 'tok-of-loaded-test' }, 'secret { id }')
  await mutate('bindSecret', { webServiceId: service.id, secretId: secret.id }, 'secretBinding { id }')
  const { apiKey } = await mutate('createApiKey', { name: 'other', scope: 'READ' }, 'apiKey { id }')
  await mutate('revokeApiKey', { id: apiKey.id }, 'apiKey { id }')

  const first = await world.live(service)
  await world.live(service)
  await world.end(await world.rollback(first))
  await world.command('restartWebService', service)
  await mutate('updateWebhookEndpoint', { id: webhookEndpoint.id, description: 'changed', filter: null }, 'webhookEndpoint { id }')
  await mutate('rotateWebhookSecret', { id: webhookEndpoint.id }, 'webhookEndpoint { id }')
  await mutate('sendTestWebhook', { endpointId: webhookEndpoint.id, eventType: 'project.updated' }, 'webhookMessage { id }')
  const since = new Date(0).toISOString()
  await mutate('recoverWebhookMessages', { endpointId: webhookEndpoint.id, since }, 'operation { id }')
  const types = () => receiver.requests.map(({ body }) => (JSON.parse(body.toString()) as Data).type)
  await until('the webhooks are delivered', () => ['deployment.succeeded', 'secret.created'].every((type) => types().includes(type)))
  await world.remove(service)

  const { pid } = world.server.process
  await world.server.kill('SIGTERM')
  await receiver.close()
  const loaded = await loadedBy(pid)
  expect(loaded).toEqual(expect.arrayContaining(['src/main.ts', 'node_modules/pg/lib/client.js']))
  const onDemand =
    /^(src\/generated\/prisma\/client|src\/platform\/db\/prisma|node_modules\/(@prisma\/(client\/runtime\/client|adapter-pg|driver-adapter-utils)|graphql-yoga|@graphql-yoga|svix)\b)/
  expect(loaded.filter((path) => onDemand.test(path))).toEqual([])
  await world.server.start()
})
