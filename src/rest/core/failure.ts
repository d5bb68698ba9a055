/** Turns any error into a failure: errors of the domain and of Fastify, outages, and unknown errors, which are logged and masked. */
import { DomainError, errors } from '../../platform/errors.ts'
import { refusalOf } from '../../platform/outage.ts'
import type { IssueReason } from '../../platform/wording.ts'
import type { App } from '../../platform/work.ts'
import type { Dialect, Failure } from './dialect.ts'
import { localize, type Vocabulary } from './vocabulary.ts'

/** Raised by Fastify before a row's handler runs. */
type TransportError = Error & { statusCode: number; code?: string }

const transportTexts: Record<number, { code: string; text: string }> = {
  400: { code: 'invalid_input', text: 'The body is not valid JSON.' },
  405: { code: 'method_not_allowed', text: 'This path does not support the method. The Allow header lists those that it does.' },
  408: { code: 'invalid_input', text: 'The request did not arrive in time.' },
  413: { code: 'payload_too_large', text: 'The payload is too large.' },
  415: { code: 'unsupported_media_type', text: 'The body must be application/json in UTF-8.' },
  431: { code: 'invalid_input', text: 'The headers of the request are too large.' },
}

const isTransportError = (error: unknown): error is TransportError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode in transportTexts

type About = { requestId: string; isReadOnlyKey: boolean }

export function failureOf(app: App, dialect: Dialect, error: unknown, about: About, vocabulary: Vocabulary): Failure {
  if (isTransportError(error)) {
    const { code, text } = error instanceof DomainError ? { code: error.code, text: error.message } : transportTexts[error.statusCode]!
    return { ...about, status: error.statusCode, code, text, field: undefined, problems: [], details: undefined }
  }
  const known = refusalOf(app, error) ?? errors.internal()
  if (known.kind === 'internal') app.log.error({ err: error, requestId: about.requestId }, 'a REST request failed unexpectedly')
  const { code, kind, details } = known
  const issues = issuesOf(known)
  const breaksRule = kind === 'invalid' && issues.length > 0 && issues.every(({ reason }) => reason === 'value')
  const status = dialect.statusOfCode?.[code] ?? dialect.status[breaksRule && dialect.brokenRulesAreUnprocessable ? 'unprocessable' : kind]
  const problems = issues.map(({ field, message, constraint }) => {
    const told = localize(message, field, vocabulary)
    return { field: told.field!, text: told.text, constraint }
  })
  return { ...about, status, code, ...localize(known.message, known.field, vocabulary), problems, details }
}

type Issue = { field: string; message: string; reason: IssueReason; constraint: string }

/** What is wrong with which fields: one issue of an error that names a single field. */
function issuesOf({ code, field, message, details }: DomainError): Issue[] {
  if (Array.isArray(details?.issues)) return details.issues as Issue[]
  if (field === undefined) return []
  const prefix = `${field}: `
  return [
    {
      field,
      message: message.startsWith(prefix) ? message.slice(prefix.length) : message,
      reason: 'value',
      constraint: code === 'invalid_input' ? 'invalid' : code,
    },
  ]
}
