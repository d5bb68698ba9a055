/** How one try is judged: what becomes of the delivery, and when it is tried again. Pure. */
import type { WebhookErrorClass } from '../../../generated/prisma/client.ts'
import type { OutgoingResult } from '../endpoint/index.ts'
import { readRetryAfter } from './retry-after.ts'

export const maxReadBytes = 64 * 1024
export const maxKeptBytes = 20_000
/** No receiver can put a retry off for longer. */
export const maxRetryAfterMs = 24 * 3_600_000

export type Verdict = {
  status: 'DELIVERED' | 'PENDING' | 'EXHAUSTED' | 'ABORTED' | 'SKIPPED' | 'UNKNOWN'
  reason: string | null
  retryInMs: number | null
  errorClass: WebhookErrorClass | null
  /** Why the endpoint is to be disabled; null: it isn't. */
  disable: string | null
}

type Try = {
  result: OutgoingResult
  /** Counts the tries of this run of the schedule from 1, this one included. */
  number: number
  /** Waiting times before the second, third, … try. */
  scheduleMs: readonly number[]
  /** The database's time when the answer was there. */
  answeredAt: Date
  /** 0 to 1. */
  random: number
  /** Whether it was sent and nothing may be sent twice, so that an unknown outcome is the end. */
  mustNotRepeat?: boolean
}

export function judge({ result, number, scheduleMs, answeredAt, random, mustNotRepeat = false }: Try): Verdict {
  const errorClass = errorClassOf(result)
  const wish = result.type === 'response' ? result.headers['webhook-delivery']?.trim().toLowerCase() : undefined
  const gone = result.type === 'response' && result.status === 410
  const disable = gone ? 'The receiver answered 410 Gone.' : wish === 'disable' ? 'The receiver asked to disable the endpoint.' : null
  const end = (status: Verdict['status'], reason: string | null): Verdict => ({ status, reason, retryInMs: null, errorClass, disable })

  if (errorClass === null) return end('DELIVERED', null)
  if (disable) return end('SKIPPED', `${disable} The endpoint was disabled.`)
  if (wish === 'abort-message') return end('ABORTED', 'The receiver asked not to receive this message again.')
  if (mustNotRepeat && isUnknown(result))
    return end('UNKNOWN', `${outcomeText(result)} The message may have arrived and is not sent again.`)
  const delayMs = scheduleMs[number - 1]
  if (delayMs === undefined)
    return end('EXHAUSTED', `${outcomeText(result)} That was the last of ${number} ${number === 1 ? 'attempt' : 'attempts'}.`)
  // Never before the scheduled time, and spread over the 15 % after it, so that messages which failed together don't return together.
  const scheduledMs = Math.round(delayMs * (1 + 0.15 * random))
  return { ...end('PENDING', null), retryInMs: Math.max(scheduledMs, retryAfterMs(result, answeredAt) ?? 0) }
}

const errorClassOf = (result: OutgoingResult): WebhookErrorClass | null => {
  if (result.type === 'failure') return result.errorClass.toUpperCase() as WebhookErrorClass
  return result.status >= 200 && result.status < 300 ? null : 'HTTP'
}

/** Nobody said what became of it. */
const isUnknown = (result: OutgoingResult) =>
  result.type === 'failure' && (result.errorClass === 'timeout' || result.errorClass === 'reset')

const outcomeText = (result: OutgoingResult) => (result.type === 'failure' ? result.message : `The receiver answered ${result.status}.`)

/** Statuses that mean "not now"; of others a Retry-After is not heeded. */
const passing = new Set([429, 502, 503, 504])

function retryAfterMs(result: OutgoingResult, answeredAt: Date): number | null {
  if (result.type !== 'response' || !passing.has(result.status)) return null
  const ms = readRetryAfter(result.headers['retry-after'], answeredAt)
  return ms === null ? null : Math.min(ms, maxRetryAfterMs)
}

/** The beginning of an answer as text that the database can hold: no NUL, no broken characters. */
export function keptText(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, maxKeptBytes), { stream: true }).replaceAll('\0', '\u{FFFD}')
  const bytes = Buffer.from(text)
  return bytes.length <= maxKeptBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxKeptBytes), { stream: true })
}
