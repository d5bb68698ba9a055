/** The check that every REST test relies on finds what the document does not declare. */
import { expect, it } from 'vitest'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { createAnswerCheck } from '../answer-check.ts'

const check = createAnswerCheck([platformDialect])
const headers = { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'x' }
const tenant = { service_count: 1, domain_count: 0, sent_today: 0, daily_limit: 5, sent_this_month: 0 }

const answer = (change: { method?: string; url?: string; status?: number; headers?: object; body?: object | null } = {}) => {
  const { method = 'GET', url = '/api/email/tenant', status = 200, body = tenant } = change
  const text = body === null ? '' : JSON.stringify(body)
  return () => check({ method, url, headers: {} }, { status, headers: { ...headers, ...change.headers }, text })
}

it('an answer that the document declares passes', () => {
  expect(answer()).not.toThrow()
  expect(answer({ url: '/api/v1/email/tenant/?x=1' })).not.toThrow()
  expect(answer({ status: 404, body: { detail: 'x' } })).not.toThrow()
  expect(answer({ url: '/api/nope', status: 404, body: { detail: 'x' } })).not.toThrow()
  expect(answer({ url: '/graphql', body: { whatever: 1 } })).not.toThrow()
})

it.each([
  ['another status', { status: 202 }, 'answered 202: declared are 200'],
  ['a type that is not JSON', { headers: { 'content-type': 'text/plain' } }, 'the type is text/plain'],
  ['a missing field', { body: { ...tenant, sent_today: undefined } }, "must have required property 'sent_today'"],
  ['a field of another type', { body: { ...tenant, sent_today: null } }, '/sent_today must be integer'],
  ['a field that is not declared', { body: { ...tenant, more: 1 } }, 'must NOT have additional properties (more)'],
  ['a number out of bounds', { body: { ...tenant, sent_today: -1 } }, '/sent_today must be >= 0'],
  ['an error in the form of another dialect', { status: 404, body: { error: 'x' } }, "must have required property 'detail'"],
  ['the same for an unknown path', { url: '/api/nope', status: 404, body: { error: 'x' } }, "must have required property 'detail'"],
  ['no request ID', { headers: { 'x-request-id': undefined } }, 'X-Request-Id is missing'],
  ['a body where none is declared', { method: 'DELETE', url: '/api/redis/1', status: 204 }, 'no body is declared'],
  ['no body where one is declared', { body: null }, 'JSON'],
])('%s fails', (_title, change, problem) => {
  expect(answer(change)).toThrow(problem)
})
