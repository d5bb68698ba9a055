/** The requests per minute that a dialect admits of one caller, and the headers that say how many are left. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Caller, principalOf } from '../../platform/access.ts'
import { errors } from '../../platform/errors.ts'
import { networkOf } from '../../platform/forwarded.ts'
import { fieldsOf, type RateLimitPolicy, rateLimit } from '../../platform/rate-limit/index.ts'
import type { App } from '../../platform/work.ts'
import type { Dialect, RequestLimit } from './dialect.ts'

/** Counts a request, by a caller with this credential. Throws `rate_limited`. The headers are sent with any answer. */
export type CountRequest = (request: FastifyRequest, reply: FastifyReply, by?: { caller: Caller; credential: string }) => void

export function createRequestLimit(app: App, { name, rateLimits, legacyRateLimitHeaders }: Dialect): CountRequest {
  const limits = rateLimits.map((declared) => {
    const limit = rateLimit(app, policyOf(declared))
    return { declared, limit, fields: fieldsOf(policyOf(declared), limit) }
  })
  const limitOf = (credential: string) => {
    const found = limits.find(({ declared: { keyPrefix = '' } }) => credential.startsWith(keyPrefix))
    if (!found) throw new Error(`the dialect ${name} has no rate limit for one of its requests`)
    return found
  }
  return (request, reply, by) => {
    const { limit, fields } = limitOf(by?.credential ?? '')
    const principal = by ? principalOf(by.caller) : networkOf(request.ip)
    const retryAfterSeconds = limit.spend(principal, 1)
    reply.headers(fields(principal))
    if (legacyRateLimitHeaders) {
      const { remaining } = limit.standing(principal)
      reply.headers({ 'x-ratelimit-limit': limit.limit, 'x-ratelimit-remaining': remaining, 'x-ratelimit-window': 60 })
    }
    if (retryAfterSeconds === 0) return
    throw errors.rate_limited({
      text: `At most ${limit.limit} requests per minute are allowed. Retry in ${retryAfterSeconds} s.`,
      details: { limit: 'requestsPerMinute', maximum: limit.limit, retryAfterSeconds },
    })
  }
}

const policyOf = ({ name, perMinute }: RequestLimit): RateLimitPolicy => ({ name, perMinute, refill: 'by_minute', unit: 'requests' })
