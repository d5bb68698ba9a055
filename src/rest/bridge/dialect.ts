/**
 * The Odoo bridge, as specified in `contracts/odoo-bridge.txt`, routes.md D and decisions.md: what applies to all of its rows. The rows are
 * in routes/, the bodies in bodies.ts. The page at /bridge, which uses them, is in ../page/bridge.
 */

import type { z } from 'zod'
import type { CredentialProblem } from '../../platform/credential.ts'
import { statusOfKind } from '../../platform/errors.ts'
import type { Dialect, Failure } from '../core/index.ts'
import { authenticate, keyPrefix } from './access.ts'
import { errorBody, schemas } from './bodies.ts'
import { callRoutes } from './routes/call.ts'
import { keyRoutes } from './routes/key.ts'
import { speedTestRoutes } from './routes/speed-test.ts'

/** Codes of the contract. All others are those of the domain. */
const codes: Readonly<Record<number, string>> = { 400: 'invalid_request', 500: 'internal_error' }

const credentialCodes: Record<CredentialProblem, string> = {
  missing: 'missing_api_key',
  malformed: 'invalid_api_key',
  unknown: 'invalid_api_key',
  expired: 'key_expired',
  revoked: 'key_revoked',
}

const codeOf = ({ status, code, details }: Failure): string =>
  status === 401 ? (credentialCodes[details?.reason as CredentialProblem] ?? 'invalid_api_key') : (codes[status] ?? code)

const renderError = (failure: Failure): z.output<typeof errorBody.schema> => ({
  success: false,
  data: null,
  error: failure.text,
  code: codeOf(failure),
})

export const bridgeDialect: Dialect = {
  name: 'bridge',
  title: 'Quayside Odoo bridge',
  description: `Call the models of an Odoo server with an API key that begins with \`${keyPrefix}\`, and, as a person who is signed in, manage these keys and measure the latency of Odoo.`,
  prefixes: [''],
  areas: ['/bridge', '/call', '/speed-test'],
  keyPrefix,
  organizationHeader: false,
  routes: [...callRoutes, ...keyRoutes, ...speedTestRoutes],
  authenticate,
  page: () => ({}),
  idempotencyHeaders: ['idempotency-key'],
  status: statusOfKind,
  rateLimits: [{ name: 'bridge', perMinute: 600 }],
  legacyRateLimitHeaders: false,
  renderError,
  schemas,
  errorSchema: errorBody,
}
