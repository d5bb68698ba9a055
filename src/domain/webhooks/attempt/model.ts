/** Rules that decide from the result of an attempt how its delivery continues and when it is retried. Pure. */
import type { WebhookErrorClass } from '../../../generated/prisma/client.ts'
import type { OutgoingResult } from '../endpoint/index.ts'
import { readRetryAfter } from './retry-after.ts'

export const maxReadBytes = 64 * 1024
export const maxKeptBytes = 20_000
/** Maximum time by which a receiver can delay a retry. */
export const maxRetryAfterMs = 24 * 3_600_000

export type Verdict = {
  status: 'DELIVERED' | 'PENDING' | 'EXHAUSTED' | 'ABORTED' | 'SKIPPED' | 'UNKNOWN'
  reason: string | null
  retryInMs: number | null
  errorClass: WebhookErrorClass | null
  /** Reason to disable the endpoint. Null means that it stays enabled. */
  disable: string | null
}

type JudgedAttempt = {
  result: OutgoingResult
  /** Number of this attempt within the current run of the schedule, starting at 1. */
  number: number
  /** Delays before the second, third, … attempt. */
  scheduleMs: readonly number[]
  /** Database time at which the response was complete. */
  answeredAt: Date
  /** Random number from 0 to 1 for the jitter. */
  random: number
  /** Whether the request was sent and must not be sent twice, so that an unknown outcome is final. */
  mustNotRepeat?: boolean
}

export function judge({ result, number, scheduleMs, answeredAt, random, mustNotRepeat = false }: JudgedAttempt): Verdict {
  const errorClass = errorClassOf(result)
  const directive = result.type === 'response' ? result.headers['webhook-delivery']?.trim().toLowerCase() : undefined
  const gone = result.type === 'response' && result.status === 410
  const disable = gone ? 'The receiver answered 410 Gone.' : directive === 'disable' ? 'The receiver asked to disable the endpoint.' : null
  const end = (status: Verdict['status'], reason: string | null): Verdict => ({ status, reason, retryInMs: null, errorClass, disable })

  if (errorClass === null) return end('DELIVERED', null)
  if (disable) return end('SKIPPED', `${disable} The endpoint was disabled.`)
  if (directive === 'abort-message') return end('ABORTED', 'The receiver asked not to receive this message again.')
  if (mustNotRepeat && isUnknown(result))
    return end('UNKNOWN', `${outcomeText(result)} The message may have arrived and is not sent again.`)
  const delayMs = scheduleMs[number - 1]
  if (delayMs === undefined)
    return end('EXHAUSTED', `${outcomeText(result)} That was the last of ${number} ${number === 1 ? 'attempt' : 'attempts'}.`)
  // Never before the scheduled time, but spread over the 15 % after it, so that messages which failed together are not retried together.
  const scheduledMs = Math.round(delayMs * (1 + 0.15 * random))
  return { ...end('PENDING', null), retryInMs: Math.max(scheduledMs, retryAfterMs(result, answeredAt) ?? 0) }
}

const errorClassOf = (result: OutgoingResult): WebhookErrorClass | null => {
  if (result.type === 'failure') return result.errorClass.toUpperCase() as WebhookErrorClass
  return result.status >= 200 && result.status < 300 ? null : 'HTTP'
}

/** Whether the request may have arrived. */
const isUnknown = (result: OutgoingResult) =>
  result.type === 'failure' && (result.errorClass === 'timeout' || result.errorClass === 'reset')

const outcomeText = (result: OutgoingResult) => (result.type === 'failure' ? result.message : `The receiver answered ${result.status}.`)

/** Statuses of temporary conditions. With other statuses, Retry-After is ignored. */
const temporaryStatuses = new Set([429, 502, 503, 504])

function retryAfterMs(result: OutgoingResult, answeredAt: Date): number | null {
  if (result.type !== 'response' || !temporaryStatuses.has(result.status)) return null
  const ms = readRetryAfter(result.headers['retry-after'], answeredAt)
  return ms === null ? null : Math.min(ms, maxRetryAfterMs)
}

/** The beginning of a response body as text that the database can store: without NUL and incomplete characters. */
export function keptText(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, maxKeptBytes), { stream: true }).replaceAll('\0', '\u{FFFD}')
  const bytes = Buffer.from(text)
  return bytes.length <= maxKeptBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxKeptBytes), { stream: true })
}
