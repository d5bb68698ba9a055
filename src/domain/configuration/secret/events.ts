import { z } from 'zod'
import type { Secret } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  secretId: z.string().describe('ID of the secret.'),
  projectId: z.string().describe('ID of the project.'),
  key: z.string().describe('Key of the secret.'),
  scope: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).describe('Scope of the secret.'),
  currentVersion: z.number().int().describe('Number of the newest version.'),
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
  description: 'A project secret was created. Values are not included.',
  subject: 'Secret',
  schema: payload,
  sample,
})

export const secretUpdated = defineEvent({
  type: 'secret.updated',
  version: 1,
  description: 'A secret received a new version, a version was revoked, or the secret was made plain or secret. Values are not included.',
  subject: 'Secret',
  schema: payload.extend({
    revokedVersion: z.number().int().nullable().describe('Number of the revoked version. Null if no version was revoked.'),
  }),
  sample: { ...sample, currentVersion: 2, revokedVersion: null },
})

export const secretDeleted = defineEvent({
  type: 'secret.deleted',
  version: 1,
  description: 'A secret was deleted with all its versions.',
  subject: 'Secret',
  schema: payload,
  sample,
})

export const secretRevealed = defineEvent({
  type: 'secret.revealed',
  version: 1,
  description: 'The value of a secret was revealed. The value is not included.',
  subject: 'Secret',
  schema: payload.extend({
    version: z.number().int().describe('Number of the revealed version.'),
    revealedBy: z.string().describe('Name of the user or API key that revealed the value.'),
  }),
  sample: { ...sample, version: 1, revealedBy: 'Ada' },
})

/** An event about a secret. `more` holds the fields that only this type of event has. */
export const eventOf = <More extends object>(secret: Secret, more: More) => ({
  subjectId: secret.id,
  projectId: secret.projectId,
  data: {
    secretId: encodeId('Secret', secret.id),
    projectId: encodeId('Project', secret.projectId),
    key: secret.key,
    scope: secret.scope,
    currentVersion: secret.currentVersion,
    ...more,
  },
})
