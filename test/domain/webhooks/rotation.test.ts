import { createHmac } from 'node:crypto'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook } from 'svix'
import { describe, expect, it } from 'vitest'
import { rotateWebhookSecret } from '../../../src/domain/webhooks/endpoint/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { shiftClock } from '../../support/database.ts'
import type { ReceivedRequest } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { deliveries, recipientOf, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })
const signatures = (received: ReceivedRequest) => String(received.headers['webhook-signature']).split(' ')
function accepts(secret: string, received: ReceivedRequest): boolean {
  try {
    new Webhook(secret).verify(received.body, received.headers as Record<string, string>)
    return true
  } catch {
    return false
  }
}

describe('signing', () => {
  it('first delivery verifies with svix, with standardwebhooks and with a hand-written HMAC: all three accept', async () => {
    const receiver = await world.receiver()
    const { secret } = await create({ url: receiver.url })
    world.work(world.app)
    await world.publishUpdate({ name: 'Größe 🚀' })
    const [received] = await receiver.waitFor(1)
    const headers = received!.headers as Record<string, string>
    expect(() => new Webhook(secret!).verify(received!.body, headers)).not.toThrow()
    expect(new StandardWebhook(secret!).verify(received!.body.toString(), headers)).toMatchObject({ type: 'project.updated' })
    const text = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${received!.body}`
    const mac = createHmac('sha256', Buffer.from(secret!.slice(6), 'base64'))
      .update(text)
      .digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${mac}`)
  })

  it('one event to two endpoints: secrets differ, neither verifies the other’s request', async () => {
    const [a, b] = [await world.receiver(), await world.receiver()]
    const [one, two] = [await create({ url: a.url }), await create({ url: b.url })]
    world.work(world.app)
    await world.publishUpdate()
    const [[first], [second]] = await Promise.all([a.waitFor(1), b.waitFor(1)])
    expect(one.secret).not.toBe(two.secret)
    expect(accepts(one.secret!, first!)).toBe(true)
    expect(accepts(two.secret!, second!)).toBe(true)
    expect(accepts(one.secret!, second!)).toBe(false)
    expect(accepts(two.secret!, first!)).toBe(false)
  })

  it('legacy svix headers are added where the endpoint asks for them', async () => {
    const receiver = await world.receiver()
    await create({ url: receiver.url, legacyHeaders: true })
    world.work(world.app)
    await world.publishUpdate()
    const [received] = await receiver.waitFor(1)
    for (const name of ['id', 'timestamp', 'signature'])
      expect(received!.headers[`svix-${name}`]).toBe(received!.headers[`webhook-${name}`])
  })
})

describe('rotation', () => {
  it('the header holds two signatures, new first; old-only and new-only receivers both accept; after the grace one remains', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint, secret } = await create({ url: receiver.url })
    const rotated = await execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, graceMs: 60_000 })
    world.work(world.app)
    await world.publishUpdate()
    const [during] = await receiver.waitFor(1)
    expect(signatures(during!)).toHaveLength(2)
    expect(accepts(secret!, during!)).toBe(true)
    expect(accepts(rotated.secret!, during!)).toBe(true)
    const newest = { ...during!, headers: { ...during!.headers, 'webhook-signature': signatures(during!)[0] } }
    expect(accepts(rotated.secret!, newest)).toBe(true)
    await shiftClock(world.url, 61_000)
    const keys = (await recipientOf(world.app, webhookEndpoint.id)).keys
    expect(keys).toHaveLength(1)
  })

  it('with graceMs 0, the next attempt has only the new signature, even if it is a retry already scheduled', async () => {
    const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 }))
    const { webhookEndpoint, secret } = await create({ url: receiver.url, retryScheduleMs: [3_600_000] })
    world.work(world.app)
    await world.publishUpdate()
    await until('the retry is scheduled', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.attemptCount === 1)
    const rotated = await execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, graceMs: 0 })
    await run(world.app.db, sql`update webhook_delivery set next_attempt_at = app_now() - interval '1 second'`)
    world.app.wake.notify('webhook deliveries')
    const [, second] = await receiver.waitFor(2)
    expect(signatures(second!)).toHaveLength(1)
    expect(accepts(secret!, second!)).toBe(false)
    expect(accepts(rotated.secret!, second!)).toBe(true)
  })

  it('HMAC to Ed25519: v1a and v1 together during the grace period; the private key is never returned', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint, secret } = await create({ url: receiver.url })
    const rotated = await execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, keyType: 'ED25519' })
    expect(rotated).toMatchObject({ secret: null, publicKey: expect.stringMatching(/^whpk_/) })
    world.work(world.app)
    await world.publishUpdate()
    const [received] = await receiver.waitFor(1)
    expect(signatures(received!).map((part) => part.split(',')[0])).toEqual(['v1a', 'v1'])
    expect(accepts(secret!, received!)).toBe(true)
    const { verify } = await import('../../../src/consumer/index.js' as string)
    expect(verify(received!.body, received!.headers, rotated.publicKey).type).toBe('project.updated')
  })

  it('an 11th live key is refused with the time when the next one expires, and a key in use is refused, too', async () => {
    const { webhookEndpoint, secret } = await create({ url: 'http://127.0.0.1:9/' })
    await expect(execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, secret })).rejects.toMatchObject({
      field: 'secret',
    })
    for (let n = 0; n < 9; n++) await execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id })
    await expect(execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id })).rejects.toMatchObject({
      code: 'webhook_key_limit',
      details: { expiresAt: expect.stringMatching(/^\d{4}-/) },
    })
    await execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, graceMs: 0 })
    const left = (await recipientOf(world.app, webhookEndpoint.id)).keys
    expect(left).toHaveLength(1)
  })

  it.each([-1, 7 * 86_400_000 + 1])('a grace of %i ms is refused', async (graceMs) => {
    const { webhookEndpoint } = await create({ url: 'http://127.0.0.1:9/' })
    await expect(execute(world.request(), rotateWebhookSecret, { id: webhookEndpoint.id, graceMs })).rejects.toMatchObject({
      field: 'graceMs',
    })
  })
})
