import { z } from 'zod'
import type { ApiKeyKind } from '../../../generated/prisma/client.ts'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'
import { sliceInput } from '../../../platform/page.ts'

export const apiKeyListing = defineListing({
  type: 'ApiKey',
  noun: 'API key',
  permission: 'view:api_keys',
  order: 'oldest_first',
  audited: ['name', 'kind', 'scope', 'permissions', 'projectId', 'prefix', 'expiresAt', 'revokedAt'],
  filter: { kind: z.enum(['PLATFORM', 'OEC', 'OCORE', 'BRIDGE']).nullish(), isRevoked: z.boolean().nullish() },
  where: ({ kind, isRevoked }) => [
    ...(kind ? [sql`t.kind = ${kind}::api_key_kind`] : []),
    ...(typeof isRevoked === 'boolean' ? [sql`(t.revoked_at is not null) = ${isRevoked}`] : []),
  ],
})

export const listApiKeys = listQuery(apiKeyListing)
export const countApiKeys = countQuery(apiKeyListing)
export const findApiKey = findQuery(apiKeyListing)

type Contract = { name: string; api: string; withRevoked?: boolean }

/** The keys of one API, as queries. Those that have been revoked are left out unless the contract lists them. */
function keysOf(kind: ApiKeyKind, { name, api, withRevoked = false }: Contract) {
  const kept = withRevoked ? { kind } : { kind, isRevoked: false }
  const { permission } = apiKeyListing
  const which = withRevoked ? 'with' : 'without'
  return {
    slice: defineQuery({
      name: `${name}Slice`,
      description: `API keys of the ${api} visible to the caller by offset, ${which} those that have been revoked, with their total number.`,
      permission,
      ids: {},
      input: z.object(sliceInput),
      run: (read, slice) => apiKeyListing.slice(read, kept, slice),
    }),
    find: defineQuery({
      name,
      description: `API key of the ${api} with the given ID. Null if it does not exist${withRevoked ? '' : ' or has been revoked'}.`,
      permission,
      ids: { id: 'ApiKey' },
      input: z.object({ id: z.string() }),
      run: async (read, { id }) =>
        (await apiKeyListing.read(read, sql`t.id = ${id}::uuid and ${apiKeyListing.scope(read.caller, kept)}`))[0] ?? null,
    }),
  }
}

export const { slice: slicePlatformKeys, find: findPlatformKey } = keysOf('PLATFORM', { name: 'platformKey', api: 'PaaS Public API' })
export const { slice: sliceOecKeys, find: findOecKey } = keysOf('OEC', { name: 'oecKey', api: 'oec.sh Public API' })
export const { find: findOcoreKey } = keysOf('OCORE', { name: 'ocoreKey', api: 'oCore API' })
export const { slice: sliceBridgeKeys, find: findBridgeKey } = keysOf('BRIDGE', {
  name: 'bridgeKey',
  api: 'Odoo bridge',
  withRevoked: true,
})

export const currentApiKey = defineQuery({
  name: 'currentApiKey',
  description: 'API key that the caller authenticates with. Null for other callers.',
  permission: null,
  ids: {},
  input: z.object({}),
  run: (read) =>
    read.caller.apiKeyId === null ? Promise.resolve(null) : apiKeyListing.lookUp(read, sql`t.id = ${read.caller.apiKeyId}::uuid`),
})
