/** Bodies of the caller's own account and of API keys. The plaintext of a key is in the response of its creation and rotation only. */
import { z } from 'zod'
import type { CurrentUser } from '../../domain/access/user/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, total, words } from './field.ts'
import { keyScopes } from './vocabulary.ts'

const user = z
  .object({
    id,
    email: z.string(),
    name: z.string(),
    active_workspace_name: z
      .string()
      .nullable()
      .describe('Name of the organization that the requests act in. Null if there is none, or if the caller may not see it.'),
    created_at: time,
  })
  .describe('The user who is signed in, or who created the API key.')

const apiKey = z
  .object({
    id,
    name: z.string(),
    key_prefix: z.string().describe('First characters of the key, to recognize it by.'),
    scope: words(keyScopes),
    project_id: id.nullable().describe('ID of the project that the key is limited to. Null if it is not limited.'),
    expires_at: time.nullable().describe('Expiry time. Null means the key never expires.'),
    last_used_at: time.nullable().describe('Time of last use, accurate to the minute. Null if the key has never been used.'),
    created_at: time,
  })
  .describe('An API key.')

const apiKeyList = z.object({ api_keys: z.array(apiKey), total }).describe('List of API keys, oldest first.')

const newApiKey = apiKey
  .extend({
    plaintext_key: z
      .string()
      .nullable()
      .describe('The key, which is returned only once. Null when a request is repeated with the same idempotency key.'),
  })
  .describe('An API key with its plaintext.')

export const accountSchemas = { user, apiKey, apiKeyList, newApiKey }

export const accountBodies: Named[] = [
  { id: 'User', schema: user },
  { id: 'ApiKey', schema: apiKey },
  { id: 'ApiKeyList', schema: apiKeyList },
  { id: 'NewApiKey', schema: newApiKey },
]

type AccountBody<Name extends keyof typeof accountSchemas> = z.infer<(typeof accountSchemas)[Name]>

export const userBody = ({ id, email, name, organizationName, createdAt }: CurrentUser): AccountBody<'user'> => ({
  id,
  email,
  name,
  active_workspace_name: organizationName,
  created_at: timeOf(createdAt),
})

type KeyRow = {
  id: string
  name: string
  prefix: string
  scope: keyof typeof keyScopes
  projectId: string | null
  expiresAt: Date | null
  lastUsedAt: Date | null
  createdAt: Date
}

export const apiKeyBody = (row: KeyRow): AccountBody<'apiKey'> => ({
  id: row.id,
  name: row.name,
  key_prefix: row.prefix,
  scope: keyScopes[row.scope],
  project_id: row.projectId,
  expires_at: timeOrNull(row.expiresAt),
  last_used_at: timeOrNull(row.lastUsedAt),
  created_at: timeOf(row.createdAt),
})

export const newApiKeyBody = ({ apiKey, plaintextKey }: { apiKey: KeyRow; plaintextKey: string | null }): AccountBody<'newApiKey'> => ({
  ...apiKeyBody(apiKey),
  plaintext_key: plaintextKey,
})
