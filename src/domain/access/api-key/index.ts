/** API keys: one store, several faces. A key's text is shown once; its hash and rights live here. */
export { createApiKey, revokeApiKey, revokeKeysOfProject } from './commands.ts'
export { apiKeyCreated, apiKeyRevoked } from './events.ts'
export { generateKey, hashKey, keyPrefixes, shownPrefix, wellFormedKey } from './model.ts'
export { callerOfKey, findApiKey, listApiKeys } from './queries.ts'
