/** Limits of failed attempts for each client address, such as requests with an invalid credential. Only failures count. */
import { errors } from '../errors.ts'
import { currentOrigin, networkOf } from '../forwarded.ts'
import { perApp } from '../per-app.ts'
import type { App } from '../work.ts'
import { rateLimit } from './limits.ts'

export type AddressPolicy = {
  /** Unique. The name in RATE_LIMITS. */
  name: string
  /** Failures per minute, unless RATE_LIMITS says otherwise. Refilled continuously. */
  perMinute: number
  /** What is counted, for the error: `failed logins`. */
  noun: string
}

/**
 * The address is that of the client on whose behalf the code runs. Work that Quayside does by itself is not limited.
 */
export type AddressLimit = {
  /**
   * Throws `rate_limited` if the address has used up its failures. `repeated`: what failed before is tried again, for which half of them are
   * available, so that a client that goes on with a wrong credential leaves the others to those behind the same address.
   */
  demand(repeated?: boolean): void
  /** Counts a failure. */
  count(): void
}

/** To be called when a door is mounted, so that RATE_LIMITS can name the limit. */
export function limitAddress(app: App, { name, perMinute, noun }: AddressPolicy): AddressLimit {
  const limit = rateLimit(app, { name, perMinute, refill: 'continuous', unit: noun })
  return {
    demand(repeated = false) {
      const principal = presentAddress()
      const retryAfterSeconds = principal === null ? 0 : limit.wait(principal, repeated ? Math.max(1, limit.limit / 2) : 1)
      if (retryAfterSeconds === 0) return
      throw errors.rate_limited({
        text: `At most ${limit.limit} ${noun} per minute are allowed from one address. Retry in ${retryAfterSeconds} s.`,
        details: { limit: name, maximum: limit.limit, retryAfterSeconds },
      })
    },
    count() {
      const principal = presentAddress()
      if (principal !== null) limit.spend(principal, 1)
    },
  }
}

/** Requests with a credential that is not valid. */
export const failedAuthentication = perApp((app) =>
  limitAddress(app, { name: 'authentication', perMinute: 100, noun: 'requests with an invalid credential' }),
)

const presentAddress = (): string | null => {
  const origin = currentOrigin()
  return origin && networkOf(origin.address)
}
