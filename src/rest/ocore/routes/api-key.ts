import { z } from 'zod'
import { createApiKey, findOcoreKey, listApiKeys, revokeApiKey } from '../../../domain/access/api-key/index.ts'
import { commandRow, instant, queryRow, type Route } from '../../core/index.ts'
import { apiKeyBody, newApiKeyBody, apiKeySchemas as schemas } from '../api-key-bodies.ts'
import { done } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const tag = 'API keys'
const params = { apiKeyId: 'id' }

export const apiKeyRoutes: Route[] = [
  queryRow({
    id: 'listApiKeys',
    method: 'GET',
    path: '/api-keys',
    tag,
    summary: 'List API keys',
    description: 'Returns the keys of this API, without those that have been revoked.',
    read: listApiKeys,
    fixed: { kind: 'OCORE', isRevoked: false },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.apiKeyList,
    reply: (page) => pageOf(page, page.rows.map(apiKeyBody)),
  }),
  commandRow({
    id: 'createApiKey',
    method: 'POST',
    path: '/api-keys',
    tag,
    summary: 'Create an API key',
    description: 'Nobody creates a key with a permission that they do not have, or a key that outlives the one that they use.',
    command: createApiKey,
    fixed: { kind: 'OCORE', scope: 'ADMIN' },
    body: {
      name: 'name',
      permissions: { to: 'permissions', required: true, schema: z.array(z.string()).min(1), description: 'IDs of permissions.' },
      expiresAt: {
        ...instant('expiresAt', 'Expiry time, in the future. When omitted or null, the key never expires.'),
        schema: z.iso.datetime().nullable(),
      },
    },
    status: 201,
    schema: schemas.newApiKey,
    reply: newApiKeyBody,
  }),
  commandRow({
    id: 'deleteApiKey',
    method: 'DELETE',
    path: '/api-keys/{apiKeyId}',
    tag,
    summary: 'Revoke an API key',
    description: 'The key stops working immediately.',
    command: revokeApiKey,
    params,
    within: { query: findOcoreKey, params },
    ...done('API key revoked'),
  }),
]
