import { expect, it } from 'vitest'
import { judge, keptText, maxKeptBytes, maxRetryAfterMs } from '../../../src/domain/webhooks/attempt/model.ts'
import { readRetryAfter } from '../../../src/domain/webhooks/attempt/retry-after.ts'
import type { OutgoingResult } from '../../../src/domain/webhooks/endpoint/ports.ts'

const answer = (status: number, headers: Record<string, string> = {}): OutgoingResult => ({
  type: 'response',
  status,
  headers,
  body: new Uint8Array(),
  durationMs: 1,
})
const answeredAt = new Date('2026-06-01T12:00:00Z')
const verdict = (result: OutgoingResult, { number = 1, scheduleMs = [1_000, 60_000], random = 0 } = {}) =>
  judge({ result, number, scheduleMs, answeredAt, random })

it.each([200, 201, 204, 299])('%i is accepted', (status) => {
  expect(verdict(answer(status))).toEqual({ status: 'DELIVERED', reason: null, retryInMs: null, errorClass: null, disable: null })
})

it.each([199, 300, 301, 302, 307, 400, 404, 500])('%i is a failure and is retried', (status) => {
  expect(verdict(answer(status))).toMatchObject({ status: 'PENDING', errorClass: 'HTTP', retryInMs: 1_000 })
})

it.each(['dns', 'refused', 'timeout', 'tls', 'reset', 'blocked'] as const)(
  'the failure class %s is kept, and the attempt is retried',
  (errorClass) => {
    const failure: OutgoingResult = { type: 'failure', errorClass, message: 'It failed.', durationMs: 1 }
    expect(verdict(failure)).toMatchObject({ status: 'PENDING', errorClass: errorClass.toUpperCase() })
  },
)

it('the schedule determines the delay before each retry, and its end exhausts the delivery', () => {
  expect(verdict(answer(500), { number: 2 })).toMatchObject({ status: 'PENDING', retryInMs: 60_000 })
  expect(verdict(answer(500), { number: 3 })).toMatchObject({
    status: 'EXHAUSTED',
    retryInMs: null,
    reason: expect.stringContaining('3 attempts'),
  })
})

it('jitter is never before the schedule and within 20 % after it', () => {
  for (const random of [0, 0.5, 0.999_999]) {
    const { retryInMs } = verdict(answer(500), { random })
    expect(retryInMs).toBeGreaterThanOrEqual(1_000)
    expect(retryInMs).toBeLessThanOrEqual(1_200)
  }
})

it.each([429, 502, 503, 504])('%i with Retry-After in seconds or as a date in any form is not retried before then', (status) => {
  const forms = ['120', 'Mon, 01 Jun 2026 12:02:00 GMT', 'Monday, 01-Jun-26 12:02:00 GMT', 'Mon Jun  1 12:02:00 2026']
  for (const form of forms) expect(verdict(answer(status, { 'retry-after': form })).retryInMs, form).toBe(120_000)
})

it('Retry-After with a two-digit year refers to the nearer century', () => {
  const ahead = (value: string) => readRetryAfter(value, new Date('2099-12-31T23:00:00Z'))
  expect(ahead('Friday, 01-Jan-00 00:00:00 GMT')).toBe(3_600_000)
  expect(ahead('Thursday, 31-Dec-99 23:30:00 GMT')).toBe(1_800_000)
  expect(readRetryAfter('Sunday, 06-Nov-94 08:49:37 GMT', new Date('2026-06-01T12:00:00Z'))).toBeNull()
})

it.each([
  'Mon, 31 Feb 2027 12:00:00 GMT',
  'Mon, 01 Jun 2027 25:00:00 GMT',
  'Mon, 01 Jun 2027 12:00:00 CET',
  'Mon, 1 Jun 2027 12:00:00 GMT',
  '2027-06-01T12:00:00Z',
  'Mon Jun 1 12:02:00 2027',
])('Retry-After %j is not a date', (value) => {
  expect(readRetryAfter(value, new Date('2026-06-01T12:00:00Z'))).toBeNull()
})

it('Retry-After shorter than the schedule changes nothing', () => {
  expect(verdict(answer(503, { 'retry-after': '1' }), { number: 2 }).retryInMs).toBe(60_000)
})

it('Retry-After of a year is clamped to a day', () => {
  expect(verdict(answer(503, { 'retry-after': String(365 * 86_400) })).retryInMs).toBe(maxRetryAfterMs)
  expect(verdict(answer(503, { 'retry-after': 'Tue, 01 Jun 2027 12:00:00 GMT' })).retryInMs).toBe(maxRetryAfterMs)
})

it.each(['-5', 'soon', '', '1e9', 'Mon, 01 Jun 2026 11:00:00 GMT'])('Retry-After %j is ignored', (text) => {
  expect(verdict(answer(429, { 'retry-after': text })).retryInMs).toBe(1_000)
})

it('Retry-After of another status is ignored', () => {
  expect(verdict(answer(500, { 'retry-after': '120' })).retryInMs).toBe(1_000)
})

it('with at-most-once delivery, a request that may have arrived is not repeated', () => {
  const failed = (errorClass: 'timeout' | 'reset' | 'refused'): OutgoingResult => ({
    type: 'failure',
    errorClass,
    message: 'It failed.',
    durationMs: 1,
  })
  const judged = (result: OutgoingResult, mustNotRepeat: boolean) =>
    judge({ result, number: 1, scheduleMs: [1_000], answeredAt, random: 0, mustNotRepeat }).status
  expect([judged(failed('timeout'), true), judged(failed('reset'), true)]).toEqual(['UNKNOWN', 'UNKNOWN'])
  expect([judged(failed('timeout'), false), judged(failed('refused'), true), judged(answer(500), true)]).toEqual(Array(3).fill('PENDING'))
})

it('abort-message ends the delivery, but not one that was accepted', () => {
  const headers = { 'webhook-delivery': 'abort-message' }
  expect(verdict(answer(500, headers))).toMatchObject({ status: 'ABORTED', retryInMs: null, disable: null })
  expect(verdict(answer(200, headers))).toMatchObject({ status: 'DELIVERED' })
})

it('410 and `webhook-delivery: disable` disable the endpoint and skip the delivery', () => {
  expect(verdict(answer(410))).toMatchObject({ status: 'SKIPPED', disable: expect.stringContaining('410') })
  expect(verdict(answer(500, { 'webhook-delivery': 'disable' }))).toMatchObject({ status: 'SKIPPED', disable: expect.any(String) })
  expect(verdict(answer(200, { 'webhook-delivery': 'disable' }))).toMatchObject({ status: 'DELIVERED', disable: expect.any(String) })
})

it('a response is kept up to 20,000 bytes, and never cut in the middle of a character', () => {
  const kept = keptText(Buffer.from(`a${'€'.repeat(10_000)}`))
  expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(maxKeptBytes)
  expect(kept).toBe(`a${'€'.repeat(6_666)}`)
})

it('a binary response becomes text that the database can store', () => {
  const kept = keptText(Buffer.alloc(64 * 1024, '\0\xff\xfe', 'latin1'))
  expect(kept).not.toContain('\0')
  expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(maxKeptBytes)
  expect(Buffer.from(kept).toString()).toBe(kept)
})
