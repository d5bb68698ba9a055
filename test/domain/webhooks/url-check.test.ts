import { beforeEach, expect, it } from 'vitest'
import { createWebhookEndpoint, outgoingHttp, updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { keyPermissions, rolePermissions } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { newId } from '../../../src/platform/id.ts'
import type { TestApp } from '../../support/app.ts'
import { webhooksWorld } from './support.ts'

const world = webhooksWorld()
let app: TestApp
/** Number of database connections in use at each check, and the URLs checked. */
let busy: number[]
let checked: string[]

beforeEach(async () => {
  app = await world.process()
  busy = []
  checked = []
  outgoingHttp.provide(app, {
    ...outgoingHttp.use(app),
    async check(url) {
      busy.push(app.db.pool.totalCount - app.db.pool.idleCount)
      checked.push(url)
      return url.includes('gone') ? 'the name cannot be resolved' : null
    },
  })
})

const run = (command: typeof createWebhookEndpoint | typeof updateWebhookEndpoint, input: CommandInput, as = world.caller) =>
  execute({ app, caller: as, requestId: 'test' }, command as typeof createWebhookEndpoint, input)
const create = (input: CommandInput, as = world.caller) => run(createWebhookEndpoint, input, as)
const update = (input: CommandInput) => run(updateWebhookEndpoint, input)
const refused = { code: 'invalid_input', field: 'url', message: 'url: the name cannot be resolved' }

it('a URL is checked outside a transaction when an endpoint is created or updated', async () => {
  const { webhookEndpoint } = await create({ url: 'https://one.example.com' })
  await update({ id: webhookEndpoint.id, url: 'https://two.example.com' })
  await expect(create({ url: 'https://gone.example.com' })).rejects.toMatchObject(refused)
  await expect(update({ id: webhookEndpoint.id, url: 'https://gone.example.com' })).rejects.toMatchObject(refused)
  expect(busy).toEqual([0, 0, 0, 0])
})

it('a stored result is repeated even if the name no longer resolves', async () => {
  const idempotencyKey = newId()
  const { webhookEndpoint } = await create({ url: 'https://one.example.com', idempotencyKey })
  outgoingHttp.provide(app, { ...outgoingHttp.use(app), check: async () => 'the name cannot be resolved' })
  expect((await create({ url: 'https://one.example.com', idempotencyKey })).webhookEndpoint.id).toBe(webhookEndpoint.id)
  const kept = await update({ id: webhookEndpoint.id, url: 'https://one.example.com', description: 'kept' })
  expect(kept.webhookEndpoint.description).toBe('kept')
})

it('other errors come first: a missing permission, an unknown endpoint, an old version, other invalid input', async () => {
  const { webhookEndpoint } = await create({ url: 'https://one.example.com' })
  const url = 'https://gone.example.com'
  await expect(update({ id: newId(), url })).rejects.toMatchObject({ code: 'not_found' })
  await expect(update({ id: webhookEndpoint.id, url, ifVersion: 7 })).rejects.toMatchObject({ code: 'version_conflict' })
  checked = []
  const reader = { ...world.caller, permissions: keyPermissions('READ', rolePermissions('OWNER')) }
  await expect(create({ url }, reader)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(create({ url, timeoutMs: 1 })).rejects.toMatchObject({ field: 'timeoutMs' })
  expect(checked).toEqual([])
})
