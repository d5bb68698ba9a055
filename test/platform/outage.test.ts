/** Every kind of database outage, and the recovery. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { executeScript } from '../../src/platform/db/database.ts'
import { createDb, DatabaseOutage, outageOf, raw, row, run, sql } from '../../src/platform/db/index.ts'
import { refusalOf, throughOutages } from '../../src/platform/outage.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.ts'
import { until } from '../support/wait.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let app: TestApp

beforeEach(async () => {
  database = await createTestDatabase()
  proxy = await createDatabaseProxy(database.url)
  app = await createTestApp(proxy.url)
})
afterEach(async () => {
  await proxy.restore()
  await app.close()
  await proxy.close()
  await database.drop()
})

const ask = (by: TestApp = app) => row<{ one: number }>(by.db, sql`select 1 as one`)
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => outageOf(error) ?? error,
  )
const gone = () => until('the outage is known', () => app.db.session.outage())
const back = () => until('it answers again', async () => (await outcome(ask())) === 'done' && !app.db.session.outage())
const told = () => app.logged.filter((line) => /^the database is/.test(String(line.msg))).map((line) => line.msg)
const both = ['the database is not available', 'the database is available again']

/** Number of sessions of this database that listen, according to the server. */
const listening = async (): Promise<number> => {
  const admin = createDb({ url: database.url, poolSize: 1 })
  try {
    const found = await row<{ n: number }>(
      admin,
      sql`select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'quayside wake'`,
    )
    return found!.n
  } finally {
    await admin.close()
  }
}

describe('a database that refuses connections', () => {
  it('is tried by one connection at a time with backoff, and logged twice', async () => {
    await ask()
    await proxy.refuse()
    await gone()
    expect(await outcome(ask())).toBe('database')
    expect(await outcome(app.db.transaction((tx) => row(tx, sql`select 1`)))).toBe('database')
    await proxy.restore()
    await back()
    expect(told()).toEqual(both)
    expect(await listening()).toBe(1)
  })

  it('wakes listeners when it is available again, and sends the notifications that were held back', async () => {
    const other = await createTestApp(database.url)
    let [here, there] = [0, 0]
    app.wake.on('any', () => here++)
    other.wake.on('said during the outage', () => there++)
    await proxy.refuse()
    await gone()
    app.wake.notify('said during the outage')
    await proxy.restore()
    await until('this process is woken', () => here > 0)
    await until('the other process hears of it', () => there > 0)
    await other.close()
  })

  it('holds back a bounded number of topics, and wakes all listeners if there were more', async () => {
    const other = await createTestApp(database.url)
    let heard = 0
    other.wake.on('of another name', () => heard++)
    await proxy.refuse()
    await gone()
    for (let n = 0; n < 10_001; n++) app.wake.notify(`topic ${n}`)
    await proxy.restore()
    await until('the other process is woken', () => heard > 0)
    await other.close()
  })
})

describe('a database that does not answer', () => {
  it('is detected although no connection ends; running statements are abandoned and waiting ones fail', async () => {
    await ask()
    proxy.silence()
    expect(await outcome(ask())).toBe('database')
    await gone()
    expect(await outcome(ask())).toBe('database')
    await proxy.restore()
    await back()
    expect(told()).toEqual(both)
    expect(await listening()).toBe(1)
  })

  it('fails requests for a connection at once', async () => {
    const waits = Array.from({ length: 40 }, () => outcome(ask()))
    await Promise.all(waits)
    proxy.silence()
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => outcome(ask())))
    expect(new Set(outcomes)).toEqual(new Set(['database']))
    await until('nobody waits', () => app.db.pool.waitingCount === 0)
  })
})

describe('half-open connections', () => {
  it('are replaced, including the listening one, and none is left over', async () => {
    await ask()
    proxy.freeze()
    const before = app.wake
    expect(await outcome(ask())).toBe('database')
    await until('a wake-up from elsewhere is heard', async () => {
      let heard = false
      const off = before.on('elsewhere', () => {
        heard = true
      })
      await executeScript(database.url, "select pg_notify('quayside', E'somebody\\nelsewhere')")
      await app.wake.next('elsewhere', 200)
      off()
      return heard
    })
    await back()
    expect(await listening()).toBe(1)
  })

  it('an idle one is detected by its first statement, which also replaces the other idle ones', async () => {
    await Promise.all(Array.from({ length: 5 }, () => row(app.db, sql`select pg_sleep(0.1)::text`)))
    expect(app.db.pool.idleCount).toBeGreaterThan(1)
    proxy.freeze()
    expect(await outcome(ask())).toBe('database')
    await until('the pool is well', async () => (await outcome(ask())) === 'done')
    expect(await outcome(Promise.all(Array.from({ length: 5 }, () => ask())))).toBe('done')
  })
})

it('a backend that stops before it has read a statement is abandoned, and no other', async () => {
  const { pid } = (await row<{ pid: number }>(app.db, sql`select pg_backend_pid() as pid`))!
  process.kill(pid, 'SIGSTOP')
  try {
    expect(await outcome(ask())).toBe('database')
    expect(await outcome(ask())).toBe('done')
    expect(app.db.session.outage()).toBeNull()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
})

it('a statement that is slow or waits for a lock is not abandoned', async () => {
  await run(app.db, sql`create table held (id int primary key)`)
  await run(app.db, sql`insert into held values (1)`)
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const holder = app.db.transaction(async (tx) => {
    await row(tx, sql`select 1 as one from held for update`)
    await released
  })
  const waiter = app.db.transaction((tx) => row(tx, sql`select id from held for update`))
  await row(app.db, sql`select pg_sleep(3.2)::text as slow`)
  release()
  await holder
  expect(await waiter).toEqual({ id: 1 })
  expect(told()).toEqual([])
})

it('backends that are terminated all at once are replaced', async () => {
  await ask()
  await executeScript(
    database.url,
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name <> ''",
  )
  await back()
  await until('one session listens', async () => (await listening()) === 1)
})

it('with too many clients, existing connections work and others fail with unavailable', async () => {
  const role = `few_${Math.random().toString(36).slice(2, 10)}`
  await executeScript(database.url, `create role ${role} login connection limit 2`)
  const url = new URL(database.url)
  url.username = role
  const few = await createTestApp(database.url)
  const db = createDb({ url: url.href, poolSize: 5, log: few.log })
  try {
    await db.session.open()
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => outcome(row(db, sql`select pg_sleep(0.2)::text as slept`))))
    expect(new Set(outcomes)).toEqual(new Set(['done', 'database']))
    expect(await outcome(row(db, sql`select 1 as one`))).toBe('done')
  } finally {
    await db.close()
    await few.close()
    await executeScript(database.url, `drop role ${role}`)
  }
})

it('the server ends the sessions of a process that disappeared', async () => {
  const settings = await row<Record<string, string>>(
    app.db,
    sql`select current_setting('idle_in_transaction_session_timeout') as tx, current_setting('idle_session_timeout') as idle,
               current_setting('client_connection_check_interval') as check`,
  )
  expect(settings).toEqual({ tx: '10s', idle: '5min', check: '5s' })
  expect(await app.db.session.ask("select current_setting('idle_session_timeout') as idle")).toEqual([{ idle: '30s' }])
})

describe('the error for a caller', () => {
  const states = ['53100', '53200', '53300', '57P01', '57P02', '57P03', '08006', '25006']
  it.each(states)('is unavailable for SQLSTATE %s', async (state) => {
    const raise = raw(`do $$ begin raise exception 'no more' using errcode = '${state}'; end $$`)
    const error = await run(app.db, raise).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(DatabaseOutage)
    expect(refusalOf(app, error)).toMatchObject({ code: 'unavailable', kind: 'unavailable' })
  })
  it('is unavailable for a full disk of the database, with one log line', () => {
    for (let n = 0; n < 3; n++) {
      const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      expect(refusalOf(app, error)).toMatchObject({ code: 'unavailable', message: 'The disk is full.' })
    }
    expect(app.logged.filter((line) => line.msg === 'a disk is full')).toHaveLength(1)
  })
  it('is internal for a programming error', async () => {
    const error = await run(app.db, sql`select 1 from nowhere`).catch((caught: unknown) => caught)
    expect([outageOf(error), refusalOf(app, error)]).toEqual([null, null])
    expect(told()).toEqual([])
  })
})

it('throughOutages waits for the database, rethrows other errors, and ends on abort', async () => {
  await proxy.refuse()
  await gone()
  const waited = throughOutages(app, () => ask())
  const leaving = new AbortController()
  const left = outcome(throughOutages(app, () => ask(), leaving.signal))
  leaving.abort()
  expect(await left).toBe('database')
  await proxy.restore()
  expect(await waited).toEqual({ one: 1 })
  await expect(throughOutages(app, () => Promise.reject(new Error('a mistake')))).rejects.toThrow('a mistake')
})

it('a process whose database does not answer can stop', async () => {
  const leaving = await createTestApp(proxy.url)
  await Promise.all([ask(leaving), ask(leaving)])
  proxy.silence()
  await leaving.close()
  expect(leaving.db.pool.totalCount).toBe(0)
})
