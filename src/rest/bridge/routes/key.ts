import { z } from 'zod'
import { createApiKey, findBridgeKey, revokeApiKey, sliceBridgeKeys } from '../../../domain/access/api-key/index.ts'
import { commandRow, instant, queryRow, type Route } from '../../core/index.ts'
import { answers, keyBody, newKeyBody, revokedKeyBody, succeeded } from '../bodies.ts'

const tag = 'Keys'
const params = { key_id: 'id' }

/** Keys of the bridge, for people. Those that may only read, or call some models and methods only, are created in GraphQL. */
export const keyRoutes: Route[] = [
  queryRow({
    id: 'listKeys',
    method: 'GET',
    path: '/bridge/keys',
    tag,
    summary: 'List keys',
    description: 'Returns the keys of the organization, oldest first, with those that have expired or been revoked.',
    people: true,
    read: sliceBridgeKeys,
    page: { size: null },
    status: 200,
    schema: answers.keys,
    reply: ({ rows }, { app }) => succeeded(rows.map((key) => keyBody(key, app.clock.now()))),
  }),
  commandRow({
    id: 'createKey',
    method: 'POST',
    path: '/bridge/keys',
    tag,
    summary: 'Create a key',
    description: 'The key calls all models and methods that the login of the Odoo account may call. It is returned once.',
    people: true,
    command: createApiKey,
    fixed: { kind: 'BRIDGE', scope: 'WRITE' },
    body: {
      name: 'name',
      expires_at: {
        ...instant('expiresAt', 'Expiry time, in the future. When omitted or null, the key never expires.'),
        schema: z.iso.datetime().nullable(),
      },
      connection_id: { to: 'odooAccountId', schema: z.string(), description: 'ID of the Odoo account that the key calls. Required.' },
    },
    status: 201,
    schema: answers.newKey,
    reply: ({ apiKey, plaintextKey }, { app }) => succeeded(newKeyBody(apiKey, app.clock.now(), plaintextKey)),
  }),
  commandRow({
    id: 'revokeKey',
    method: 'DELETE',
    path: '/bridge/keys/{key_id}',
    tag,
    summary: 'Revoke a key',
    description: 'The key stops working immediately, and stays listed with the status `revoked`.',
    people: true,
    command: revokeApiKey,
    params,
    within: { query: findBridgeKey, params },
    status: 200,
    schema: answers.revokedKey,
    reply: ({ apiKey }, { app }) => succeeded(revokedKeyBody(apiKey, app.clock.now())),
  }),
]
