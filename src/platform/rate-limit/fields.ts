/** Header fields that tell a client about a limit: those of draft-ietf-httpapi-ratelimit-headers, as structured fields (RFC 9651). */
import { minuteMs, type RateLimitPolicy } from './policy.ts'
import type { Tally } from './tally.ts'

export type RateLimitFields = {
  'ratelimit-policy': string
  ratelimit: string
}

export type FieldsOf = (principal: string) => RateLimitFields

/** A unit that is not `requests`, the default, is named. */
export function fieldsOf({ name, unit }: RateLimitPolicy, { limit, standing }: Pick<Tally, 'limit' | 'standing'>): FieldsOf {
  const policy = `"${name}";q=${limit};w=${minuteMs / 1_000}${unit === 'requests' ? '' : `;qu="${unit}"`}`
  return (principal) => {
    const { remaining, resetSeconds } = standing(principal)
    return { 'ratelimit-policy': policy, ratelimit: `"${name}";r=${remaining};t=${resetSeconds}` }
  }
}
