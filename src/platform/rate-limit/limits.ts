/** The limits of a process. */
import { perApp } from '../per-app.ts'
import type { App } from '../work.ts'
import { pointsPerMinute, type RateLimitPolicy } from './policy.ts'
import { refillOf } from './refill.ts'
import { createSettlement } from './settle.ts'
import { createSharedClock } from './shared-clock.ts'
import { createTally, type Tally } from './tally.ts'

/** See `Tally`. */
export type RateLimit = Pick<Tally, 'name' | 'limit' | 'spend' | 'wait' | 'standing'>

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

/** Names of all limits so far. */
export const rateLimitNames = (app: App): string[] => limitsOf(app).names()

/** To be called before the database is closed. */
export const stopRateLimits = (app: App): Promise<void> => limitsOf(app).settlement.stop()
