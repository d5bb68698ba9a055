import { findOecKey, revokeApiKey, sliceOecKeys } from '../../../domain/access/api-key/index.ts'
import { commandRow, queryRow, type Route } from '../../core/index.ts'
import { apiKeyBody, apiKeyList } from '../api-key-bodies.ts'
import { defaultPageSize, pageOf } from '../field.ts'

const tag = 'API keys'
const params = { key_id: 'id' }

export const apiKeyRoutes: Route[] = [
  queryRow({
    id: 'listApiKeys',
    method: 'GET',
    path: '/api-keys',
    tag,
    summary: 'List API keys',
    description: 'Requires a key of the whole organization. Revoked keys are not listed.',
    ofOrganization: 'list API keys',
    read: sliceOecKeys,
    page: { size: defaultPageSize },
    status: 200,
    schema: apiKeyList,
    reply: (slice, { app }) =>
      pageOf(
        slice,
        slice.rows.map((row) => apiKeyBody(row, app.clock.now())),
      ),
  }),
  commandRow({
    id: 'revokeApiKey',
    method: 'DELETE',
    path: '/api-keys/{key_id}',
    tag,
    summary: 'Revoke an API key',
    description: 'Requires a key of the whole organization. The revoked key stops working immediately. An expired key can be revoked too.',
    ofOrganization: 'revoke API keys',
    command: revokeApiKey,
    params,
    within: { query: findOecKey, params },
    status: 204,
  }),
]
