/**
 * The oCore API, `/api`, as specified in `contracts/ocore-api-reference.txt`, routes.md C and decisions.md: what applies to all of its rows.
 * The rows are in routes/, the words in vocabulary.ts, the pages in page.ts, the errors in error.ts.
 */
import { statusOfKind } from '../../platform/errors.ts'
import type { Dialect } from '../core/index.ts'
import { authenticate, demandOrganization, keyPrefix } from './access.ts'
import { adminBodies } from './admin-bodies.ts'
import { apiKeyBodies } from './api-key-bodies.ts'
import { auditBodies } from './audit-bodies.ts'
import { deploymentBodies } from './deployment-bodies.ts'
import { domainBodies } from './domain-bodies.ts'
import { errorBody, renderError, statusOfCode } from './error.ts'
import { sharedBodies } from './field.ts'
import { instanceBodies } from './instance-bodies.ts'
import { organizationBodies } from './organization-bodies.ts'
import { pageSources } from './page.ts'
import { projectBodies } from './project-bodies.ts'
import { adminRoutes } from './routes/admin.ts'
import { apiKeyRoutes } from './routes/api-key.ts'
import { auditLogRoutes } from './routes/audit-log.ts'
import { deploymentRoutes } from './routes/deployment.ts'
import { domainRoutes } from './routes/domain.ts'
import { environmentRoutes } from './routes/environment.ts'
import { instanceRoutes } from './routes/instance.ts'
import { memberRoutes } from './routes/member.ts'
import { organizationRoutes } from './routes/organization.ts'
import { projectRoutes } from './routes/project.ts'
import { roleRoutes } from './routes/role.ts'
import { serverRoutes } from './routes/server.ts'
import { userRoutes } from './routes/user.ts'
import { webhookEndpointRoutes } from './routes/webhook-endpoint.ts'
import { serverBodies } from './server-bodies.ts'
import { userBodies } from './user-bodies.ts'
import { webhookBodies } from './webhook-bodies.ts'

export const ocoreDialect: Dialect = {
  name: 'ocore',
  title: 'Quayside oCore API',
  description: `The objects of an organization by the oCore API. Authenticate with an API key that begins with \`${keyPrefix}\`, or with the access token of a login, both as \`Authorization: Bearer …\`. With an access token, the header \`X-Org-Slug\` names the organization, except for \`/user\` and \`/admin\`; with a key it may be omitted. Requests without a key of this API and without \`X-Org-Slug\` are those of the PaaS Public API where both have a path.`,
  prefixes: ['/api'],
  // Browsers load the document and its page without X-Org-Slug.
  areas: ['/api/ocore', '/api'],
  keyPrefix,
  organizationHeader: true,
  routes: [
    ...userRoutes,
    ...organizationRoutes,
    ...memberRoutes,
    ...roleRoutes,
    ...serverRoutes,
    ...projectRoutes,
    ...environmentRoutes,
    ...instanceRoutes,
    ...deploymentRoutes,
    ...domainRoutes,
    ...apiKeyRoutes,
    ...webhookEndpointRoutes,
    ...auditLogRoutes,
    ...adminRoutes,
  ],
  authenticate,
  demandOrganization,
  page: pageSources,
  idempotencyHeaders: ['idempotency-key'],
  status: statusOfKind,
  statusOfCode,
  rateLimits: [{ name: 'ocore', perMinute: 300 }],
  legacyRateLimitHeaders: false,
  renderError,
  schemas: [
    ...sharedBodies,
    ...userBodies,
    ...organizationBodies,
    ...serverBodies,
    ...projectBodies,
    ...instanceBodies,
    ...deploymentBodies,
    ...domainBodies,
    ...apiKeyBodies,
    ...webhookBodies,
    ...auditBodies,
    ...adminBodies,
  ],
  errorSchema: errorBody,
}
