import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdLease } from '../../src/platform/claim.ts'
import { rows, sql } from '../../src/platform/db/index.ts'
import { shiftClock } from '../support/database.ts'
import { createWorld, type World } from '../support/tenant.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world?.close())

const hold = (name: string, owner: string) => holdLease(world.app.db, name, owner, 60_000)

describe('a named lease', () => {
  it('is given to one of many concurrent claimants, who keeps it under one epoch', async () => {
    const owners = Array.from({ length: 10 }, (_, n) => `process ${n}`)
    const epochs = await Promise.all(owners.map((owner) => hold('router', owner)))
    const winners = owners.filter((_owner, n) => epochs[n] !== null)
    expect(winners).toHaveLength(1)
    expect(await hold('router', winners[0]!)).toBe(1)
    expect(await rows(world.app.db, sql`select owner, epoch from lease where name = 'router'`)).toEqual([{ owner: winners[0], epoch: 1 }])
  })

  it('is given to another claimant under a new epoch when it expires', async () => {
    expect(await hold('falls', 'one')).toBe(1)
    await shiftClock(world.url, 30_000)
    expect(await hold('falls', 'two')).toBeNull()
    expect(await hold('falls', 'one')).toBe(1)
    await shiftClock(world.url, 65_000)
    expect(await hold('falls', 'two')).toBeNull()
    await shiftClock(world.url, 120_000)
    expect(await hold('falls', 'two')).toBe(2)
    expect(await hold('falls', 'one')).toBeNull()
  })

  it('is independent of leases with other names', async () => {
    expect([await hold('left', 'one'), await hold('right', 'two')]).toEqual([1, 1])
  })
})
