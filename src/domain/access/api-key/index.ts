/** API keys for all APIs. The plaintext of a key is returned once; its hash and its scope are stored. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { createApiKey, revokeApiKey } from './commands.ts'
import { apiKeyCreated, apiKeyRevoked } from './events.ts'
import { apiKeyListing, countApiKeys, findApiKey, listApiKeys } from './queries.ts'

export { createApiKey, revokeApiKey, revokeKeysOfProject } from './commands.ts'
export { callerOfCredential } from './credential.ts'
export { apiKeyRevoked } from './events.ts'
export { generateKey, hashKey, keyPrefixes, wellFormedKey } from './model.ts'
export { callerOfKey, findApiKey, listApiKeys } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    ApiKey: 'key'
  }
}

export const apiKey = defineConcept({
  name: 'api-key',
  idPrefixes: { ApiKey: 'key' },
  nodes: [apiKeyListing],
  commands: [createApiKey, revokeApiKey],
  queries: [findApiKey, listApiKeys, countApiKeys],
  events: [apiKeyCreated, apiKeyRevoked],
  constraints: stamped('api_key'),
})
