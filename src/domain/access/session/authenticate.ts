import { administration, type Caller, type Permission } from '../../../platform/access.ts'
import type { Authenticated, PresentedCredential } from '../../../platform/credential.ts'
import { type Credential, cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { decodeId, nilId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import { failedAuthentication } from '../../../platform/rate-limit/index.ts'
import type { App } from '../../../platform/work.ts'
import { activeFirst, type Membership, membershipColumns, memberships, rightsOf } from '../member/index.ts'
import { isToken, verifiedClaims } from './access-token.ts'

/**
 * The caller behind an access token. Null if the token is not valid or its session has ended. Throws `not_found` if the request names an
 * organization of which the user is no member. Without one, the caller acts in the user's active organization, and in none if the user has
 * none: it then has no permissions, but can join or create one.
 */
export const callerOfToken = (app: App, { text, organization }: PresentedCredential): Authenticated =>
  isToken(text) ? knownTokens(app)(organization === null ? text : `${text} ${organization}`) : null

const knownTokens = perApp((app) =>
  cacheCredentials(
    app,
    (presented) => {
      const space = presented.indexOf(' ')
      return space < 0 ? findCaller(app, presented, null) : findCaller(app, presented.slice(0, space), presented.slice(space + 1))
    },
    failedAuthentication(app),
  ),
)

type Found = { userId: string; name: string; isAdministrator: boolean; expiresInMs: number; organizationId: string | null } & Membership

async function findCaller(app: App, text: string, slug: string | null): Promise<Credential<Caller> | null> {
  const claims = await verifiedClaims(app, text)
  if (!claims) return null
  const [userId, sessionId] = [decodeId('User', claims.sub), decodeId('Session', claims.sid)]
  const found = await row<Found>(
    app.db,
    sql`select s.user_id, u.name, u.is_administrator, (extract(epoch from s.expires_at - app_now()) * 1000)::float8 as expires_in_ms, a.*
        from session s join user_account u on u.id = s.user_id left join lateral (
          select m.organization_id, ${membershipColumns} from ${memberships}
          where m.user_id = u.id and (${slug}::text is null or home.slug = ${slug}) order by ${activeFirst} limit 1) a on true
        where s.id = ${sessionId}::uuid and s.user_id = ${userId}::uuid and s.expires_at > app_now()
          and u.deactivated_at is null`,
  )
  if (!found) return null
  if (found.organizationId === null && slug !== null)
    throw errors.not_found({ text: 'X-Org-Slug: you are not a member of an organization with this slug' })
  const rights = found.organizationId === null ? { permissions: new Set<Permission>(), projectIds: [] } : rightsOf(found)
  const caller: Caller = {
    subject: { type: 'user', id: found.userId, name: found.name },
    userId: found.userId,
    organizationId: found.organizationId ?? nilId,
    permissions: found.isAdministrator ? new Set([...rights.permissions, administration]) : rights.permissions,
    apiKeyId: null,
    sessionId,
    projectIds: rights.projectIds,
  }
  const tokenMs = claims.exp * 1_000 - app.clock.now().getTime()
  return { holder: caller, expiresInMs: Math.min(found.expiresInMs, tokenMs) }
}
