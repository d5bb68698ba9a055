/** Turns any error into a failure: errors of the domain and of Fastify, outages, and unknown errors, which are logged and masked. */
import { errors } from '../../platform/errors.ts'
import { refusalOf } from '../../platform/outage.ts'
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

export function failureOf(app: App, dialect: Dialect, error: unknown, requestId: string, vocabulary: Vocabulary): Failure {
  if (isTransportError(error)) {
    return { status: error.statusCode, ...transportTexts[error.statusCode]!, field: undefined, details: undefined, requestId }
  }
  const known = refusalOf(app, error) ?? errors.internal()
  if (known.kind === 'internal') app.log.error({ err: error, requestId }, 'a REST request failed unexpectedly')
  const { code, kind, details } = known
  return { status: dialect.status[kind], code, ...localize(known.message, known.field, vocabulary), details, requestId }
}
