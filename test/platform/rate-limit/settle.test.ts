import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { expireRateLimits } from '../../../src/platform/rate-limit/expire.ts'
import {
  demandKnownLimits,
  type RateLimitPolicy,
  rateLimit,
  settleRateLimits,
  stopRateLimits,
} from '../../../src/platform/rate-limit/index.ts'
import type { App } from '../../../src/platform/work.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, setToMidMinute, shiftClock, type TestDatabase } from '../../support/database.ts'
import { createDatabaseProxy } from '../../support/database-proxy.ts'
import { until } from '../../support/wait.ts'

const perMinute = 120
const byMinute: RateLimitPolicy = { name: 'minute', perMinute, refill: 'by_minute', unit: 'requests' }
const continuous: RateLimitPolicy = { name: 'continuous', perMinute, refill: 'continuous', unit: 'points' }
const policies = [byMinute, continuous]

let database: TestDatabase
let here: TestApp
let there: TestApp
let clockShiftMs: number
beforeAll(async () => {
  database = await createTestDatabase()
  here = await createTestApp(database.url)
  there = await createTestApp(database.url)
})
beforeEach(async () => {
  clockShiftMs = await setToMidMinute(database.url, here, there)
})
afterAll(async () => {
  for (const app of [here, there]) {
    await stopRateLimits(app)
    await app.close()
  }
  await database.drop()
})

/** Number of points that a process admits, one by one, of so many. */
const admitted = (app: App, policy: RateLimitPolicy, principal: string, count: number): number =>
  Array.from({ length: count }, () => rateLimit(app, policy).spend(principal, 1)).filter((wait) => wait === 0).length
const sumOf = async (app: App, principal: string) =>
  (await row<{ points: number }>(app.db, sql`select points from rate_limit where principal = ${principal}`))?.points ?? 0

describe.each(policies)('a limit $refill', (policy) => {
  const name = (text: string) => `${text} ${policy.name}`

  it('holds in two processes together: what one admits between two settlements is all that exceeds it', async () => {
    const principal = name('both')
    const began = performance.now()
    let total = 0
    let most = 0
    for (let turn = 0; turn < 30; turn++) {
      for (const app of [here, there]) {
        const now = admitted(app, policy, principal, 12)
        total += now
        most = Math.max(most, now)
      }
      await Promise.all([settleRateLimits(here), settleRateLimits(there)])
    }
    expect(total).toBeGreaterThanOrEqual(perMinute)
    // During the test, the continuous limit is refilled.
    const refilled = policy === continuous ? Math.ceil(((performance.now() - began) / 60_000) * perMinute) : 0
    expect(total).toBeLessThanOrEqual(perMinute + most + refilled)
    for (const app of [here, there]) expect(rateLimit(app, policy).wait(principal, perMinute)).toBeGreaterThan(0)
  })

  it('that is used up in one process is so in the other after one settlement', async () => {
    const principal = name('cut off')
    expect(admitted(here, policy, principal, perMinute)).toBe(perMinute)
    await settleRateLimits(here)
    expect(admitted(there, policy, principal, 5)).toBe(5)
    await settleRateLimits(there)
    expect(rateLimit(there, policy).spend(principal, 10)).toBeGreaterThan(0)
    expect(admitted(there, policy, name('another'), perMinute)).toBe(perMinute)
  })

  it('is shared by itself, without a statement for each request', async () => {
    const principal = name('by itself')
    const sent: string[] = []
    onTestFinished(here.db.onStatement((text) => void sent.push(text)))
    await settleRateLimits(here)
    sent.length = 0
    admitted(here, policy, principal, 1_000)
    expect(sent).toEqual([])
    await until('the points are shared', async () => (await sumOf(there, principal)) > 0)
    expect(sent.filter((text) => text.includes('rate_limit'))).toHaveLength(1)
  })

  it('has neither a statement nor a timer when nothing was used', async () => {
    admitted(here, policy, name('idle'), 1)
    await settleRateLimits(here)
    const sent: string[] = []
    onTestFinished(here.db.onStatement((text) => void sent.push(text)))
    const timers = vi.spyOn(globalThis, 'setTimeout')
    onTestFinished(() => timers.mockRestore())
    await settleRateLimits(here)
    expect(rateLimit(here, policy).wait(name('idle'), 1)).toBe(0)
    expect([sent, timers.mock.calls]).toEqual([[], []])
  })

  it('holds, or begins again with the other minute, when the clock of the database is set forward or back', async () => {
    for (const hours of [1, -1]) {
      const principal = name(`clock ${hours}`)
      admitted(here, policy, principal, perMinute)
      await settleRateLimits(here)
      await shiftClock(database.url, clockShiftMs + hours * 3_600_000)
      if (policy === continuous) {
        expect(rateLimit(here, policy).spend(principal, 10)).toBeGreaterThan(0)
      } else {
        // It is another minute now, for all processes.
        expect(admitted(there, policy, principal, 1)).toBe(1)
        await settleRateLimits(there)
        expect(await sumOf(here, principal)).toBe(1)
      }
      await shiftClock(database.url, clockShiftMs)
    }
  })
})

describe('a limit that is refilled continuously', () => {
  it('is refilled once for all processes', async () => {
    const principal = 'refilled once'
    admitted(here, continuous, principal, 100)
    await settleRateLimits(here)
    await shiftClock(database.url, clockShiftMs + 30_000)
    admitted(there, continuous, principal, 1)
    await settleRateLimits(there)
    const sum = await sumOf(here, principal)
    expect(sum).toBeLessThanOrEqual(41)
    expect(sum).toBeGreaterThan(30)
  })
})

describe('without the database', () => {
  async function behindProxy() {
    const proxy = await createDatabaseProxy(database.url)
    const app = await createTestApp(proxy.url)
    let passedMs = 0
    app.clock = {
      now: () => new Date(Date.now() + clockShiftMs + passedMs),
      elapsedMs: () => performance.now() + passedMs,
    }
    onTestFinished(async () => {
      await stopRateLimits(app)
      await app.close()
      await proxy.close()
    })
    const pass = (ms: number) => {
      passedMs += ms
    }
    return { proxy, app, pass }
  }

  it('each process holds the limit by itself, and shares what was used when the database is back', async () => {
    const { proxy, app } = await behindProxy()
    await settleRateLimits(app)
    await proxy.refuse()
    expect(admitted(app, byMinute, 'away', 100)).toBe(100)
    await settleRateLimits(app)
    expect(admitted(app, byMinute, 'away', 100)).toBe(20)
    await proxy.restore()
    await until('the points are shared', async () => (await sumOf(there, 'away')) === perMinute)
    expect(app.logged.filter(({ msg }) => String(msg).startsWith('rate limits'))).toEqual([])
  })

  it('points of minutes that have passed are not shared', async () => {
    const { proxy, app, pass } = await behindProxy()
    await proxy.refuse()
    for (const policy of policies) admitted(app, policy, 'long ago', perMinute)
    await settleRateLimits(app)
    pass(180_000)
    for (const policy of policies) expect(admitted(app, policy, `now ${policy.name}`, 7)).toBe(7)
    await proxy.restore()
    await shiftClock(database.url, clockShiftMs + 180_000)
    for (const policy of policies) await until('the points are shared', async () => (await sumOf(there, `now ${policy.name}`)) > 0)
    expect(await sumOf(there, 'long ago')).toBe(0)
  })

  it('a database that hangs delays nobody, and has at most one statement to answer', async () => {
    const { proxy, app } = await behindProxy()
    admitted(app, byMinute, 'hang', 1)
    await settleRateLimits(app)
    const sent: string[] = []
    onTestFinished(app.db.onStatement((text) => void sent.push(text)))
    proxy.silence()
    admitted(app, byMinute, 'hang', 50)
    const first = settleRateLimits(app)
    expect(admitted(app, byMinute, 'hang', 100)).toBe(69)
    const second = settleRateLimits(app)
    await until('a statement was sent', () => sent.length > 0)
    expect(sent).toHaveLength(1)
    await proxy.restore()
    await Promise.all([first, second])
    // Points whose statement was committed before its answer was lost would count twice; these were not.
    await until('the points are shared', async () => (await sumOf(there, 'hang')) === perMinute)
  })
})

describe('the table', () => {
  it('takes the points of 19,000 principals, also of those that are no longer in memory', async () => {
    for (let n = 0; n < 19_000; n++) rateLimit(here, byMinute).spend(`many ${n}`, 1)
    await settleRateLimits(here)
    const { count } = (await row<{ count: number }>(
      here.db,
      sql`select count(*)::int as count from rate_limit where principal like 'many %' and points = 1`,
    ))!
    expect(count).toBe(19_000)
  })

  it('forgets what was used long ago, and what a clock that was set back has left in the future', async () => {
    await run(here.db, sql`delete from rate_limit`)
    for (const [principal, minutes] of Object.entries({ old: -11, recent: -5, ahead: 11 }))
      await run(here.db, sql`insert into rate_limit values ('minute', ${principal}, 1, 0, app_now() + ${minutes} * interval '1 minute')`)
    await expireRateLimits.run(here, new AbortController().signal)
    expect(await rows(here.db, sql`select principal from rate_limit`)).toEqual([{ principal: 'recent' }])
  })
})

it('a start is refused with a limit in RATE_LIMITS that no door has', () => {
  rateLimit(here, byMinute)
  const app = (names: string[]) =>
    Object.assign(here, { settings: { ...here.settings, RATE_LIMITS: new Map(names.map((name) => [name, 1])) } })
  expect(() => demandKnownLimits(app(['minute', 'authentication']))).not.toThrow()
  expect(() => demandKnownLimits(app(['minute', 'minuet']))).toThrow(
    /RATE_LIMITS: there is no limit named minuet; there are authentication, (continuous, )?minute$/,
  )
})
