/** Sessions: how they begin, go on and end. Requests that arrive with a session's access token are in authenticate.ts. */
import type { Session } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { row, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { currentOrigin } from '../../../platform/forwarded.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { type Account, noteLogin } from '../user/index.ts'
import { signToken } from './access-token.ts'
import { sessionErrors } from './errors.ts'
import { type EndReason, sessionRevoked } from './events.ts'
import { inOrganizations, type LoginMethod, personOf, type SignedIn, type Tokens } from './model.ts'
import { firstToken, hashToken, newSalt, nextToken, type RefreshToken, readToken } from './refresh-token.ts'

type User = Pick<Account, 'id' | 'email' | 'name'>

const userAgentLength = 256

const origin = () => {
  const { address, userAgent } = currentOrigin() ?? {}
  return { ipAddress: address ?? null, userAgent: userAgent?.slice(0, userAgentLength) ?? null }
}

const expiry = ({ settings }: App): Sql => sql`app_now() + ${settings.SESSION_EXPIRY} * interval '1 second'`

async function tokensOf(app: App, userId: string, sessionId: string, refreshToken: string): Promise<Tokens> {
  const { JWT_ACCESS_EXPIRY: expiresIn, SESSION_EXPIRY: refreshExpiresIn } = app.settings
  const accessToken = await signToken(app, { sub: userId, sid: sessionId }, expiresIn)
  return { accessToken, refreshToken, expiresIn, refreshExpiresIn }
}

/**
 * Signs a user in, who has shown who they are by all that is required of them. Audited in each organization of the user. Throws
 * `user_deactivated`.
 */
export async function startSession(work: Work, { id: userId, email, name }: User, method: LoginMethod): Promise<SignedIn> {
  const { app, tx } = work
  await noteLogin(tx, userId)
  const id = newId()
  const refreshToken = await firstToken(app, tx, id)
  const { ipAddress, userAgent } = origin()
  await run(
    tx,
    sql`insert into session (id, user_id, method, token_hash, ip_address, user_agent, expires_at)
        values (${id}::uuid, ${userId}::uuid, ${method}, ${hashToken(refreshToken)}, ${ipAddress}, ${userAgent}, ${expiry(app)})`,
  )
  await inOrganizations(work, { id: userId, name }, (own) =>
    writeAudit(own, { action: 'login', target: { type: 'User', id: userId, name: email }, details: { method } }),
  )
  return { user: { id: userId, email, name }, ...(await tokensOf(app, userId, id, refreshToken)) }
}

/** Time for which the token before the valid one leads to the same valid one, for requests that refresh at the same time. */
const parallelMs = 10_000

type Refreshing = Pick<Session, 'id' | 'userId' | 'formerSalt'> & User & { isCurrent: boolean; isParallel: boolean }

/**
 * Replaces a refresh token by the next one. A token that was replaced a moment ago leads to the same next token. Any other former token may
 * have been stolen, so its session ends. Throws `refresh_failed`.
 */
export async function refreshSession(app: App, text: string): Promise<SignedIn> {
  const token = await readToken(app, app.db, text)
  const refreshed =
    token &&
    (await transact(app, personOf({ id: token.sessionId, name: '' }, null), { emits: [sessionRevoked] }, (work) => rotate(work, token)))
  if (!refreshed) throw sessionErrors.refresh_failed()
  const { userId: id, sessionId, email, name, refreshToken } = refreshed
  return { user: { id, email, name }, ...(await tokensOf(app, id, sessionId, refreshToken)) }
}

async function rotate(work: Work, token: RefreshToken) {
  const { app, tx } = work
  const hash = hashToken(token.text)
  const found = await row<Refreshing>(
    tx,
    sql`select s.id, s.user_id, s.former_salt, u.email, u.name, s.token_hash = ${hash} as is_current,
               coalesce(s.former_token_hash = ${hash} and s.rotated_at > app_now() - ${parallelMs} * interval '1 millisecond', false) as is_parallel
        from session s join user_account u on u.id = s.user_id
        where s.id = ${token.sessionId}::uuid and s.expires_at > app_now() for no key update of s`,
  )
  if (!found) return null
  const { userId, email, name } = found
  const rotated = (refreshToken: string) => ({ userId, sessionId: found.id, email, name, refreshToken })
  if (found.isParallel) return rotated(await nextToken(app, tx, token, found.formerSalt!))
  if (!found.isCurrent) {
    await endSessions(work, { id: userId, name }, sql`id = ${found.id}::uuid`, 'token_reused')
    return null
  }
  const salt = newSalt()
  const refreshToken = await nextToken(app, tx, token, salt)
  const { ipAddress, userAgent } = origin()
  await run(
    tx,
    sql`update session set token_hash = ${hashToken(refreshToken)}, former_token_hash = ${hash}, former_salt = ${salt}, rotated_at = app_now(),
          last_used_at = app_now(), expires_at = ${expiry(app)}, ip_address = ${ipAddress}, user_agent = ${userAgent}
        where id = ${found.id}::uuid`,
  )
  return rotated(refreshToken)
}

/** Ends those of a user's sessions for which a condition holds, at once and in all processes. Their work must emit `session.revoked`. */
export async function endSessions(work: Work, user: Pick<Account, 'id' | 'name'>, where: Sql, reason: EndReason): Promise<number> {
  const ended = await rows<{ id: string }>(work.tx, sql`delete from session where user_id = ${user.id}::uuid and (${where}) returning id`)
  await inOrganizations(work, user, async (own) => {
    for (const { id } of ended) {
      const data = { sessionId: encodeId('Session', id), userId: encodeId('User', user.id), reason }
      await publish(own, sessionRevoked, { subjectId: id, projectId: null, data })
      if (reason === 'token_reused' || reason === 'logout')
        writeAudit(own, { action: 'endSession', target: { type: 'Session', id }, details: { reason } })
    }
  })
  if (ended.length > 0) work.wake('credentials')
  return ended.length
}

/** Ends the session of a refresh token, if there is one. */
export async function endSessionOf(app: App, refreshToken: string): Promise<void> {
  const token = await readToken(app, app.db, refreshToken)
  if (token) await endSession(app, token.sessionId)
}

/** Signs a person out. */
export async function endSession(app: App, sessionId: string): Promise<void> {
  const user = await row<{ id: string; name: string }>(
    app.db,
    sql`select u.id, u.name from session s join user_account u on u.id = s.user_id where s.id = ${sessionId}::uuid`,
  )
  if (!user) return
  await transact(app, personOf(user, null), { emits: [sessionRevoked] }, (work) =>
    endSessions(work, user, sql`id = ${sessionId}::uuid`, 'logout'),
  )
}
