import { z } from 'zod'
import type { ApiKey } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

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

export const apiKeyRotated = defineEvent({
  type: 'api_key.rotated',
  version: 1,
  description: 'An API key was rotated. It has a new plaintext key, and the former one stops working after a grace period.',
  subject: 'ApiKey',
  schema: payload.extend({
    formerExpiresAt: z.iso
      .datetime()
      .describe('Time when the former plaintext key stops working, unless the API key itself expires earlier.'),
  }),
  sample: { ...sample, formerExpiresAt: '2026-11-28T12:00:00.000Z' },
})

export const apiKeyExpired = defineEvent({
  type: 'api_key.expired',
  version: 1,
  description: 'An API key has expired and no longer works.',
  subject: 'ApiKey',
  schema: payload,
  sample,
})

export const eventOf = ({ id, projectId, name, kind, scope }: ApiKey) => ({
  subjectId: id,
  projectId,
  data: { apiKeyId: encodeId('ApiKey', id), name, kind, scope },
})
