/** API keys for all APIs. The plaintext of a key is returned once; its hash and its scope are stored. */
import { defineConcept } from '../../../platform/concept.ts'
import { stampedByVersion } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { createApiKey, importApiKey, revokeApiKey } from './commands.ts'
import { apiKeyErrors } from './errors.ts'
import { apiKeyCreated, apiKeyExpired, apiKeyRevoked, apiKeyRotated } from './events.ts'
import { announceExpiry } from './expiry.ts'
import {
  apiKeyListing,
  countApiKeys,
  currentApiKey,
  findApiKey,
  findBridgeKey,
  findOcoreKey,
  findOecKey,
  findPlatformKey,
  listApiKeys,
  sliceBridgeKeys,
  sliceOecKeys,
  slicePlatformKeys,
} from './queries.ts'
import { reactions } from './reactions.ts'
import { rotateApiKey } from './rotate.ts'

export { type KeyBinding, type KeyBindingInput, keyBindings } from './binding.ts'
export { callerOfKey, endOfKey } from './caller.ts'
export { createApiKey, importApiKey, revokeApiKey, revokeKeys, revokeKeysOfProject } from './commands.ts'
export { callerOfCredential } from './credential.ts'
export { apiKeyRevoked } from './events.ts'
export { announceExpiry } from './expiry.ts'
export { generateKey, hasFormOfKey, hashKey, keyPrefixes, keyStatus, permissionsOfKey, wellFormedKey } from './model.ts'
export {
  currentApiKey,
  findApiKey,
  findBridgeKey,
  findOcoreKey,
  findOecKey,
  findPlatformKey,
  listApiKeys,
  sliceBridgeKeys,
  sliceOecKeys,
  slicePlatformKeys,
} from './queries.ts'
export { rotateApiKey } from './rotate.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    ApiKey: 'key'
  }
}

export const apiKey = defineConcept({
  name: 'api-key',
  idPrefixes: { ApiKey: 'key' },
  nodes: [apiKeyListing],
  commands: [createApiKey, importApiKey, rotateApiKey, revokeApiKey],
  queries: [
    findApiKey,
    listApiKeys,
    countApiKeys,
    slicePlatformKeys,
    findPlatformKey,
    sliceOecKeys,
    findOcoreKey,
    findOecKey,
    sliceBridgeKeys,
    findBridgeKey,
    currentApiKey,
  ],
  errors: [apiKeyErrors],
  events: [apiKeyCreated, apiKeyRotated, apiKeyRevoked, apiKeyExpired],
  reactions,
  chores: [announceExpiry],
  extensions: [organizationContents.with(rowsOfAccess('API keys', ['api_key_hash', 'api_key']))],
  constraints: [
    stampedByVersion('api_key'),
    {
      name: 'api_key_expiry_idx',
      create: 'CREATE INDEX api_key_expiry_idx ON api_key (expires_at) WHERE expired_at IS NULL AND revoked_at IS NULL;',
      drop: 'DROP INDEX api_key_expiry_idx;',
    },
  ],
})
