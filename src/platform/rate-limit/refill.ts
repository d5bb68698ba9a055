/** The two ways in which used points become available again. */
import type { Clock } from '../clock.ts'
import { minuteMs, type RateLimitPolicy } from './policy.ts'
import type { SharedClock } from './shared-clock.ts'

/** What a principal has used. */
export type Count = {
  /** Points used by this process, and by the others as of the last settlement. */
  used: number
  /** The time for which `used` holds: of `elapsedMs`, or the number of a minute. */
  at: number
  /** Points of this process that the others don't know of. */
  unsettled: number
}

export const newCount = (): Count => ({ used: 0, at: Number.NEGATIVE_INFINITY, unsettled: 0 })

export type Refill = {
  /** Points per millisecond; 0 by the minute. */
  perMs: number
  /** Brings a count up to date. */
  renew(count: Count): void
  /** Takes over what all processes have used, as of a time of the database. The count is up to date. */
  learn(count: Count, points: number, sinceMs: number): void
  /** Time until this many points of an up-to-date count are available again, in milliseconds. */
  waitMs(count: Count, points: number): number
}

export const refillOf = (policy: RateLimitPolicy, limit: number, clocks: { own: () => Clock; shared: SharedClock }): Refill =>
  policy.refill === 'continuous' ? continuously(limit / minuteMs, clocks.own) : byMinute(clocks.shared)

function continuously(perMs: number, clock: () => Clock): Refill {
  return {
    perMs,
    renew(count) {
      const now = clock().elapsedMs()
      count.used = Math.max(0, count.used - (now - count.at) * perMs)
      if (count.unsettled > count.used) count.unsettled = count.used
      count.at = now
    },
    // Never less than is known here: the database's clock may have been set forward.
    learn(count, points) {
      count.used = Math.max(count.used, points + count.unsettled)
    },
    waitMs: (_count, points) => points / perMs,
  }
}

function byMinute(clock: SharedClock): Refill {
  const begin = (count: Count, minute: number) => {
    count.at = minute
    count.used = 0
  }
  return {
    perMs: 0,
    renew(count) {
      const minute = Math.floor(clock.nowMs() / minuteMs)
      // The minute before is the same one: at its end, estimates of the time differ.
      if (minute <= count.at && minute >= count.at - 1) return
      begin(count, minute)
      count.unsettled = 0
    },
    learn(count, points, sinceMs) {
      const minute = Math.floor(sinceMs / minuteMs)
      if (minute > count.at) begin(count, minute)
      if (minute === count.at) count.used = Math.max(count.used, points + count.unsettled)
    },
    waitMs: (count) => (count.at + 1) * minuteMs - clock.nowMs(),
  }
}
