import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  secretId: z.string().describe('The secret.'),
  projectId: z.string().describe('Its project.'),
  key: z.string().describe('Its key.'),
  scope: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).describe('Its scope.'),
  currentVersion: z.number().int().describe('Its newest version.'),
})
const sample = {
  secretId: 'sec_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  key: 'STRIPE_SECRET_KEY',
  scope: 'PRODUCTION' as const,
  currentVersion: 1,
}

export const secretCreated = defineEvent({
  type: 'secret.created',
  version: 1,
  description: 'A project got a secret. Values are never told.',
  subject: 'Secret',
  schema: payload,
  sample,
})

export const secretUpdated = defineEvent({
  type: 'secret.updated',
  version: 1,
  description: 'A secret got a new version, one was revoked, or it became plain or secret. Values are never told.',
  subject: 'Secret',
  schema: payload.extend({ revokedVersion: z.number().int().nullable().describe('The version that was revoked.') }),
  sample: { ...sample, currentVersion: 2, revokedVersion: null },
})

export const secretDeleted = defineEvent({
  type: 'secret.deleted',
  version: 1,
  description: 'A secret was deleted, with all its versions.',
  subject: 'Secret',
  schema: payload,
  sample,
})

export const secretRevealed = defineEvent({
  type: 'secret.revealed',
  version: 1,
  description: "A secret's value was shown to somebody. The value is never told.",
  subject: 'Secret',
  schema: payload.extend({
    version: z.number().int().describe('The version that was shown.'),
    revealedBy: z.string().describe('To whom.'),
  }),
  sample: { ...sample, version: 1, revealedBy: 'Ada' },
})
