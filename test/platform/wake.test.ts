import { afterAll, beforeAll, expect, it } from 'vitest'
import { transact } from '../../src/platform/work.ts'
import type { TestApp } from '../support/app.ts'
import { createTenant, createWorld, type World } from '../support/tenant.ts'
import { until } from '../support/wait.ts'

let world: World
let here: TestApp
let there: TestApp

beforeAll(async () => {
  world = await createWorld()
  here = world.app
  there = await world.process()
})
afterAll(() => world?.close())

function counter(app: TestApp, topic: string) {
  const count = { n: 0, off: () => {} }
  count.off = app.wake.on(topic, () => count.n++)
  return count
}

it('wakes this process at once and the other one soon, by topic', async () => {
  const [own, foreign, deaf] = [counter(here, 'apples'), counter(there, 'apples'), counter(there, 'pears')]
  here.wake.notify('apples')
  await Promise.resolve()
  expect(own.n).toBe(1)
  await until('the other process is woken', () => foreign.n > 0)
  expect(deaf.n).toBe(0)
})

it('combines a burst into few notifications', async () => {
  const heard = counter(there, 'burst')
  const other = counter(there, 'burst end')
  for (let n = 0; n < 1_000; n++) here.wake.notify('burst')
  here.wake.notify('burst end')
  await until('the burst has arrived', () => other.n > 0)
  expect(heard.n).toBe(1)
})

it('sends more topics than one notification can contain', async () => {
  const topics = Array.from({ length: 500 }, (_, n) => `${'topic'.repeat(6)} ${n}`)
  const heard = topics.map((topic) => counter(there, topic))
  here.wake.notify(...topics)
  await until('all topics have arrived', () => heard.every(({ n }) => n === 1))
})

it('stops calling a removed listener', async () => {
  const [first, second] = [counter(there, 'leaving'), counter(there, 'leaving')]
  first.off()
  here.wake.notify('leaving')
  await until('the other listener is woken', () => second.n > 0)
  expect(first.n).toBe(0)
})

it('`next` resolves at a wake-up, at its timeout, and on abort', async () => {
  const woken = there.wake.next('next', 60_000)
  here.wake.notify('next')
  await woken
  await there.wake.next('never', 1)
  const abort = new AbortController()
  const aborted = there.wake.next('never', 60_000, abort.signal)
  abort.abort()
  await aborted
  await there.wake.next('never', 60_000, abort.signal)
})

it('wakes all listeners after a reconnection, because notifications may have been missed', async () => {
  const heard = counter(there, 'lost')
  await here.db.pool.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'quayside wake' and datname = current_database()",
  )
  await until('the listener is woken by the reconnection', () => heard.n > 0)
  const before = heard.n
  await until('the connections carry wake-ups again', () => {
    here.wake.notify('lost')
    return heard.n > before
  })
})

it('notifies after a commit and not after a rollback', async () => {
  const tenant = await createTenant(here)
  const heard = counter(here, 'work')
  await expect(
    transact(here, tenant.owner, { emits: here.domain.eventTypes.all }, async (work) => {
      work.wake('work')
      throw new Error('undone')
    }),
  ).rejects.toThrow('undone')
  expect(heard.n).toBe(0)
  await transact(here, tenant.owner, { emits: here.domain.eventTypes.all }, async (work) => work.wake('work', 'work'))
  await until('the commit is heard', () => heard.n === 1)
})

it('sends pending notifications when it is closed, and keeps nothing open', async () => {
  const third = await world.process()
  third.wake.notify('last words')
  const heard = counter(here, 'last words')
  await third.wake.close()
  await until('what was said before is heard', () => heard.n === 1)
  third.wake.notify('beyond')
})
