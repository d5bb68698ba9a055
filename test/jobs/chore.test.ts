import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { startJobs } from '../../src/jobs/index.ts'
import type { Chore } from '../../src/platform/claim.ts'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/wait.ts'

let database: TestDatabase
let app: TestApp
let stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  app = await createTestApp(database.url)
})
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()))
  stops = []
})
afterAll(async () => {
  await app?.close()
  await database?.drop()
})

function start(...chores: Chore[]) {
  const jobs = startJobs(app, { queues: [], chores, worker: 'only' })
  stops.push(() => jobs.stop({ graceMs: 0 }))
  return jobs
}

const hourly = { name: 'errand', topic: 'errand', everyMs: 3_600_000 }

it('a chore runs at the start, and at each wake-up of its topic', async () => {
  let runs = 0
  start({ ...hourly, run: async () => void runs++ })
  await until('the first run', () => runs === 1)
  app.wake.notify('errand')
  await until('the second run', () => runs === 2)
})

it('a wake-up during a run is not lost', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  let runs = 0
  start({
    ...hourly,
    run: async () => {
      if (++runs === 1) await released
    },
  })
  await until('the first run', () => runs === 1)
  let heard = false
  const off = app.wake.on('errand', () => {
    heard = true
  })
  app.wake.notify('errand')
  await until('the wake-up was heard', () => heard)
  off()
  release()
  await until('the second run', () => runs === 2)
})

it('a chore that knows when it is due runs then; otherwise it runs at its poll interval', async () => {
  let runs = 0
  const asked: number[] = []
  const dueInMs = () => {
    asked.push(runs)
    return runs < 3 ? 1 : null
  }
  start({ ...hourly, run: async () => void runs++, dueInMs })
  await until('it waits for its poll', () => asked.length === 3)
  expect(runs).toBe(3)
  expect(asked).toEqual([1, 2, 3])
})

it("a chore that answers 'again' runs at once once more", async () => {
  let runs = 0
  start({ ...hourly, topic: null, run: async () => (++runs < 4 ? 'again' : undefined) })
  await until('four runs', () => runs === 4)
})

it('a chore that gathers starts no sooner than that after its last start, and then runs for all wake-ups of the time together', async () => {
  const starts: number[] = []
  start({ ...hourly, gatherMs: 60, run: async () => void starts.push(performance.now()) })
  await until('the first run', () => starts.length === 1)
  const waker = setInterval(() => app.wake.notify('errand'), 1)
  await until('more runs', () => starts.length === 4).finally(() => clearInterval(waker))
  const distances = starts.slice(1).map((at, index) => at - starts[index]!)
  // A timer may fire a fraction of a millisecond early.
  for (const distance of distances) expect(distance).toBeGreaterThan(58)
})

it('a chore that fails is logged and runs again', async () => {
  let runs = 0
  start({
    ...hourly,
    name: 'clumsy',
    run: async () => {
      if (++runs < 3) throw new Error('not this time')
    },
  })
  await until('the third run', () => runs === 3)
  expect(app.logged.filter((line) => line.chore === 'clumsy')).toHaveLength(2)
})

it('stop aborts a running chore and waits for its end', async () => {
  let ended = false
  let running = false
  const jobs = start({
    ...hourly,
    run: async (_, signal) => {
      running = true
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      ended = true
    },
  })
  await until('it runs', () => running)
  await jobs.stop({ graceMs: 3_600_000 })
  expect(ended).toBe(true)
})

it('committed events get their positions', async () => {
  start()
  for (const n of [1, 2, 3]) {
    await run(
      app.db,
      sql`insert into event (id, organization_id, type, schema_version, subject_type, subject_id, sequence, data)
          values (${newId()}::uuid, ${newId()}::uuid, 'test.happened', 1, 'Project', ${newId()}::uuid, ${n}, '{}')`,
    )
  }
  app.wake.notify('outbox')
  const positions = await until('all have a position', async () => {
    const found = await rows<{ position: bigint | null }>(app.db, sql`select position from event order by ordinal`)
    return found.length === 3 && found.every((event) => event.position !== null) && found
  })
  expect(positions.map((event) => event.position)).toEqual([1n, 2n, 3n])
})
