import { expect, it } from 'vitest'
import type { App } from '../../../src/platform/work.ts'
import { intercepting } from '../../support/intercept.ts'
import { operation } from '../../support/tenant.ts'
import { fanOutAll, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld()

/** The same process, but runs something before the first statement that reads attempts. */
function beforeTries(app: App, happens: () => Promise<unknown>): App {
  let happened: Promise<unknown> | undefined
  const db = intercepting(app.db, async (text, send) => {
    if (text.includes('from webhook_attempt')) {
      happened ??= happens()
      await happened
    }
    return send()
  })
  return { ...app, db }
}

it.each([
  [
    'a list',
    '{ webhookMessages(first: 1, status: PENDING) { nodes { deliveries { status attemptCount } attempts { totalCount nodes { number } } } } }',
  ],
  [
    'a message by its id',
    'query ($id: ID!) { webhookMessage(id: $id) { attempts { totalCount nodes { number } } deliveries { status attemptCount } } }',
  ],
])('%s returns deliveries and their attempts as of one moment', async (_what, source) => {
  const receiver = await world.receiver()
  const endpoint = (await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })).webhookEndpoint
  const id = await world.publishUpdate()
  await fanOutAll(world.app)
  const app = beforeTries(world.app, () => {
    world.work(world.app)
    return settled(world.app, endpoint.id)
  })
  const ask = async () => {
    const { data, errors } = await operation(app, world.caller, source, { id })
    expect(errors).toBeUndefined()
    return data!.webhookMessage ?? data!.webhookMessages.nodes[0]
  }
  expect(await ask()).toEqual({ deliveries: [{ status: 'PENDING', attemptCount: 0 }], attempts: { totalCount: 0, nodes: [] } })
  const later = source.replace('status: PENDING', 'status: DELIVERED')
  const { data } = await operation(world.app, world.caller, later, { id })
  expect(data!.webhookMessage ?? data!.webhookMessages.nodes[0]).toEqual({
    deliveries: [{ status: 'DELIVERED', attemptCount: 1 }],
    attempts: { totalCount: 1, nodes: [{ number: 1 }] },
  })
})
