import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

/** Why a session ended before its time. */
export const endReasons = ['logout', 'revoked', 'token_reused', 'password_changed', 'password_reset'] as const
export type EndReason = (typeof endReasons)[number]

export const sessionRevoked = defineEvent({
  type: 'session.revoked',
  version: 1,
  description: 'A session of a member ended before it expired. It is reported in each organization of the member.',
  subject: 'Session',
  schema: z.object({
    sessionId: z.string().describe('ID of the session.'),
    userId: z.string().describe('ID of the user.'),
    reason: z
      .enum(endReasons)
      .describe('Why the session ended. `token_reused`: a refresh token was used that had been replaced, so that it may have been stolen.'),
  }),
  sample: {
    sessionId: 'ses_01h455vb4pex5vsknk084sn02q',
    userId: 'usr_01h455vb4pex5vsknk084sn02q',
    reason: 'revoked' as const,
  },
})

export const userLocked = defineEvent({
  type: 'user.locked',
  version: 1,
  description:
    'Too many attempts to sign in as a member failed, so that further attempts are refused for a while. It is reported in each organization of the member.',
  subject: 'User',
  schema: z.object({
    userId: z.string().describe('ID of the user.'),
    failures: z.number().int().describe('Number of consecutive failed attempts.'),
    lockedUntil: z.string().describe('Time from which attempts are possible again, in ISO format.'),
  }),
  sample: { userId: 'usr_01h455vb4pex5vsknk084sn02q', failures: 10, lockedUntil: '2026-11-27T10:00:00.000Z' },
})
