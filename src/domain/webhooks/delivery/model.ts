import type { WebhookDelivery, WebhookEndpoint, WebhookLane } from '../../../generated/prisma/client.ts'
import type { Claimed } from '../../../platform/claim.ts'
import type { Message } from '../message/index.ts'

/** Wake-up topic of deliveries that may be due. */
export const deliveriesTopic = 'webhook deliveries'

/** A delivery as the API shows it. */
export type ShownDelivery = Pick<WebhookDelivery, 'endpointId' | 'status' | 'reason' | 'attemptCount' | 'nextAttemptAt'>

/** A delivery within the row of its message, as JSON. */
export type ListedDelivery = Omit<ShownDelivery, 'nextAttemptAt'> & { nextAttemptAt: string | null }

/** A message with its deliveries, read by the same statement. Absent if they have not been read. */
export type MessageWithDeliveries = Message & { deliveries?: ListedDelivery[] }

export type ClaimedDelivery = Claimed &
  Omit<WebhookDelivery, 'leaseEpoch' | 'leaseEnded'> & {
    /** Whether a former claimant may have sent it already and the endpoint requires at-most-once delivery. */
    wasInDoubt: boolean
    /** Worker that may have attempted it without recording an outcome. Null means none. */
    lostBy: string | null
  }

/** Outcome of a claim. Written only if the claim's lease epoch is still that of the delivery. */
export type Settlement = Pick<WebhookDelivery, 'messageId' | 'endpointId' | 'leaseEpoch' | 'status' | 'reason' | 'attemptCount'> & {
  /** With PENDING, time from now until the next attempt is due. */
  retryInMs: number | null
  /** Time when the claimed attempt was due. If the delivery's due time differs by now, a resend was requested. */
  dueAt: Date | null
}

/** An endpoint with pending deliveries, and everything that determines how many of them a worker may claim now. */
export type Lane = Pick<WebhookEndpoint, 'organizationId' | 'rateLimitPerSecond' | 'maxConcurrency' | 'ordered' | 'atMostOnce'> &
  Pick<WebhookLane, 'rateUsedUntil' | 'breakerUntil'> & {
    endpointId: string
    /** Whether the endpoint still exists. */
    exists: boolean
    now: Date
    /** Due time of the next delivery that is not claimed. */
    nextAt: Date | null
    /** If that time has passed, the due time of the first such delivery that is not due yet. Not for an ordered lane. */
    laterAt: Date | null
    /** Number of claimed deliveries of all workers. Counted only if it limits the lane. */
    inFlight: number
    /** Number of deliveries that this worker is working on. */
    ownInFlight: number
    /** Other workers with counted claims, and when the first of these claims expires unless it is renewed. Null means none. */
    others: string[] | null
    othersEndAt: Date | null
  }

/** Whether the lane has limits that can be enforced only if workers claim from it one at a time. */
export const isGuarded = (lane: Lane): boolean =>
  lane.rateLimitPerSecond !== null || lane.maxConcurrency !== null || lane.ordered || lane.breakerUntil !== null

/** Burst after a pause: the number of requests by which a receiver may see the rate exceeded within any second. */
const burstOf = (ratePerSecond: number) => Math.max(1, Math.floor(ratePerSecond / 10))

/** Earliest time at which a delivery of the lane can be claimed. Null means not before a delivery in flight has settled. */
export function openAt(lane: Lane): Date | null {
  if (lane.nextAt === null || allowanceByConcurrency(lane) === 0) return null
  const times = [lane.nextAt.getTime()]
  if (lane.breakerUntil) times.push(lane.breakerUntil.getTime())
  if (lane.rateLimitPerSecond && lane.rateUsedUntil) times.push(lane.rateUsedUntil.getTime())
  return new Date(Math.max(...times))
}

/** Time when the first claim of another worker that blocks the lane expires. Null if no other worker blocks it. */
export const freedAt = (lane: Lane): Date | null => (lane.nextAt !== null && allowanceByConcurrency(lane) === 0 ? lane.othersEndAt : null)

const allowanceByConcurrency = ({ ordered, breakerUntil, maxConcurrency, inFlight }: Lane): number => {
  if (ordered || breakerUntil) return inFlight === 0 ? 1 : 0
  return maxConcurrency === null ? Number.POSITIVE_INFINITY : Math.max(0, maxConcurrency - inFlight)
}

/** Number of deliveries of the lane that may be claimed now. */
export function allowanceOf(lane: Lane): number {
  const opensAt = openAt(lane)
  if (opensAt === null || opensAt > lane.now) return 0
  return Math.min(allowanceByConcurrency(lane), allowanceByRate(lane))
}

function allowanceByRate({ rateLimitPerSecond: rate, rateUsedUntil, now }: Lane): number {
  if (rate === null) return Number.POSITIVE_INFINITY
  if (rateUsedUntil === null) return burstOf(rate)
  return Math.min(burstOf(rate), 1 + Math.floor(((now.getTime() - rateUsedUntil.getTime()) * rate) / 1_000))
}

/** Time until which the rate is used up after `taken` more deliveries. */
export function rateUsedAfter({ rateLimitPerSecond: rate, rateUsedUntil, now }: Lane, taken: number): Date | null {
  if (rate === null || taken === 0) return rateUsedUntil
  // Unused capacity accumulates only up to the burst.
  const earliest = now.getTime() - ((burstOf(rate) - 1) * 1_000) / rate
  return new Date(Math.ceil(Math.max(rateUsedUntil?.getTime() ?? 0, earliest) + (taken * 1_000) / rate))
}
