/**
 * The PaaS Public API, `/api`, as specified in `contracts/platform-public-api.txt` and decisions.md: what applies to all of its rows.
 * The rows are in routes/, the words in vocabulary.ts, the bodies in bodies.ts.
 */

import { z } from 'zod'
import { statusOfKind } from '../../platform/errors.ts'
import type { Dialect } from '../core/index.ts'
import { wholeNumber } from '../core/index.ts'
import { authenticate, keyPrefix } from './access.ts'
import { accountBodies } from './account-bodies.ts'
import { bodies, errorBody } from './bodies.ts'
import { configurationBodies } from './configuration-bodies.ts'
import { databaseBodies } from './database-bodies.ts'
import { emailBodies } from './email-bodies.ts'
import { metricsBodies } from './metrics-bodies.ts'
import { planBodies } from './plan-bodies.ts'
import { accountRoutes } from './routes/account.ts'
import { apiKeyRoutes } from './routes/api-key.ts'
import { connectionRoutes } from './routes/connection.ts'
import { databaseRoutes } from './routes/database.ts'
import { deploymentRoutes } from './routes/deployment.ts'
import { emailRoutes } from './routes/email.ts'
import { envVarRoutes } from './routes/env-var.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { planRoutes } from './routes/plan.ts'
import { projectRoutes } from './routes/project.ts'
import { redisRoutes } from './routes/redis.ts'
import { secretRoutes } from './routes/secret.ts'
import { secretBindingRoutes } from './routes/secret-binding.ts'
import { storageRoutes } from './routes/storage.ts'
import { webServiceRoutes } from './routes/web-service.ts'
import { storageBodies } from './storage-bodies.ts'

export const platformDialect: Dialect = {
  name: 'platform',
  title: 'Quayside Public API',
  description:
    'Manage projects, web services, deployments, environment variables, secrets, databases, Redis instances, object storage and email. Authenticate with an API key, as `Authorization: Bearer ak_live_…` or `X-API-Key`. `/api/v1` is an alias of `/api`.',
  prefixes: ['/api', '/api/v1'],
  keyPrefix,
  organizationHeader: false,
  routes: [
    ...projectRoutes,
    ...webServiceRoutes,
    ...metricsRoutes,
    ...deploymentRoutes,
    ...envVarRoutes,
    ...secretRoutes,
    ...secretBindingRoutes,
    ...databaseRoutes,
    ...redisRoutes,
    ...storageRoutes,
    ...connectionRoutes,
    ...emailRoutes,
    ...planRoutes,
    ...accountRoutes,
    ...apiKeyRoutes,
  ],
  authenticate,
  page: (size) => ({
    limit: {
      to: 'limit',
      read: wholeNumber,
      fallback: size ?? undefined,
      schema: z.int().min(1).max(100),
      description:
        size === null ? 'Maximum number of items to return. By default, all items are returned.' : 'Maximum number of items to return.',
    },
    offset: { to: 'offset', read: wholeNumber, fallback: 0, schema: z.int().min(0), description: 'Number of items to skip.' },
  }),
  idempotencyHeaders: ['idempotency-key'],
  status: { ...statusOfKind, unprocessable: 400 },
  rateLimits: [{ name: 'platform', perMinute: 120 }],
  legacyRateLimitHeaders: false,
  renderError: ({ text }) => ({ detail: text }),
  schemas: [
    ...bodies,
    ...configurationBodies,
    ...metricsBodies,
    ...databaseBodies,
    ...storageBodies,
    ...emailBodies,
    ...planBodies,
    ...accountBodies,
  ],
  errorSchema: errorBody,
}
