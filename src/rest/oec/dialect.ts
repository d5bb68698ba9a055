/**
 * The oec.sh Public API v1, `/api/public/v1`, as specified in `contracts/oec-public-api-*.txt` and decisions.md: what applies to all of its
 * rows. The rows are in routes/, the words in vocabulary.ts, the bodies in bodies.ts, the errors in error.ts.
 */

import { z } from 'zod'
import { statusOfKind } from '../../platform/errors.ts'
import type { Dialect } from '../core/index.ts'
import { wholeNumber } from '../core/index.ts'
import { authenticate, fullAccessKeyPrefix, keyPrefix, readOnlyKeyPrefix } from './access.ts'
import { apiKeyBodies } from './api-key-bodies.ts'
import { bodies } from './bodies.ts'
import { errorBody, renderError } from './error.ts'
import { defaultPageSize, prefix } from './field.ts'
import { actionRoutes } from './routes/action.ts'
import { apiKeyRoutes } from './routes/api-key.ts'
import { environmentRoutes } from './routes/environment.ts'
import { projectRoutes } from './routes/project.ts'
import { taskRoutes } from './routes/task.ts'
import { webhookRoutes } from './routes/webhook.ts'
import { taskBodies } from './task-bodies.ts'
import { webhookBodies } from './webhook-bodies.ts'

export const oecDialect: Dialect = {
  name: 'oec',
  title: 'Quayside Public API v1',
  description:
    'Read projects and environments, deploy, start, stop and restart environments, manage webhooks, and list and revoke API keys. Authenticate with an API key, as `Authorization: Bearer oec_live_…` or `X-API-Key`. Keys that begin with `oec_live_ro_` only read, 120 requests per minute; keys that begin with `oec_live_rw_` have full access, 20 requests per minute. The header `X-API-Key-Id` of every response contains the ID of the key.',
  prefixes: [prefix],
  keyPrefix,
  keysOnly: true,
  readOnlyKeyPrefix,
  keyIdHeader: 'X-API-Key-Id',
  organizationHeader: false,
  routes: [...projectRoutes, ...environmentRoutes, ...actionRoutes, ...taskRoutes, ...webhookRoutes, ...apiKeyRoutes],
  authenticate,
  page: (size) => ({
    page: { to: 'page', read: wholeNumber, fallback: 1, schema: z.int32().min(1), description: 'Number of the page, starting at 1.' },
    page_size: {
      to: 'limit',
      read: wholeNumber,
      fallback: size ?? defaultPageSize,
      schema: z.int().min(1).max(100),
      description: 'Maximum number of items on a page.',
    },
  }),
  idempotencyHeaders: ['idempotency-key', 'x-idempotency-key'],
  status: statusOfKind,
  brokenRulesAreUnprocessable: true,
  rateLimits: [
    { name: 'oec-ro', perMinute: 120, keyPrefix: readOnlyKeyPrefix },
    { name: 'oec-rw', perMinute: 20, keyPrefix: fullAccessKeyPrefix },
  ],
  legacyRateLimitHeaders: true,
  renderError,
  hasRedoc: true,
  schemas: [...bodies, ...taskBodies, ...webhookBodies, ...apiKeyBodies],
  errorSchema: errorBody,
}
