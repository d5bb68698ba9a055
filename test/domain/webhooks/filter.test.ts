import { describe, expect, it } from 'vitest'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import type { CommandInput } from '../../../src/platform/command.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { attempts, deliveries, fannedOut, fanOutAll, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })

describe('filtering', () => {
  it('an endpoint without channels receives all events; one with channels receives only events that share a channel', async () => {
    const receiver = await world.receiver()
    const open = await create({ url: receiver.url })
    const bound = await create({ url: receiver.url, channels: ['red', 'blue'] })
    world.work(world.app)
    const plain = await world.publishUpdate()
    const blue = await world.publishUpdate({ channels: ['blue', 'green'] })
    const green = await world.publishUpdate({ channels: ['green'] })
    await settled(world.app, open.webhookEndpoint.id, 3)
    await settled(world.app, bound.webhookEndpoint.id, 1)
    expect((await deliveries(world.app, open.webhookEndpoint.id)).map(({ messageId }) => messageId)).toEqual([plain, blue, green])
    expect((await deliveries(world.app, bound.webhookEndpoint.id)).map(({ messageId }) => messageId)).toEqual([blue])
  })

  it('a payload filter selects events by their data', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url, filter: { name: { in: ['Shop', 'Store'] }, slug: { equals: 'shop' } } })
    world.work(world.app)
    await world.publishUpdate({ name: 'Other' })
    await world.publishUpdate({ slug: 'else' })
    const match = await world.publishUpdate({ name: 'Store' })
    await settled(world.app, webhookEndpoint.id)
    await fannedOut(world.app, world.caller)
    expect((await deliveries(world.app, webhookEndpoint.id)).map(({ messageId }) => messageId)).toEqual([match])
  })

  it.each([
    [{}, /condition/],
    [{ 'a b': { equals: 1 } }, /path/],
    [{ name: { is: 1 } }, /condition/],
    [{ name: { in: [] } }, /filter\.name\.in/],
    [{ name: { range: {} } }, /filter\.name\.range/],
    [{ name: { range: { min: 3, max: 1 } } }, /filter\.name\.range/],
    ['name = 1', /object/],
    [JSON.parse('{"__proto__": {"equals": 1}}'), /__proto__/],
    [JSON.parse('{"name": {"equals": 1}, "__proto__": {"equals": 1}}'), /__proto__/],
  ])('the payload filter %j is refused at save', async (filter, message) => {
    await expect(create({ url: 'http://127.0.0.1:9/', filter })).rejects.toMatchObject({
      code: 'invalid_input',
      field: expect.stringMatching(/^filter/),
      message: expect.stringMatching(message),
    })
  })
})

describe('at most once', () => {
  it('after an unknown outcome, the delivery is UNKNOWN and not sent again', async () => {
    const receiver = await world.receiver(
      (_, n) => ({ status: 200, delayUntil: n === 1 ? new Promise<void>(() => {}) : undefined }) as never,
    )
    const { webhookEndpoint } = await create({ url: receiver.url, atMostOnce: true, timeoutMs: 1_000 })
    world.work(world.app)
    await world.publishUpdate()
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
      { status: 'UNKNOWN', attemptCount: 1, reason: expect.stringContaining('may have arrived') },
    ])
    expect(receiver.requests).toHaveLength(1)
  })

  it('a delivery whose worker died after claiming it is UNKNOWN and not sent again', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url, atMostOnce: true })
    const dead = await world.process({ WORKER_LEASE_MS: '500' })
    await world.publishUpdate()
    await fanOutAll(world.app)
    expect((await deliverWebhooks.claim(dead, 'dead', 10, [])).items).toHaveLength(1)
    world.work(world.app)
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'UNKNOWN' }])
    expect(receiver.requests).toHaveLength(0)
  })

  it('a refused connection cannot have arrived and is retried', async () => {
    const receiver = await world.receiver()
    await receiver.close()
    const { webhookEndpoint } = await create({ url: receiver.url, atMostOnce: true })
    world.work(world.app)
    await world.publishUpdate()
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'EXHAUSTED', attemptCount: 3 }])
  })
})

describe('headers and formats', () => {
  it('custom headers are sent, stored sealed and masked in the log', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url, headers: { Authorization: 'Bearer s3cret-value', 'x-team': 'a' } })
    world.work(world.app)
    await world.publishUpdate()
    const [received] = await receiver.waitFor(1)
    expect(received!.headers).toMatchObject({ authorization: 'Bearer s3cret-value', 'x-team': 'a' })
    await settled(world.app, webhookEndpoint.id)
    const [attempt] = await attempts(world.app, webhookEndpoint.id)
    expect(attempt!.requestHeaders).toMatchObject({ Authorization: '[masked]', 'x-team': '[masked]' })
    const dump = await row<{ text: string }>(
      world.app.db,
      sql`select e::text as text from webhook_endpoint e where id = ${webhookEndpoint.id}::uuid`,
    )
    expect(dump!.text).not.toContain(Buffer.from('s3cret-value').toString('hex'))
  })

  it.each([
    { host: 'a' },
    { 'Content-Length': '1' },
    { connection: 'close' },
    { 'webhook-id': 'x' },
    { 'svix-id': 'x' },
    { 'x-a': 'b\r\nc: d' },
    { 'x a': 'b' },
    { 'x-a': '1', 'X-A': '2' },
  ])('the headers %j are refused', async (headers) => {
    await expect(create({ url: 'http://127.0.0.1:9/', headers })).rejects.toMatchObject({
      code: 'invalid_input',
      field: expect.stringMatching(/^headers/),
    })
  })

  it.each([
    ['SLACK', (body: { text: string }) => body.text],
    ['DISCORD', (body: { content: string }) => body.content],
    ['TEAMS', (body: { attachments: { content: { body: { text: string }[] } }[] }) => body.attachments[0]!.content.body[0]!.text],
  ] as const)('format %s gives the event as a message, the same bytes at every try', async (format, textOf) => {
    const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 }))
    await create({ url: receiver.url, format })
    world.work(world.app)
    await world.publishUpdate({ name: 'Plain' })
    const [first, second] = await receiver.waitFor(2)
    expect(textOf(JSON.parse(first!.body.toString()) as never)).toMatch(/project\.updated[\s\S]*name: Plain/)
    expect(second!.body.equals(first!.body)).toBe(true)
  })
})
