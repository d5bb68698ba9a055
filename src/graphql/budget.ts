/** The cost budget of each caller: points of cost, as computed by limits.ts, that are refilled continuously. */
import { type Caller, principalOf } from '../platform/access.ts'
import { type DomainError, errors } from '../platform/errors.ts'
import { fieldsOf, type RateLimitFields, type RateLimitPolicy, rateLimit } from '../platform/rate-limit/index.ts'
import type { App } from '../platform/work.ts'

/** 150 operations of maximum cost per minute, or 5,000 commands per second. */
export const costPolicy: RateLimitPolicy = { name: 'graphql', perMinute: 3_000_000, refill: 'continuous', unit: 'points' }

export type Budget = {
  /** Deducts the points. Returns `rate_limited` with the time to wait if there are too few. */
  spend(caller: Caller, points: number): DomainError | null
  /** The header fields about the budget. Null while less than a quarter is used, because they take 1 µs. */
  fields(caller: Caller): RateLimitFields | null
}

export function createBudget(app: App): Budget {
  const budget = rateLimit(app, costPolicy)
  const fields = fieldsOf(costPolicy, budget)
  const rest = budget.limit * (3 / 4)
  // Composing a text and hashing it takes most of the time of a look-up.
  const principals = new WeakMap<Caller, string>()
  const knownPrincipal = (caller: Caller): string => {
    const known = principals.get(caller)
    if (known !== undefined) return known
    const principal = principalOf(caller)
    principals.set(caller, principal)
    return principal
  }
  return {
    spend(caller, points) {
      const retryAfterSeconds = budget.spend(knownPrincipal(caller), points)
      return retryAfterSeconds === 0 ? null : usedUp(budget.limit, retryAfterSeconds)
    },
    fields(caller) {
      const principal = knownPrincipal(caller)
      return budget.wait(principal, rest) === 0 ? null : fields(principal)
    },
  }
}

const usedUp = (maximum: number, retryAfterSeconds: number): DomainError =>
  errors.rate_limited({
    text: `At most ${maximum} points of cost per minute are allowed.`,
    details: { limit: 'costAMinute', maximum, retryAfterSeconds },
  })
