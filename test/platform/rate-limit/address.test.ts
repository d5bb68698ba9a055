import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DomainError } from '../../../src/platform/errors.ts'
import { networkOf, onBehalfOf } from '../../../src/platform/forwarded.ts'
import { type AddressLimit, limitAddress, settleRateLimits, stopRateLimits } from '../../../src/platform/rate-limit/index.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'

const policy = { name: 'attempts', perMinute: 10, noun: 'failed attempts' }

let database: TestDatabase
let apps: TestApp[]
let here: AddressLimit
let there: AddressLimit
beforeAll(async () => {
  database = await createTestDatabase()
  apps = [await createTestApp(database.url), await createTestApp(database.url)]
  // Time stands still, so that the limits are not refilled.
  for (const app of apps) app.clock = { now: () => new Date(), elapsedMs: () => 0 }
  const limits = apps.map((app) => limitAddress(app, policy))
  here = limits[0]!
  there = limits[1]!
})
afterAll(async () => {
  for (const app of apps) {
    await stopRateLimits(app)
    await app.close()
  }
  await database.drop()
})

const from = <T>(address: string, run: () => T): T => onBehalfOf({ address, userAgent: null, door: 'test' }, run)
const refusal = (address: string, limit = here, repeated = false): DomainError | null => {
  try {
    from(address, () => limit.demand(repeated))
    return null
  } catch (error) {
    if (error instanceof DomainError) return error
    throw error
  }
}
const fail = (address: string, times: number) => {
  for (let n = 0; n < times; n++) from(address, () => here.count())
}

describe('a limit by address', () => {
  it('refuses the address that failed too often, and no other, with the time to wait', () => {
    fail('192.0.2.1', 9)
    expect(refusal('192.0.2.1')).toBeNull()
    fail('192.0.2.1', 1)
    expect(refusal('192.0.2.1')).toMatchObject({
      code: 'rate_limited',
      message: expect.stringMatching(/^At most 10 failed attempts per minute are allowed from one address\. Retry in [1-6] s\.$/),
      details: { limit: 'attempts', maximum: 10, retryAfterSeconds: expect.any(Number) },
    })
    expect(refusal('192.0.2.2')).toBeNull()
  })

  it('leaves half of the failures to others behind the address when one goes on with what has failed', () => {
    fail('192.0.2.3', 6)
    expect(refusal('192.0.2.3', here, true)).not.toBeNull()
    expect(refusal('192.0.2.3')).toBeNull()
  })

  it('takes an IPv6 network for one address', () => {
    for (let n = 0; n < 10; n++) fail(`2001:db8:1:2::${n}`, 1)
    expect(refusal('2001:db8:1:2:ffff::1')).not.toBeNull()
    expect(refusal('2001:db8:1:3::1')).toBeNull()
    expect(networkOf('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(networkOf('fe80::1%eth0')).toBe('fe80:0:0:0::/64')
    expect(networkOf('unknown')).toBe('unknown')
  })

  it('does not limit what Quayside does by itself', () => {
    for (let n = 0; n < 100; n++) here.count()
    expect(() => here.demand()).not.toThrow()
  })

  it('holds in all processes', async () => {
    fail('192.0.2.5', 10)
    await settleRateLimits(apps[0]!)
    expect(refusal('192.0.2.5', there)).toBeNull()
    from('192.0.2.5', () => there.count())
    await settleRateLimits(apps[1]!)
    expect(refusal('192.0.2.5', there)).not.toBeNull()
  })
})
