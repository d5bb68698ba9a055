import { z } from 'zod'
import { createApiKey, findPlatformKey, revokeApiKey, rotateApiKey, slicePlatformKeys } from '../../../domain/access/api-key/index.ts'
import { commandRow, instant, queryRow, type Route } from '../../core/index.ts'
import { apiKeyBody, newApiKeyBody, accountSchemas as schemas } from '../account-bodies.ts'
import { keyScopes } from '../vocabulary.ts'

const tag = 'API keys'
const params = { api_key_id: 'id' }
const ofThisApi = { query: findPlatformKey, params }

/** Keys of this API. A key cannot manage keys here; one with the scope `admin` can in GraphQL. */
export const apiKeyRoutes: Route[] = [
  queryRow({
    id: 'listApiKeys',
    method: 'GET',
    path: '/api-keys',
    tag,
    summary: 'List API keys',
    description: 'Returns the API keys of the organization that work with this API, without those that have been revoked.',
    people: true,
    read: slicePlatformKeys,
    page: { size: null },
    status: 200,
    schema: schemas.apiKeyList,
    reply: ({ rows, total }) => ({ api_keys: rows.map(apiKeyBody), total }),
  }),
  commandRow({
    id: 'createApiKey',
    method: 'POST',
    path: '/api-keys',
    tag,
    summary: 'Create an API key',
    description:
      'The scope `read` reads, `write` also creates, changes, deploys and reveals, and `admin` also deletes. At any time, a key has only the permissions that the current role of its creator has too.',
    people: true,
    cookieOfPrograms: true,
    command: createApiKey,
    body: {
      name: 'name',
      scope: { to: 'scope', words: keyScopes, schema: z.enum(['read', 'write', 'admin']), description: 'Permissions of the key.' },
      expires_at: {
        ...instant('expiresAt', 'Expiry time, in the future. When omitted or null, the key never expires.'),
        schema: z.iso.datetime().nullable(),
      },
      project_id: { to: 'projectId', description: 'Limit the key to this project.' },
    },
    status: 201,
    schema: schemas.newApiKey,
    reply: newApiKeyBody,
  }),
  commandRow({
    id: 'rotateApiKey',
    method: 'POST',
    path: '/api-keys/{api_key_id}/rotate',
    tag,
    summary: 'Rotate an API key',
    description:
      'Returns a new plaintext key. The former one works for another 24 hours; to end it at once, delete the API key and create another one. Only the user who created an API key can rotate it.',
    people: true,
    command: rotateApiKey,
    params,
    within: ofThisApi,
    status: 200,
    schema: schemas.newApiKey,
    reply: newApiKeyBody,
  }),
  commandRow({
    id: 'deleteApiKey',
    method: 'DELETE',
    path: '/api-keys/{api_key_id}',
    tag,
    summary: 'Delete an API key',
    description: 'The key stops working immediately.',
    people: true,
    command: revokeApiKey,
    params,
    within: ofThisApi,
    status: 204,
  }),
]
