/**
 * What a key may ask for over time: points of cost, as limits.ts counts them, that come back evenly. Each process counts for itself,
 * so that no operation waits for a shared count; the budget keeps one key from taking a process from the others.
 */
import { type Caller, principalOf } from '../platform/access.ts'
import { type DomainError, errors } from '../platform/errors.ts'
import type { App } from '../platform/work.ts'

/** 150 of the largest operations, or 5,000 commands a second. */
export const pointsAMinute = 3_000_000
const pointsAMs = pointsAMinute / 60_000
const principalsMost = 10_000

export type Budget = {
  /** Takes the points, or says when they will be there. */
  spend(caller: Caller, points: number): DomainError | null
}

export function createBudget(app: Pick<App, 'clock'>): Budget {
  const spent = new Map<string, { points: number; atMs: number }>()
  return {
    spend(caller, points) {
      const atMs = app.clock.elapsedMs()
      const principal = principalOf(caller)
      const last = spent.get(principal) ?? { points: 0, atMs }
      const used = Math.max(0, last.points - (atMs - last.atMs) * pointsAMs) + points
      if (used > pointsAMinute) return usedUp(Math.ceil((used - pointsAMinute) / pointsAMs / 1_000))
      if (spent.size >= principalsMost) spent.clear()
      spent.set(principal, { points: used, atMs })
      return null
    },
  }
}

const usedUp = (retryAfterSeconds: number): DomainError =>
  errors.rate_limited({
    text: `At most ${pointsAMinute} points of cost per minute are allowed.`,
    details: { limit: 'costAMinute', maximum: pointsAMinute, retryAfterSeconds },
  })
