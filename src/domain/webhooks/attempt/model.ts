/** How one try is judged: what becomes of the delivery, and when it is tried again. Pure. */
import type { WebhookErrorClass } from '../../../generated/prisma/client.ts'
import type { OutgoingResult } from '../endpoint/index.ts'

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
  /** Whether nothing may be sent twice, so that an unknown outcome is the end. */
  atMostOnce?: boolean
}

export function judge({ result, number, scheduleMs, answeredAt, random, atMostOnce = false }: Try): Verdict {
  const errorClass = errorClassOf(result)
  const wish = result.type === 'response' ? result.headers['webhook-delivery']?.trim().toLowerCase() : undefined
  const gone = result.type === 'response' && result.status === 410
  const disable = gone ? 'The receiver answered 410 Gone.' : wish === 'disable' ? 'The receiver asked for it.' : null
  const end = (status: Verdict['status'], reason: string | null): Verdict => ({ status, reason, retryInMs: null, errorClass, disable })

  if (errorClass === null) return end('DELIVERED', null)
  if (disable) return end('SKIPPED', `${disable} The endpoint was disabled.`)
  if (wish === 'abort-message') return end('ABORTED', 'The receiver asked to be sent this message no more.')
  if (atMostOnce && mayHaveArrived(result)) return end('UNKNOWN', `${outcomeText(result)} It may have arrived, and is not sent twice.`)
  const delayMs = scheduleMs[number - 1]
  if (delayMs === undefined)
    return end('EXHAUSTED', `${outcomeText(result)} That was the last of ${number} ${number === 1 ? 'try' : 'tries'}.`)
  // Never before the scheduled time, and spread over the 15 % after it, so that messages which failed together don't return together.
  const scheduledMs = Math.round(delayMs * (1 + 0.15 * random))
  return { ...end('PENDING', null), retryInMs: Math.max(scheduledMs, retryAfterMs(result, answeredAt) ?? 0) }
}

const errorClassOf = (result: OutgoingResult): WebhookErrorClass | null => {
  if (result.type === 'failure') return result.errorClass.toUpperCase() as WebhookErrorClass
  return result.status >= 200 && result.status < 300 ? null : 'HTTP'
}

/** The request was or may have been written, and nobody said what became of it. */
const mayHaveArrived = (result: OutgoingResult) =>
  result.type === 'failure' && (result.errorClass === 'timeout' || result.errorClass === 'reset')

const outcomeText = (result: OutgoingResult) => (result.type === 'failure' ? result.message : `The receiver answered ${result.status}.`)

/** What a 429 or 503 asks for, in seconds or as a date; null for none, a time gone by, or garbage. */
function retryAfterMs(result: OutgoingResult, answeredAt: Date): number | null {
  if (result.type !== 'response' || (result.status !== 429 && result.status !== 503)) return null
  const text = result.headers['retry-after']?.trim() ?? ''
  const isDate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1_000 : isDate ? Date.parse(text) - answeredAt.getTime() : Number.NaN
  return ms > 0 ? Math.min(ms, maxRetryAfterMs) : null
}

/** The beginning of an answer as text that the database can hold: no NUL, no broken characters. */
export function keptText(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, maxKeptBytes), { stream: true }).replaceAll('\0', '\u{FFFD}')
  const bytes = Buffer.from(text)
  return bytes.length <= maxKeptBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxKeptBytes), { stream: true })
}
