import { beforeEach, expect, it } from 'vitest'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { replayMissingWebhookMessages } from '../../../src/domain/webhooks/delivery/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { fanOutAll, webhooksWorld } from './support.ts'

const world = webhooksWorld()
let endpointId: string

beforeEach(async () => {
  for (let n = 0; n < 60; n++) await world.publishUpdate()
  const { webhookEndpoint } = await world.createEndpoint({ url: 'http://127.0.0.1:9/', eventTypes: ['project.updated'] })
  endpointId = webhookEndpoint.id
})

type Look = { status: string; stepsCompleted: number; waitMs: number }

/** Makes the operation due, runs it once, and returns the minimum time until it runs again. */
async function look(): Promise<Look> {
  // The column rounds to milliseconds, so that "now" may be half a millisecond in the future.
  await run(world.app.db, sql`update operation set due_at = app_now() - interval '1 second'`)
  const [claimed] = (await operationQueue.claim(world.app, 'worker', 1, [])).items
  const before = await row<{ now: Date }>(world.app.db, sql`select app_now() as now`)
  await operationQueue.work(world.app, claimed!, new AbortController().signal)
  const operation = await row<{ status: string; stepsCompleted: number; dueAt: Date }>(
    world.app.db,
    sql`select status, steps_completed, due_at from operation`,
  )
  return { ...operation!, waitMs: operation!.dueAt.getTime() - before!.now.getTime() }
}

const accept = (most: number) =>
  run(
    world.app.db,
    sql`update webhook_delivery set status = 'DELIVERED', attempt_count = 1, next_attempt_at = null
        where message_id in (select message_id from webhook_delivery where status = 'PENDING' limit ${most})`,
  )

it('a recovery whose endpoint accepts nothing checks less and less often, down to every 5 s, and continues when half of its window is free', async () => {
  await fanOutAll(world.app)
  await execute(world.request(), replayMissingWebhookMessages, {
    endpointId,
    since: new Date(Date.now() - 60_000),
  })
  const first = await look()
  expect(first).toMatchObject({ status: 'RUNNING', stepsCompleted: 0 })
  for (const leastMs of [200, 400, 800, 1_600, 3_200, 5_000, 5_000]) expect((await look()).waitMs).toBeGreaterThanOrEqual(leastMs)
  await accept(10)
  expect(await look()).toMatchObject({ stepsCompleted: 10, waitMs: expect.toSatisfy((ms: number) => ms >= 5_000) })
  await accept(15)
  const resumed = await look()
  expect(resumed).toMatchObject({ status: 'RUNNING', stepsCompleted: 25 })
  await accept(60)
  expect(await look()).toMatchObject({ status: 'COMPLETED', stepsCompleted: 60 })
})
