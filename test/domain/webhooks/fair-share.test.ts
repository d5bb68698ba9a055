import fc from 'fast-check'
import { expect, it } from 'vitest'
import { shareOut } from '../../../src/domain/webhooks/delivery/lane.ts'
import type { Lane } from '../../../src/domain/webhooks/delivery/model.ts'

const now = new Date('2026-01-01T00:00:00Z')
const lane = (organizationId: string, endpointId: string, ownInFlight = 0, over: Partial<Lane> = {}): Lane => ({
  organizationId,
  endpointId,
  exists: true,
  rateLimitPerSecond: null,
  maxConcurrency: null,
  ordered: false,
  atMostOnce: false,
  rateUsedUntil: null,
  breakerUntil: null,
  now,
  nextAt: now,
  laterAt: null,
  inFlight: ownInFlight,
  ownInFlight,
  others: null,
  othersEndAt: null,
  ...over,
})

const slots = 160
/** Lets the endpoints of several organizations hold all slots they get, as if no request ended. Returns the slots held and the free ones. */
function hang(organizations: number, endpoints: number) {
  const held = new Map<string, Lane>()
  for (let o = 0; o < organizations; o++) for (let e = 0; e < endpoints; e++) held.set(`${o} ${e}`, lane(`${o}`, `${o} ${e}`))
  for (;;) {
    const free = slots - [...held.values()].reduce((sum, { ownInFlight }) => sum + ownInFlight, 0)
    const shares = shareOut([...held.values()], free)
    if (shares.length === 0) return { lanes: [...held.values()], free }
    for (const { lane: each, quota } of shares)
      held.set(each.endpointId, lane(each.organizationId, each.endpointId, each.ownInFlight + quota))
  }
}

it('one endpoint alone gets half of all slots, one organization three quarters', () => {
  expect(hang(1, 1).lanes.map(({ ownInFlight }) => ownInFlight)).toEqual([80])
  const { free } = hang(1, 49)
  expect(free).toBeGreaterThanOrEqual(slots / 4)
})

it.each([
  [1, 1],
  [1, 4],
  [1, 49],
  [4, 1],
  [10, 5],
  [50, 1],
])(
  'while %i organizations with %i endpoints each hang, one more endpoint of each, and another organization, get a slot at once',
  (o, e) => {
    const { lanes, free } = hang(o, e)
    const neighbours = Array.from({ length: o }, (_, n) => lane(`${n}`, `${n} neighbour`))
    for (const neighbour of [...neighbours, lane('another', 'another 0')]) {
      expect(shareOut([...lanes, neighbour], free).map((share) => share.lane.endpointId)).toEqual([neighbour.endpointId])
    }
  },
)

it('a slot that became free goes to the lane that holds the fewest', () => {
  const lanes = [lane('a', 'slow', 30), lane('a', 'slower', 31), lane('a', 'quick', 1)]
  expect(shareOut(lanes, 30)[0]).toMatchObject({ lane: { endpointId: 'quick' } })
  expect(Math.max(...shareOut(lanes, 30).map(({ lane: each, quota }) => each.ownInFlight + quota))).toBeLessThanOrEqual(31)
})

it('gives no more than there is, than a lane may take, or to a lane with nothing due', () => {
  const some = fc.array(
    fc.record({
      organization: fc.constantFrom('a', 'b', 'c'),
      held: fc.nat(40),
      maxConcurrency: fc.option(fc.integer({ min: 1, max: 50 })),
      isDue: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(some, fc.nat(160), (given, free) => {
      const lanes = given.map(({ organization, held, maxConcurrency, isDue }, n) =>
        lane(organization, String(n), held, { maxConcurrency, nextAt: isDue ? now : null }),
      )
      const shares = shareOut(lanes, free)
      expect(shares.reduce((sum, { quota }) => sum + quota, 0)).toBeLessThanOrEqual(free)
      for (const { lane: each, quota } of shares) {
        expect(each.nextAt).not.toBeNull()
        if (each.maxConcurrency !== null) expect(each.inFlight + quota).toBeLessThanOrEqual(each.maxConcurrency)
      }
      const couldTake = lanes.some((each) => each.nextAt && each.ownInFlight === 0 && lanes.every((other) => other.ownInFlight === 0))
      if (free > 0 && couldTake) expect(shares.length).toBeGreaterThan(0)
    }),
  )
})
