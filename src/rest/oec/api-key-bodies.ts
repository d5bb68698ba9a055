import { z } from 'zod'
import { keyStatus } from '../../domain/access/api-key/index.ts'
import { encodeId } from '../../platform/id.ts'
import type { Named } from '../core/index.ts'
import { idOf, idOrNull, listOf, time, timeOf, timeOrNull, words } from './field.ts'
import { keyTypes } from './vocabulary.ts'

const apiKey = z
  .object({
    id: idOf('key'),
    name: z.string(),
    type: words(keyTypes),
    scope: z.enum(['organization', 'project']).describe('Whether the key is limited to a project.'),
    project_id: idOf('proj').nullable().describe('ID of the project that the key is limited to.'),
    prefix: z.string().describe('First characters of the key.'),
    status: z.enum(['active', 'expired']),
    last_used_at: time.nullable().describe('Time of last use, rounded down to the minute.'),
    expires_at: time.nullable().describe('Expiry time. Null means the key never expires.'),
    created_at: time,
  })
  .describe('An API key.')

export const apiKeyList = listOf(apiKey).describe('A page of API keys, oldest first.')

export const apiKeyBodies: Named[] = [
  { id: 'ApiKey', schema: apiKey },
  { id: 'ApiKeyList', schema: apiKeyList },
]

type KeyRow = {
  id: string
  name: string
  scope: keyof typeof keyTypes
  projectId: string | null
  prefix: string
  revokedAt: null | Date
  lastUsedAt: Date | null
  expiresAt: Date | null
  createdAt: Date
}

export const apiKeyBody = (row: KeyRow, now: Date): z.output<typeof apiKey> => ({
  id: encodeId('ApiKey', row.id),
  name: row.name,
  type: keyTypes[row.scope],
  scope: row.projectId === null ? 'organization' : 'project',
  project_id: idOrNull('Project', row.projectId),
  prefix: row.prefix,
  status: keyStatus(row, now) === 'expired' ? 'expired' : 'active',
  last_used_at: timeOrNull(row.lastUsedAt),
  expires_at: timeOrNull(row.expiresAt),
  created_at: timeOf(row.createdAt),
})
