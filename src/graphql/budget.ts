/**
 * Rate limit per caller: points of cost, as computed by limits.ts, that are refilled continuously. Each process counts separately, so that no
 * operation waits for a shared counter; the limit keeps one caller from monopolizing a process.
 */
import { type Caller, principalOf } from '../platform/access.ts'
import { type DomainError, errors } from '../platform/errors.ts'
import type { App } from '../platform/work.ts'

/** 150 operations of maximum cost per minute, or 5,000 commands per second. */
export const pointsPerMinute = 3_000_000
const pointsPerMs = pointsPerMinute / 60_000
const maxPrincipals = 10_000

export type Budget = {
  /** Deducts the points. Returns `rate_limited` with the time to wait if there are too few. */
  spend(caller: Caller, points: number): DomainError | null
}

export function createBudget(app: Pick<App, 'clock'>): Budget {
  const spent = new Map<string, { points: number; atMs: number }>()
  return {
    spend(caller, points) {
      const atMs = app.clock.elapsedMs()
      const principal = principalOf(caller)
      const last = spent.get(principal) ?? { points: 0, atMs }
      const used = Math.max(0, last.points - (atMs - last.atMs) * pointsPerMs) + points
      if (used > pointsPerMinute) return usedUp(Math.ceil((used - pointsPerMinute) / pointsPerMs / 1_000))
      if (spent.size >= maxPrincipals) spent.clear()
      spent.set(principal, { points: used, atMs })
      return null
    },
  }
}

const usedUp = (retryAfterSeconds: number): DomainError =>
  errors.rate_limited({
    text: `At most ${pointsPerMinute} points of cost per minute are allowed.`,
    details: { limit: 'costAMinute', maximum: pointsPerMinute, retryAfterSeconds },
  })
