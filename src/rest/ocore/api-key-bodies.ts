import { z } from 'zod'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull } from './field.ts'
import { listOf } from './page.ts'

const apiKey = z
  .object({
    id,
    name: z.string(),
    prefix: z.string().describe('First characters of the key.'),
    permissions: z.array(z.string()).describe('IDs of permissions. At any time, the key has those that its creator has too.'),
    scope: z.enum(['organization', 'project']).describe('Whether the key is limited to a project.'),
    expiresAt: time.nullable().describe('Expiry time. Null means the key never expires.'),
    lastUsedAt: time.nullable().describe('Time of last use, rounded down to the minute.'),
    createdAt: time,
  })
  .describe('An API key.')

const newApiKey = apiKey
  .extend({
    key: z.string().nullable().describe('The key. Returned only once; null in a repeated response to the same idempotency key.'),
  })
  .describe('An API key with its plaintext.')

export const apiKeySchemas = { apiKeyList: listOf(apiKey).describe('A page of API keys, oldest first.'), newApiKey }

export const apiKeyBodies: Named[] = [
  { id: 'ApiKey', schema: apiKey },
  { id: 'NewApiKey', schema: newApiKey },
  { id: 'ApiKeyList', schema: apiKeySchemas.apiKeyList },
]

type KeyRow = {
  id: string
  name: string
  prefix: string
  permissions: string[]
  projectId: string | null
  expiresAt: Date | null
  lastUsedAt: Date | null
  createdAt: Date
}

export const apiKeyBody = (row: KeyRow): z.output<typeof apiKey> => ({
  id: row.id,
  name: row.name,
  prefix: row.prefix,
  permissions: row.permissions,
  scope: row.projectId === null ? 'organization' : 'project',
  expiresAt: timeOrNull(row.expiresAt),
  lastUsedAt: timeOrNull(row.lastUsedAt),
  createdAt: timeOf(row.createdAt),
})

export const newApiKeyBody = ({ apiKey, plaintextKey }: { apiKey: KeyRow; plaintextKey: string | null }): z.output<typeof newApiKey> => ({
  ...apiKeyBody(apiKey),
  key: plaintextKey,
})
