import { describe, expect, it } from 'vitest'
import type { RateLimitPolicy } from '../../../src/platform/rate-limit/index.ts'
import { refillOf } from '../../../src/platform/rate-limit/refill.ts'
import { createSharedClock } from '../../../src/platform/rate-limit/shared-clock.ts'
import { createTally, type Entry, maxPrincipals } from '../../../src/platform/rate-limit/tally.ts'

/** A limit of 120 points, ten seconds after the beginning of a minute. */
function world(refill: RateLimitPolicy['refill']) {
  const time = { wall: Date.parse('2026-01-31T12:00:10Z'), elapsedMs: 0 }
  const clock = { now: () => new Date(time.wall), elapsedMs: () => time.elapsedMs }
  const shared = createSharedClock({ clock })
  const told: { principal: string; soon: boolean }[] = []
  const evicted: string[] = []
  const limit = 120
  const tally = createTally({
    name: 'test',
    limit,
    refill: refillOf({ name: 'test', perMinute: limit, refill, unit: 'requests' }, limit, { own: () => clock, shared }),
    onUnsettled: ({ principal }: Entry, soon) => void told.push({ principal, soon }),
    onEvicted: ({ principal }) => void evicted.push(principal),
  })
  const pass = (ms: number) => {
    time.elapsedMs += ms
    time.wall += ms
  }
  const spend = (principal: string, count: number) => Array.from({ length: count }, () => tally.spend(principal, 1))
  return { time, shared, tally, told, evicted, pass, spend }
}

describe.each(['by_minute', 'continuous'] as const)('a limit that is refilled %s', (refill) => {
  it('is that of one principal, and of every one of them', () => {
    const { tally, spend } = world(refill)
    expect(spend('a', 120).every((wait) => wait === 0)).toBe(true)
    expect(tally.spend('a', 1)).toBeGreaterThan(0)
    expect(spend('b', 120).every((wait) => wait === 0)).toBe(true)
  })

  it('admits what costs nothing, and asks without taking', () => {
    const { tally, spend } = world(refill)
    spend('a', 119)
    expect([tally.wait('a', 1), tally.wait('a', 1), tally.spend('a', 1)]).toEqual([0, 0, 0])
    expect(tally.wait('a', 1)).toBeGreaterThan(0)
    expect(tally.spend('a', 0)).toBe(0)
  })

  it('admits what costs more than the limit when nothing else was used', () => {
    const { tally, pass } = world(refill)
    expect(tally.spend('a', 500)).toBe(0)
    expect(tally.spend('a', 1)).toBeGreaterThan(0)
    pass(5 * 60_000)
    expect(tally.spend('a', 500)).toBe(0)
  })

  it.each([-1, 1])('neither blocks nor is refilled when the clock of the machine is shifted by %i h', (hours) => {
    const { time, tally, pass, spend } = world(refill)
    spend('a', 120)
    time.wall += hours * 3_600_000
    expect(tally.spend('a', 1)).toBeGreaterThan(0)
    pass(60_000)
    expect(tally.spend('a', 1)).toBe(0)
  })

  it('is told to the other processes with the first point, and at once after a tenth', () => {
    const { told, spend } = world(refill)
    spend('a', 12)
    expect(told).toEqual([{ principal: 'a', soon: false }])
    spend('a', 1)
    expect(told.at(-1)).toEqual({ principal: 'a', soon: true })
  })

  it('keeps at most 10,000 principals, and of these not the idle ones: one that is cut off stays so while 20,000 others pass', () => {
    const { tally, evicted, pass, spend } = world(refill)
    spend('idle', 1)
    pass(50_000)
    pass(60_000)
    spend('cut off', 120)
    for (let n = 0; n < 20_000; n++) tally.spend(`other ${n}`, 1 + (n % 3))
    expect(tally.size()).toBe(maxPrincipals)
    expect(evicted[0]).toBe('idle')
    expect(evicted).toHaveLength(20_002 - maxPrincipals)
    expect(tally.spend('cut off', 1)).toBeGreaterThan(0)
  })
})

describe('a limit by the minute', () => {
  it('is available again at the end of the minute, which is the time to wait', () => {
    const { tally, pass, spend } = world('by_minute')
    spend('a', 120)
    expect(tally.spend('a', 1)).toBe(50)
    expect(tally.standing('a')).toEqual({ remaining: 0, resetSeconds: 50 })
    pass(49_999)
    expect(tally.spend('a', 1)).toBe(1)
    pass(1)
    expect(tally.spend('a', 1)).toBe(0)
    expect(tally.standing('a')).toEqual({ remaining: 119, resetSeconds: 60 })
  })

  it('follows the minute of the database, also after its clock was shifted', () => {
    const { time, shared, tally, spend } = world('by_minute')
    spend('a', 120)
    shared.observe(Date.parse('2026-01-31T12:00:40Z'), time.elapsedMs, time.elapsedMs)
    expect(tally.spend('a', 1)).toBe(20)
    for (const clock of ['2026-01-31T15:00:40Z', '2026-01-31T11:00:40Z']) {
      shared.observe(Date.parse(clock), time.elapsedMs, time.elapsedMs)
      spend('a', 120)
      expect(tally.spend('a', 1)).toBe(20)
    }
  })

  it('does not begin again when an estimate of the time falls back into the minute before', () => {
    const { time, shared, tally, spend } = world('by_minute')
    shared.observe(Date.parse('2026-01-31T12:01:00Z'), time.elapsedMs, time.elapsedMs)
    spend('a', 120)
    shared.observe(Date.parse('2026-01-31T12:00:59.990Z'), time.elapsedMs, time.elapsedMs)
    expect(tally.spend('a', 1)).toBeGreaterThan(0)
    shared.observe(Date.parse('2026-01-31T12:01:00.010Z'), time.elapsedMs, time.elapsedMs)
    expect(tally.spend('a', 1)).toBeGreaterThan(0)
  })

  it('keeps an estimate of the time that agrees with a statement, however long that took', () => {
    const { time, shared } = world('by_minute')
    shared.observe(Date.parse('2026-01-31T12:00:30Z'), time.elapsedMs, time.elapsedMs)
    time.elapsedMs += 5_000
    shared.observe(Date.parse('2026-01-31T12:00:31Z'), time.elapsedMs - 5_000, time.elapsedMs)
    expect(shared.nowMs()).toBe(Date.parse('2026-01-31T12:00:35Z'))
  })
})

describe('a limit that is refilled continuously', () => {
  it('admits again after the time to wait, as much as was refilled', () => {
    const { tally, pass, spend } = world('continuous')
    spend('a', 120)
    expect(tally.spend('a', 1)).toBe(1)
    expect(tally.spend('a', 20)).toBe(10)
    pass(10_000)
    expect(tally.standing('a')).toEqual({ remaining: 20, resetSeconds: 50 })
    expect(tally.spend('a', 20)).toBe(0)
    expect(tally.spend('a', 1)).toBe(1)
  })
})
