import { parse, subscribe } from 'graphql'
import { beforeAll, expect, it } from 'vitest'
import { attemptsAfter } from '../../../src/domain/webhooks/attempt/queries.ts'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({}, { shared: true })
let endpointId: string
let first: string

beforeAll(async () => {
  const receiver = await world.receiver()
  endpointId = (await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })).webhookEndpoint.id
  const jobs = world.work(world.app)
  first = await world.publishUpdate()
  await settled(world.app, endpointId)
  await jobs.stop({ graceMs: 1_000 })
})

/** Inserts attempts without notifying anyone. */
const record = (count: number) =>
  run(
    world.app.db,
    sql`insert into webhook_attempt (id, organization_id, message_id, endpoint_id, number, trigger, url, started_at, duration_ms)
        select gen_random_uuid(), organization_id, message_id, endpoint_id, number + n, trigger, url, started_at, duration_ms
        from webhook_attempt, generate_series(1, ${count}::int) as n where number = 1 and message_id = ${first}::uuid`,
  )

it('catching up reads page after page without waiting', async () => {
  await record(450)
  const gone = new AbortController()
  const never = { ...world.app.wake, next: () => new Promise<void>(() => {}) }
  const contextValue = createGraphqlContext({ app: { ...world.app, wake: never }, caller: world.caller, requestId: 'test' }, gone.signal)
  const begin = (await rows<{ id: string }>(world.app.db, sql`select id from webhook_attempt order by ordinal limit 1`))[0]!.id
  const document = parse('subscription ($after: String) { webhookAttempts(after: $after) { number } }')
  const after = encodeId('WebhookAttempt', begin)
  const source = await subscribe({ schema, document, variableValues: { after }, contextValue })
  if (!(Symbol.asyncIterator in source)) throw new Error(JSON.stringify(source))
  const numbers: unknown[] = []
  for await (const { data } of source) {
    numbers.push((data as { webhookAttempts: { number: number } }).webhookAttempts.number)
    if (numbers.length === 450) break
  }
  gone.abort()
  expect(numbers).toEqual(Array.from({ length: 450 }, (_, n) => n + 2))
})

it('known attempts are not read again', async () => {
  const { db } = world.app
  const all = await attemptsAfter({ tx: db, caller: world.caller }, null, 0n, [], 10)
  const known = all.slice(0, 9).map(({ ordinal }) => ordinal)
  expect((await attemptsAfter({ tx: db, caller: world.caller }, null, 0n, known, 1)).map(({ ordinal }) => ordinal)).toEqual([
    all[9]!.ordinal,
  ])
})
