/**
 * Limits per minute of callers and client addresses, which hold in all processes together. A request never waits for the database: it is
 * counted in memory (tally.ts), and the counts are shared in batches (settle.ts). What n processes admit can exceed a limit by at most n - 1
 * times what one of them admits between two settlements: a tenth of the limit, and what arrives within 50 ms and the time of one statement;
 * while the database is away, by n - 1 times the limit.
 */
import { perApp } from '../per-app.ts'
import { SettingsError } from '../settings.ts'
import type { App } from '../work.ts'
import { pointsPerMinute, type RateLimitPolicy } from './policy.ts'
import { refillOf } from './refill.ts'
import { createSettlement } from './settle.ts'
import { createSharedClock } from './shared-clock.ts'
import { createTally, type Tally } from './tally.ts'

export { fieldsOf, type RateLimitFields } from './fields.ts'
export type { RateLimitPolicy } from './policy.ts'

/** See `Tally`. */
export type RateLimit = Pick<Tally, 'name' | 'limit' | 'spend' | 'wait' | 'giveBack' | 'standing'>

const limitsOf = perApp((app) => {
  const clock = createSharedClock(app)
  const settlement = createSettlement(app, clock)
  const tallies = new Map<string, Tally>()
  const create = (policy: RateLimitPolicy): Tally => {
    const limit = pointsPerMinute(app.settings, policy)
    return createTally({
      name: policy.name,
      limit,
      refill: refillOf(policy, limit, { own: () => app.clock, shared: clock }),
      onUnsettled: settlement.add,
      onEvicted: settlement.drop,
    })
  }
  return {
    settlement,
    names: () => [...tallies.keys()],
    of(policy: RateLimitPolicy): Tally {
      const tally = tallies.get(policy.name) ?? create(policy)
      tallies.set(policy.name, tally)
      return tally
    },
  }
})

/** The limit that a policy declares. There is one for each name. */
export const rateLimit = (app: App, policy: RateLimitPolicy): RateLimit => limitsOf(app).of(policy)

/** Shares what was used since the last settlement. For tests; happens by itself otherwise. */
export const settleRateLimits = (app: App): Promise<void> => limitsOf(app).settlement.settle()

/** To be called before the database is closed. */
export const stopRateLimits = (app: App): Promise<void> => limitsOf(app).settlement.stop()

/** Throws SettingsError if RATE_LIMITS names a limit that no door has. To be called when all doors are mounted. */
export function demandKnownLimits(app: App): void {
  const known = limitsOf(app).names()
  const unknown = [...app.settings.RATE_LIMITS.keys()].filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new SettingsError(
      `These settings are not valid:\n  RATE_LIMITS: there is no limit named ${unknown.join(' or ')}; there are ${known.sort().join(', ')}`,
    )
}
