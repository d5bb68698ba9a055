import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  apiKeyId: z.string().describe('The key.'),
  name: z.string().describe('Its name.'),
  kind: z.enum(['PLATFORM', 'OEC', 'OCORE', 'BRIDGE']).describe('The face that it works at.'),
  scope: z.enum(['READ', 'WRITE', 'ADMIN']).describe('What it may do.'),
})
const sample = { apiKeyId: 'key_01h455vb4pex5vsknk084sn02q', name: 'ci', kind: 'PLATFORM' as const, scope: 'WRITE' as const }

export const apiKeyCreated = defineEvent({
  type: 'api_key.created',
  version: 1,
  description: 'An API key was made.',
  subject: 'ApiKey',
  schema: payload,
  sample,
})

export const apiKeyRevoked = defineEvent({
  type: 'api_key.revoked',
  version: 1,
  description: 'An API key was revoked; it works no longer.',
  subject: 'ApiKey',
  schema: payload,
  sample,
})
