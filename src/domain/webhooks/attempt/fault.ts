/** Local faults. They are not charged to the endpoint or counted as attempts, but the delivery is given up eventually. Pure. */

import { PortError } from '../../../platform/errors.ts'

/** A fault whose message is shown with the delivery, as that of a PortError is. Other errors are shown only in the log. */
export class Fault extends Error {}

const textOf = (error: unknown) =>
  error instanceof Fault || error instanceof PortError
    ? error.message
    : 'Quayside could not send the message. See the server log for the cause.'

const shortestPauseMs = 5_000
const longestPauseMs = 10 * 60_000

type Former = { now: Date; faultSince: Date | null; giveUpAfterMs: number }

/**
 * What happens to a delivery after a fault: it waits for as long as the faults have lasted, within bounds, and ends when they have
 * lasted `giveUpAfterMs`.
 */
export function judgeFault(error: unknown, { now, faultSince, giveUpAfterMs }: Former): { reason: string; retryInMs: number | null } {
  const since = faultSince ?? now
  const lastedMs = now.getTime() - since.getTime()
  if (faultSince !== null && lastedMs >= giveUpAfterMs)
    return { reason: `Given up after waiting since ${since.toISOString()}: ${textOf(error)}`, retryInMs: null }
  return {
    reason: `Waiting since ${since.toISOString()}: ${textOf(error)}`,
    retryInMs: Math.min(Math.max(lastedMs, shortestPauseMs), longestPauseMs),
  }
}
