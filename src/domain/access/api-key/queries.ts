import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

export const apiKeyListing = defineListing({
  type: 'ApiKey',
  noun: 'API key',
  permission: 'view:api_keys',
  order: 'oldest_first',
  audited: ['name', 'kind', 'scope', 'permissions', 'projectId', 'prefix', 'expiresAt', 'revokedAt'],
})

export const listApiKeys = listQuery(apiKeyListing)
export const countApiKeys = countQuery(apiKeyListing)
export const findApiKey = findQuery(apiKeyListing)
