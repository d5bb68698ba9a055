import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type JobsOptions, startJobs } from '../../src/jobs/index.ts'
import { type Claimed, type Claims, claim, type End, type Queue, recordSurvival, renew } from '../../src/platform/claim.ts'
import { executeScript } from '../../src/platform/db/database.ts'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import type { App } from '../../src/platform/work.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/wait.ts'

/** Long enough that no process misses a heartbeat on a busy machine. */
const leaseMs = 2_000
type Item = Claimed & { id: number }
type ItemRow = { id: number; leaseOwner: string | null; leaseEpoch: number; doneBy: string | null }

let database: TestDatabase
let apps: TestApp[]
let stops: (() => Promise<void>)[]

beforeEach(async () => {
  database = await createTestDatabase()
  await executeScript(
    database.url,
    `create table errand (id int primary key, lease_owner text, lease_epoch int not null default 0, lease_expires_at timestamptz,
       lease_ended int not null default 0, done_by text)`,
  )
  apps = []
  stops = []
})

afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()))
  await Promise.all(apps.map((app) => app.close()))
  await database.drop()
})

async function process(): Promise<TestApp> {
  const app = await createTestApp(database.url, { WORKER_LEASE_MS: String(leaseMs) })
  apps.push(app)
  return app
}

function start(app: App, options: Partial<JobsOptions> & { worker: string }) {
  const jobs = startJobs(app, { queues: [], chores: [], ...options })
  stops.push(() => jobs.stop({ graceMs: 0 }))
  return jobs
}

/** A queue of errands. By default, `work` marks an errand as done under its epoch. */
function errands(worker: string, over: Partial<Queue<Item>> = {}): Queue<Item> {
  return {
    name: 'errands',
    rows: { table: 'errand', match: ({ id }) => sql`id = ${id}` },
    topic: 'errands',
    pollMs: 50,
    concurrency: 4,
    claim: async (app, owner, limit) => {
      const due = sql`t.done_by is null`
      const items = await claim<Item>(app.db, { table: 'errand', key: ['id'], due, order: sql`t.id`, limit, owner, leaseMs })
      return { items, dueInMs: null, waitsForOwn: true }
    },
    renew: (app, item) => renew(app.db, 'errand', sql`id = ${item.id}`, item.leaseEpoch, leaseMs),
    work: async (app, item) => void (await complete(app, item, worker)),
    setAside: async (app, item) => void (await complete(app, item, 'nobody')),
    ...over,
  }
}

const complete = (app: App, item: Item, worker: string) =>
  run(
    app.db,
    sql`update errand set done_by = ${worker}, lease_owner = null, lease_expires_at = null where id = ${item.id} and lease_epoch = ${item.leaseEpoch}`,
  )

const add = (app: App, count: number) =>
  run(app.db, sql`insert into errand (id) select generate_series(1, ${count}) + (select coalesce(max(id), 0) from errand)`)

const all = (app: App) => rows<ItemRow>(app.db, sql`select * from errand order by id`)

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })))

it('two processes share a queue: every item is worked on once', async () => {
  const [first, second] = [await process(), await process()]
  const worked: number[] = []
  const queue = (worker: string) =>
    errands(worker, {
      work: async (app, item) => {
        worked.push(item.id)
        await complete(app, item, worker)
      },
    })
  await add(first, 200)
  start(first, { queues: [queue('first')], worker: 'first' })
  start(second, { queues: [queue('second')], worker: 'second' })
  await until('all are done', async () => (await all(first)).every((item) => item.doneBy))
  expect(worked.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1))
  expect((await all(first)).every((item) => item.leaseEpoch === 1)).toBe(true)
})

it('never works on more items at once than the queue allows', async () => {
  const app = await process()
  let now = 0
  let most = 0
  await add(app, 30)
  const work: Queue<Item>['work'] = async (_, item) => {
    most = Math.max(most, ++now)
    await complete(app, item, 'only')
    now--
  }
  start(app, { queues: [errands('only', { concurrency: 3, work })], worker: 'only' })
  await until('all are done', async () => (await all(app)).every((item) => item.doneBy))
  expect(most).toBe(3)
})

it('a wake-up is answered long before the poll', async () => {
  const app = await process()
  start(app, { queues: [errands('only', { pollMs: 3_600_000 })], worker: 'only' })
  await add(app, 1)
  app.wake.notify('errands')
  await until('it is done', async () => (await all(app))[0]?.doneBy)
})

/** A queue that records its claims. The first ones find the given waits, the others wait for nothing but a wake-up. */
function scripted(over: Partial<Queue<Item>>, ...found: Partial<Claims<Item>>[]) {
  const claims: { held: number[] }[] = []
  const queue = errands('only', { pollMs: 3_600_000, ...over })
  const claimNext: Queue<Item>['claim'] = async (app, worker, limit, held) => {
    const at = claims.push({ held: held.map(({ id }) => id) }) - 1
    const { items } = await queue.claim(app, worker, limit, held)
    return { items, dueInMs: null, waitsForOwn: false, ...found[at] }
  }
  return { queue: { ...queue, claim: claimNext }, claims }
}

it('a queue whose rows have due times looks again when the next one is due, not at the poll interval', async () => {
  const app = await process()
  const { queue, claims } = scripted({}, { dueInMs: 100 })
  start(app, { queues: [queue], worker: 'only' })
  await until('it looked again', () => claims.length === 2)
})

describe('when an item ends', () => {
  /** Works on one item until `release`, while the queue has slots left and waits. */
  async function working(end: End, found: Partial<Claims<Item>>) {
    const app = await process()
    const gate = Promise.withResolvers<void>()
    let [started, ended] = [0, 0]
    const work: Queue<Item>['work'] = async (_app, item) => {
      started++
      await gate.promise
      await complete(app, item, 'only')
      ended++
      return end
    }
    const { queue, claims } = scripted({ work }, found)
    await add(app, 1)
    start(app, { queues: [queue], worker: 'only' })
    await until('the item is claimed', () => started === 1)
    return { app, claims, release: () => gate.resolve(), ended: () => ended }
  }

  it('the queue is claimed again if a row waited for that', async () => {
    const { claims, release } = await working('done', { waitsForOwn: true })
    release()
    await until('it is claimed again', () => claims.length === 2)
  })

  it('the queue is claimed again if the row of the item is still pending', async () => {
    const { claims, release } = await working('pending', {})
    release()
    await until('it is claimed again', () => claims.length === 2)
  })

  it('the queue is not claimed again otherwise, only at the next wake-up', async () => {
    const { app, claims, release, ended } = await working('done', {})
    await add(app, 1)
    release()
    await until('the item has ended', () => ended() === 1)
    await new Promise(setImmediate)
    expect(claims).toHaveLength(1)
    app.wake.notify('errands')
    await until('the next one has ended', () => ended() === 2)
    expect(claims).toHaveLength(2)
  })
})

it('a claim is told which items the worker is working on', async () => {
  const app = await process()
  const gate = Promise.withResolvers<void>()
  const { queue, claims } = scripted({ work: () => gate.promise })
  await add(app, 2)
  start(app, { queues: [queue], worker: 'only' })
  await until('the items are claimed', () => claims.length === 1)
  app.wake.notify('errands')
  await until('it is claimed again', () => claims.length === 2)
  expect(claims).toEqual([{ held: [] }, { held: [1, 2] }])
  gate.resolve()
})

it('an item is kept by its heartbeat for longer than its lease', async () => {
  const [holder, other] = [await process(), await process()]
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  let taken = 0
  const work: Queue<Item>['work'] = async (app, item) => {
    taken++
    await released
    await complete(app, item, 'holder')
  }
  await add(holder, 1)
  start(holder, { queues: [errands('holder', { work })], worker: 'holder' })
  await until('it is taken', () => taken === 1)
  start(other, { queues: [errands('other', { work })], worker: 'other' })
  const [claimed] = await rows<{ at: Date }>(holder.db, sql`select app_now() as at`)
  await until('two leases have gone by', async () => {
    const [row] = await rows<{ past: boolean }>(
      holder.db,
      sql`select app_now() > ${claimed?.at}::timestamptz + ${2 * leaseMs} * interval '1 millisecond' as past`,
    )
    return row?.past
  })
  release()
  await until('it is done', async () => (await all(holder))[0]?.doneBy)
  expect(taken).toBe(1)
})

it('when a worker dies, another one takes over its item with a higher epoch, and the first one can no longer write', async () => {
  const [dead, heir] = [await process(), await process()]
  await add(dead, 1)
  // A killed process: it has claimed an item and neither renews nor ends its lease.
  const [left] = (await errands('dead').claim(dead, 'dead', 1, [])).items
  start(heir, { queues: [errands('heir')], worker: 'heir' })
  await until('the heir has done it', async () => (await all(heir))[0]?.doneBy)
  expect(await complete(dead, left!, 'dead')).toBe(0)
  expect(await errands('dead').renew(dead, left!)).toBe(false)
  expect(await all(heir)).toMatchObject([{ doneBy: 'heir', leaseEpoch: left!.leaseEpoch + 1 }])
})

describe('an item that kills processes', () => {
  /** `times` processes in a row claim all items and die. */
  async function die(app: App, items: number, times: number) {
    for (let n = 0; n < times; n++)
      await until('the lease before is over', async () => (await errands('dead').claim(app, `dead ${n}`, items, [])).items.length === items)
  }

  /** Claims as soon as possible, and releases as a stop does. */
  async function giveBack(app: App) {
    await until('the lease before is over', async () => (await errands('polite').claim(app, 'polite', 1, [])).items.length === 1)
    await run(app.db, sql`update errand set lease_owner = null, lease_expires_at = null`)
  }

  const settled = (app: App) => until('all are done', async () => (await all(app)).every((item) => item.doneBy) && all(app))

  it('is set aside after three processes in a row died with it', async () => {
    const app = await process()
    await add(app, 1)
    await die(app, 1, 3)
    let worked = 0
    const work: Queue<Item>['work'] = async (_, item) => {
      worked++
      await complete(app, item, 'heir')
    }
    start(app, { queues: [errands('heir', { work })], worker: 'heir' })
    expect(await settled(app)).toMatchObject([{ doneBy: 'nobody' }])
    expect(worked).toBe(0)
  })

  it('is not assumed after two deaths, or after three with a release between them', async () => {
    const app = await process()
    await add(app, 1)
    await die(app, 1, 2)
    await giveBack(app)
    await die(app, 1, 2)
    start(app, { queues: [errands('heir')], worker: 'heir' })
    expect(await settled(app)).toMatchObject([{ doneBy: 'heir', leaseEpoch: 6 }])
  })

  it('is not assumed after failures of a living process, however many', async () => {
    const app = await process()
    await add(app, 1)
    let tries = 0
    const work: Queue<Item>['work'] = async (_, item) => {
      if (++tries <= 4) throw new Error('a fault of ours')
      await complete(app, item, 'at last')
    }
    start(app, { queues: [errands('only', { work })], worker: 'only' })
    expect(await settled(app)).toMatchObject([{ doneBy: 'at last' }])
  })

  it('is not assumed after a lease expired during a database outage, even if another process claimed the item first', async () => {
    const app = await process()
    await add(app, 1)
    const [held] = (await errands('slow').claim(app, 'slow', 1, [])).items
    await die(app, 1, 2)
    expect(await recordSurvival(app.db, errands('slow').rows, held!)).toBe(1)
    start(app, { queues: [errands('heir')], worker: 'heir' })
    expect(await settled(app)).toMatchObject([{ doneBy: 'heir' }])
  })

  it('is not assumed after a process that was asked to stop died', async () => {
    const app = await process()
    await add(app, 1)
    await die(app, 1, 2)
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    let working = false
    const work: Queue<Item>['work'] = () => {
      working = true
      return released
    }
    const jobs = start(app, { queues: [errands('leaving', { work })], worker: 'leaving' })
    await until('it is in hand', () => working)
    const stopped = jobs.stop({ graceMs: 60_000 })
    await until('it is known', async () => {
      const [item] = await rows<Claimed>(app.db, sql`select lease_epoch, lease_ended from errand`)
      return item!.leaseEnded === item!.leaseEpoch
    })
    release()
    await stopped
    start(app, { queues: [errands('heir')], worker: 'heir' })
    expect(await settled(app)).toMatchObject([{ doneBy: 'heir' }])
  })

  it('is worked on alone before the third death, so that other items are not blamed', async () => {
    const app = await process()
    await add(app, 4)
    await die(app, 4, 2)
    await add(app, 4)
    let [now, most] = [0, 0]
    const gate = Promise.withResolvers<void>()
    const fresh = new Set<number>()
    const work: Queue<Item>['work'] = async (_, item) => {
      if (item.id > 4) {
        fresh.add(item.id)
        if (fresh.size === 4) gate.resolve()
      } else {
        most = Math.max(most, ++now)
        // Other items continue meanwhile.
        await gate.promise
        now--
      }
      await complete(app, item, 'heir')
    }
    start(app, { queues: [errands('heir', { work, concurrency: 8 })], worker: 'heir' })
    expect((await settled(app)).map(({ doneBy }) => doneBy)).toEqual(Array(8).fill('heir'))
    expect(most).toBe(1)
  })
})

it('a lost lease aborts the work', async () => {
  const app = await process()
  await add(app, 1)
  const reasons: unknown[] = []
  const work: Queue<Item>['work'] = async (_, item, signal) => {
    if (item.leaseEpoch > 1) return void (await complete(app, item, 'thief'))
    await run(app.db, sql`update errand set lease_owner = 'thief', lease_epoch = lease_epoch + 1 where id = ${item.id}`)
    await untilAborted(signal)
    reasons.push(signal.reason)
  }
  start(app, { queues: [errands('only', { work })], worker: 'only' })
  await until('the work was aborted', () => reasons.length > 0)
  expect(String(reasons[0])).toContain('held by another')
})

it('a lease that the database cannot renew in time aborts the work', async () => {
  const app = await process()
  await add(app, 1)
  const reasons: unknown[] = []
  const work: Queue<Item>['work'] = async (_app, _item, signal) => {
    await untilAborted(signal)
    reasons.push(signal.reason)
  }
  const away = async () => Promise.reject(new Error('the database is away'))
  start(app, { queues: [errands('only', { work, renew: away })], worker: 'only' })
  await until('the work was aborted', () => reasons.length > 0)
  expect(String(reasons[0])).toContain('could not be renewed')
})

it('an item whose work throws is claimed again when its lease expires', async () => {
  const app = await process()
  await add(app, 1)
  const work: Queue<Item>['work'] = async (_, item) => {
    if (item.leaseEpoch === 1) throw new Error('a fault of ours')
    await complete(app, item, 'second try')
  }
  start(app, { queues: [errands('only', { work })], worker: 'only' })
  await until('it is done', async () => (await all(app))[0]?.doneBy)
  expect(await all(app)).toMatchObject([{ leaseEpoch: 2 }])
  expect(app.logged).toContainEqual(
    expect.objectContaining({ queue: 'errands', err: expect.objectContaining({ message: 'a fault of ours' }) }),
  )
})

it('stop claims nothing more and waits for what is running', async () => {
  const app = await process()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  let working = 0
  let aborted = false
  const work: Queue<Item>['work'] = async (_, item, signal) => {
    working++
    await released
    aborted ||= signal.aborted
    await complete(app, item, 'only')
  }
  await add(app, 5)
  const jobs = start(app, { queues: [errands('only', { concurrency: 2, work })], worker: 'only' })
  await until('two are running', () => working === 2)
  const stopped = jobs.stop({ graceMs: 60_000 })
  release()
  await stopped
  expect((await all(app)).filter((item) => item.doneBy)).toHaveLength(2)
  expect({ working, aborted }).toEqual({ working: 2, aborted: false })
})

it('stop aborts what is still running after the grace period', async () => {
  const app = await process()
  let working = false
  let reason: unknown
  const work: Queue<Item>['work'] = async (_app, _item, signal) => {
    working = true
    await untilAborted(signal)
    reason = signal.reason
  }
  await add(app, 1)
  const jobs = start(app, { queues: [errands('only', { work })], worker: 'only' })
  await until('it is running', () => working)
  await jobs.stop({ graceMs: 20 })
  expect(String(reason)).toContain('stopping')
})

it('stop aborts a queue with abortOnStop at once, regardless of the grace period', async () => {
  const app = await process()
  let working = false
  const work: Queue<Item>['work'] = async (_app, _item, signal) => {
    working = true
    await untilAborted(signal)
  }
  await add(app, 1)
  const jobs = start(app, { queues: [errands('only', { work, abortOnStop: true })], worker: 'only' })
  await until('it is running', () => working)
  await jobs.stop({ graceMs: 3_600_000 })
})

it('a queue resumes after the database closed every connection', async () => {
  const app = await process()
  start(app, { queues: [errands('only')], worker: 'only' })
  await add(app, 1)
  await until('the first is done', async () => (await all(app))[0]?.doneBy)
  await executeScript(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  )
  await until('the second is there', () => add(app, 1).catch(() => 0))
  await until('the second is done', async () => (await all(app))[1]?.doneBy)
})
