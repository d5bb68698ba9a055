import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isoText } from '../../src/platform/iso-text.ts'

const dayMs = 86_400_000

it('is the text that toISOString returns, for times of one day and of many', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: -1_000_000, max: 10_000_000 }), fc.nat(dayMs - 1))), (times) => {
      const dates = times.flatMap(([day, ms]) => [
        new Date(day * dayMs + ms),
        new Date(day * dayMs + dayMs - 1 - ms),
        new Date(day * dayMs),
      ])
      expect(dates.map(isoText)).toEqual(dates.map((date) => date.toISOString()))
    }),
  ))

it('throws for an invalid date, as toISOString does', () => {
  expect(() => isoText(new Date(Number.NaN))).toThrow(RangeError)
})
