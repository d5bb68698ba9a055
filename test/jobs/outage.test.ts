/** Loops during an outage of the database: they resume by themselves, lose nothing, and don't fill the log. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startJobs } from '../../src/jobs/index.ts'
import { type Chore, type Claimed, claim, type Queue, renew } from '../../src/platform/claim.ts'
import { executeScript } from '../../src/platform/db/database.ts'
import { row, rows, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.ts'
import { until } from '../support/wait.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let app: TestApp
/** An app whose database stays available. */
let other: TestApp
let stops: (() => Promise<void>)[]

beforeEach(async () => {
  database = await createTestDatabase()
  await executeScript(
    database.url,
    `create table errand (id int primary key, lease_owner text, lease_epoch int not null default 0, lease_expires_at timestamptz,
       lease_ended int not null default 0, done_by int)`,
  )
  proxy = await createDatabaseProxy(database.url)
  app = await createTestApp(proxy.url, { WORKER_LEASE_MS: '600000' })
  other = await createTestApp(database.url)
  stops = []
})
afterEach(async () => {
  await proxy.restore()
  await Promise.all(stops.map((stop) => stop()))
  await app.close()
  await other.close()
  await proxy.close()
  await database.drop()
})

type Errand = Claimed & { id: number }

const key = ({ id }: Errand) => sql`id = ${id}`

/** Never wakes a loop, so that items are claimed only because the loop resumes. */
const errands = (work: Queue<Errand>['work']): Queue<Errand> => ({
  name: 'errands',
  rows: { table: 'errand', match: key },
  topic: 'errands',
  pollMs: 3_600_000,
  concurrency: 1,
  claim: async ({ db }, owner, limit) => {
    const items = await claim<Errand>(db, {
      table: 'errand',
      key: ['id'],
      due: sql`t.done_by is null`,
      order: sql`t.id`,
      limit,
      owner,
      leaseMs: 600_000,
    })
    return { items, dueInMs: null, waitsForOwn: true }
  },
  renew: ({ db }, errand) => renew(db, 'errand', key(errand), errand.leaseEpoch, 600_000),
  release: ({ db }, errand) =>
    run(db, sql`update errand set lease_owner = null, lease_expires_at = null where ${key(errand)} and lease_epoch = ${errand.leaseEpoch}`),
  work,
  setAside: () => Promise.reject(new Error('nothing is set aside')),
})

function start({ queues = [], chores = [] }: { queues?: Queue<Errand>[]; chores?: Chore[] }) {
  const jobs = startJobs(app, { queues: queues as Queue<Claimed>[], chores, worker: 'only' })
  stops.push(() => jobs.stop({ graceMs: 0 }))
}

const finish = (errand: Errand) =>
  run(app.db, sql`update errand set done_by = ${errand.leaseEpoch}, lease_owner = null where ${key(errand)}`)
const add = (id: number) => run(other.db, sql`insert into errand (id) values (${id})`)
const doneBy = async (id: number) =>
  (await row<{ doneBy: number | null }>(other.db, sql`select done_by from errand where id = ${id}`))?.doneBy
const gone = () => until('the outage is known', () => app.db.session.outage())
const loud = () => app.logged.filter(({ level }) => Number(level) >= 40).map(({ msg }) => msg)

it('queue, chore and sequencer resume, with two log lines for all of them', async () => {
  let runs = 0
  const chore: Chore = {
    name: 'errand',
    topic: 'never',
    everyMs: 3_600_000,
    run: async ({ db }) => void (await row(db, sql`select ${++runs}::int`)),
  }
  start({ queues: [errands((_app, errand) => finish(errand).then(() => {}))], chores: [chore] })
  await until('the chore ran', () => runs === 1)
  await proxy.refuse()
  await gone()
  await add(1)
  await run(
    other.db,
    sql`insert into event (id, organization_id, type, schema_version, subject_type, subject_id, sequence, data)
        values (${newId()}::uuid, ${newId()}::uuid, 'test.happened', 1, 'Project', ${newId()}::uuid, 1, '{}')`,
  )
  await proxy.restore()
  await until('the errand is done', async () => (await doneBy(1)) !== null)
  await until('the chore ran again', () => runs >= 2)
  await until(
    'the event has its position',
    async () => (await rows(other.db, sql`select 1 as one from event where position is null`)).length === 0,
  )
  expect(loud()).toEqual(['the database is not available', 'the database is available again'])
})

it('an item that was being worked on is released and completed, long before its lease expires', async () => {
  await add(1)
  let tries = 0
  start({
    queues: [
      errands(async (_app, errand) => {
        if (++tries === 1) {
          await proxy.refuse()
          await gone()
        }
        await finish(errand)
      }),
    ],
  })
  await until('it was tried', () => tries === 1)
  await gone()
  await proxy.restore()
  expect(await until('it is done', async () => doneBy(1))).toBe(2)
  expect(loud()).toEqual(['the database is not available', 'the database is available again'])
})

it('a loop that fails logs it once, and once more when it resumes', async () => {
  let runs = 0
  const clumsy: Chore = {
    name: 'clumsy',
    topic: null,
    everyMs: 3_600_000,
    async run() {
      if (++runs < 5) throw new Error('not this time')
    },
  }
  start({ chores: [clumsy] })
  await until('it ran well', () => runs === 5)
  const lines = await until('both lines', () => {
    const found = app.logged.filter((line) => line.chore === 'clumsy')
    return found.length >= 2 && found
  })
  expect(lines).toMatchObject([
    { msg: 'a background task failed and will run again' },
    { msg: 'a background task succeeds again', failures: 4 },
  ])
})
