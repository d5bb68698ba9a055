/**
 * Limits per minute of callers and client addresses, which hold in all processes together. A request never waits for the database: it is
 * counted in memory (tally.ts), and the counts are shared in batches (settle.ts). What n processes admit can exceed a limit by at most n - 1
 * times what one of them admits between two settlements: a tenth of the limit, and what arrives within 50 ms and the time of one statement;
 * while the database is away, by n - 1 times the limit.
 */
import { SettingsError } from '../settings.ts'
import type { App } from '../work.ts'
import { failedAuthentication } from './address.ts'
import { rateLimitNames } from './limits.ts'

export { type AddressLimit, type AddressPolicy, failedAuthentication, limitAddress } from './address.ts'
export { fieldsOf, type RateLimitFields } from './fields.ts'
export { type RateLimit, rateLimit, settleRateLimits, stopRateLimits } from './limits.ts'
export type { RateLimitPolicy } from './policy.ts'

/** Throws SettingsError if RATE_LIMITS names a limit that no door has. To be called when all doors are mounted. */
export function demandKnownLimits(app: App): void {
  failedAuthentication(app)
  const known = rateLimitNames(app)
  const unknown = [...app.settings.RATE_LIMITS.keys()].filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new SettingsError(
      `These settings are not valid:\n  RATE_LIMITS: there is no limit named ${unknown.join(' or ')}; there are ${known.sort().join(', ')}`,
    )
}
