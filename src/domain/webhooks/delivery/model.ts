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
    /** A former claimant may have sent it already, and the endpoint wants nothing twice. */
    wasInDoubt: boolean
    /** Who may have tried it and left no outcome; null: nobody. */
    lostBy: string | null
  }

/** How a delivery goes on; written only while the claim's epoch is the delivery's. */
export type Settlement = Pick<WebhookDelivery, 'messageId' | 'endpointId' | 'leaseEpoch' | 'status' | 'reason' | 'attemptCount'> & {
  /** With PENDING: how long after now the next try is due. */
  retryInMs: number | null
  /** When the claimed try was due; another time by now means that somebody asked for one more. */
  dueAt: Date | null
}

/** An endpoint that something waits for, with all that decides whether a worker may take some of it now. */
export type Lane = Pick<WebhookEndpoint, 'organizationId' | 'rateLimitPerSecond' | 'maxConcurrency' | 'ordered' | 'atMostOnce'> &
  Pick<WebhookLane, 'rateUsedUntil' | 'breakerUntil'> & {
    endpointId: string
    /** Null: the endpoint is gone. */
    exists: boolean
    now: Date
    /** When its next free delivery is due. */
    nextAt: Date | null
    /** Claims on it, of all workers and of this one. */
    inFlight: number
    ownInFlight: number
    /** Other workers with claims on it, and when the first of those is over, unless it is renewed; null: none. */
    others: string[] | null
    othersEndAt: Date | null
  }

/** Limits that only hold when one claimant at a time looks at them. */
export const isGuarded = (lane: Lane): boolean =>
  lane.rateLimitPerSecond !== null || lane.maxConcurrency !== null || lane.ordered || lane.breakerUntil !== null

/** How many may be taken at once after a pause; so many more than the rate a receiver may see within any second. */
const burstOf = (ratePerSecond: number) => Math.max(1, Math.floor(ratePerSecond / 10))

/** When the lane has something to give, as far as can be said now; null: not before something that is in flight has ended. */
export function openAt(lane: Lane): Date | null {
  if (lane.nextAt === null || allowanceByFlight(lane) === 0) return null
  const times = [lane.nextAt.getTime()]
  if (lane.breakerUntil) times.push(lane.breakerUntil.getTime())
  if (lane.rateLimitPerSecond && lane.rateUsedUntil) times.push(lane.rateUsedUntil.getTime())
  return new Date(Math.max(...times))
}

/** When others that hold it up are over, at the latest; null when nobody else does. */
export const freedAt = (lane: Lane): Date | null => (lane.nextAt !== null && allowanceByFlight(lane) === 0 ? lane.othersEndAt : null)

const allowanceByFlight = ({ ordered, breakerUntil, maxConcurrency, inFlight }: Lane): number => {
  if (ordered || breakerUntil) return inFlight === 0 ? 1 : 0
  return maxConcurrency === null ? Number.POSITIVE_INFINITY : Math.max(0, maxConcurrency - inFlight)
}

/** How many deliveries of the lane may be claimed now. */
export function allowanceOf(lane: Lane): number {
  const opens = openAt(lane)
  if (opens === null || opens > lane.now) return 0
  return Math.min(allowanceByFlight(lane), allowanceByRate(lane))
}

function allowanceByRate({ rateLimitPerSecond: rate, rateUsedUntil, now }: Lane): number {
  if (rate === null) return Number.POSITIVE_INFINITY
  if (rateUsedUntil === null) return burstOf(rate)
  return Math.min(burstOf(rate), 1 + Math.floor(((now.getTime() - rateUsedUntil.getTime()) * rate) / 1_000))
}

/** Up to when the rate is used up once so many more are taken. */
export function rateUsedAfter({ rateLimitPerSecond: rate, rateUsedUntil, now }: Lane, taken: number): Date | null {
  if (rate === null || taken === 0) return rateUsedUntil
  // What was not used stays free up to the burst, and no longer.
  const earliest = now.getTime() - ((burstOf(rate) - 1) * 1_000) / rate
  return new Date(Math.ceil(Math.max(rateUsedUntil?.getTime() ?? 0, earliest) + (taken * 1_000) / rate))
}
