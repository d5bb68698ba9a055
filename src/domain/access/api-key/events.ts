import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  apiKeyId: z.string().describe('ID of the API key.'),
  name: z.string().describe('Name of the API key.'),
  kind: z.enum(['PLATFORM', 'OEC', 'OCORE', 'BRIDGE']).describe('API that accepts this key.'),
  scope: z.enum(['READ', 'WRITE', 'ADMIN']).describe('Scope of the API key.'),
})
const sample = { apiKeyId: 'key_01h455vb4pex5vsknk084sn02q', name: 'ci', kind: 'PLATFORM' as const, scope: 'WRITE' as const }

export const apiKeyCreated = defineEvent({
  type: 'api_key.created',
  version: 1,
  description: 'An API key was created.',
  subject: 'ApiKey',
  schema: payload,
  sample,
})

export const apiKeyRevoked = defineEvent({
  type: 'api_key.revoked',
  version: 1,
  description: 'An API key was revoked and no longer works.',
  subject: 'ApiKey',
  schema: payload,
  sample,
})
