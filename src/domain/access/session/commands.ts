import { z } from 'zod'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import {
  type Account,
  demandAcceptable,
  hashPassword,
  lockAccount,
  passwordSchema,
  setPasswordHash,
  tellUser,
  userErrors,
  verifyPassword,
} from '../user/index.ts'
import { takeAttempt } from './attempt.ts'
import { sessionRevoked, userLocked } from './events.ts'
import { recordFailure } from './failure.ts'
import { forgetResets } from './reset.ts'
import { endSessions } from './session.ts'

export const revokeSession = defineCommand({
  name: 'revokeSession',
  description:
    'Ends a session of the user who is signed in. Its tokens stop working immediately, and WebSocket connections opened with them are closed.',
  permission: null,
  ids: { id: 'Session' },
  targetType: 'Session',
  target: (work, { id }) =>
    row<{ id: string; ipAddress: string | null; userAgent: string | null }>(
      work.tx,
      sql`select id, ip_address, user_agent from session where id = ${id}::uuid and user_id = ${demandPerson(work.caller)}::uuid for update`,
    ),
  input: z.object({}),
  emits: [sessionRevoked],
  async run(work, _input, { id }: { id: string }) {
    const { userId, subject } = work.caller
    await endSessions(work, { id: userId!, name: subject.name }, sql`id = ${id}::uuid`, 'revoked')
    return { deletedId: id }
  },
})

export const changePassword = defineCommand({
  name: 'changePassword',
  description:
    'Changes the password of the user who is signed in. All other sessions of the user end. Fails with `wrong_password` if the current password is wrong. A password must have 8 to 256 characters.',
  permission: null,
  ids: {},
  targetType: 'User',
  target: (work) => lockAccount(work.tx, demandPerson(work.caller)),
  input: z.object({ currentPassword: passwordSchema, newPassword: passwordSchema }),
  emits: [sessionRevoked, userLocked],
  async run(work, { currentPassword, newPassword }, target: Account) {
    const { app, tx, caller } = work
    const attempt = await takeAttempt(app, target.email)
    if (!(await verifyPassword(currentPassword, target.passwordHash)).isRight) {
      await recordFailure(app, target, attempt, { action: 'changePassword', reason: 'wrong password' }, work.requestId)
      throw userErrors.wrong_password({ field: 'currentPassword' })
    }
    await demandAcceptable(newPassword, target.email, 'newPassword')
    await setPasswordHash(tx, target.id, await hashPassword(newPassword))
    await forgetResets(tx, target.id)
    await tellUser(work, target, 'the password of your account was changed, and all other sessions have ended.')
    await attempt.clear(tx)
    await endSessions(work, target, sql`id is distinct from ${caller.sessionId}::uuid`, 'password_changed')
    return { userId: target.id }
  },
})
