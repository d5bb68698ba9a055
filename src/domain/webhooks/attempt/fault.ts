/** Faults of our own: the endpoint isn't charged for them and no try is counted, but they don't go on for ever. Pure. */

import { PortError } from '../../../platform/errors.ts'

/** A fault whose text anybody may read who sees the delivery, as they may that of a PortError; of any other only the log tells. */
export class Fault extends Error {}

const textOf = (error: unknown) =>
  error instanceof Fault || error instanceof PortError ? error.message : 'Quayside could not send it; its log says why.'

const shortestPauseMs = 5_000
const longestPauseMs = 10 * 60_000

type Former = { now: Date; faultSince: Date | null; giveUpAfterMs: number }

/**
 * What becomes of a delivery after a fault: it waits as long as the faults have lasted, within bounds, and is given up when they have
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
