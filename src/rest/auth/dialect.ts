/**
 * Signing in, `/api/auth`, as specified for oCore in `contracts/routes.md` C and decisions.md. The command line clients of the platform
 * dialect use it too, so it has the alias of that dialect, and errors also carry `detail`.
 */

import type { z } from 'zod'
import { statusOfKind } from '../../platform/errors.ts'
import type { Dialect, Failure } from '../core/index.ts'
import { errorBody, schemas } from './bodies.ts'
import { routes } from './routes.ts'

const codes: Record<number, string> = {
  400: 'validation_error',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  422: 'unprocessable',
  429: 'rate_limited',
  500: 'internal_error',
}

function renderError({ status, code, text, field, details }: Failure): z.output<typeof errorBody.schema> {
  const { retryAfterSeconds } = details ?? {}
  const known = {
    reason: code,
    ...(field === undefined ? {} : { field }),
    ...(typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {}),
  }
  return { error: { code: codes[status] ?? code, message: text, details: known }, detail: text }
}

export const authDialect: Dialect = {
  name: 'auth',
  title: 'Quayside sign-in',
  description:
    'Sign in as a person. The access token authenticates requests to all APIs as `Authorization: Bearer …`, until it expires; the refresh token is then exchanged for new ones. Browsers get both as cookies, which are accepted from pages of this server only. `/api/v1/auth` is an alias of `/api/auth`.',
  prefixes: ['/api/auth', '/api/v1/auth'],
  keyPrefix: 'eyJ',
  organizationHeader: false,
  routes,
  authenticate: () => null,
  page: () => ({}),
  idempotencyHeaders: [],
  status: statusOfKind,
  rateLimits: [{ name: 'auth', perMinute: 300 }],
  legacyRateLimitHeaders: false,
  renderError,
  schemas,
  errorSchema: errorBody,
}
