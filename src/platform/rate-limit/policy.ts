/** What a limit is. Doors declare theirs; RATE_LIMITS changes the numbers. */
import type { Settings } from '../settings.ts'

export type RateLimitPolicy = {
  /** Unique. The name in RATE_LIMITS, in the headers and in the table. */
  name: string
  /** Points per minute, unless RATE_LIMITS says otherwise. */
  perMinute: number
  /** By the minute of the database's clock, at whose end all points are available again, or refilled continuously. */
  refill: 'by_minute' | 'continuous'
  /** What a point is, for the headers. */
  unit: string
}

export const pointsPerMinute = ({ RATE_LIMITS }: Pick<Settings, 'RATE_LIMITS'>, { name, perMinute }: RateLimitPolicy): number =>
  RATE_LIMITS.get(name) ?? perMinute

export const minuteMs = 60_000
