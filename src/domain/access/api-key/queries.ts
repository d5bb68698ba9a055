import type { ApiKey } from '../../../generated/prisma/client.ts'
import { type Caller, keyPermissions } from '../../../platform/access.ts'
import type { Authenticated } from '../../../platform/credential.ts'
import { type Credential, cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { type Membership, membershipColumns, memberships, rightsOf, withinProject } from '../member/index.ts'
import { hashKey, wellFormedKey } from './model.ts'

export const apiKeyListing = defineListing({
  type: 'ApiKey',
  noun: 'API key',
  permission: 'view:api_keys',
  order: 'oldest_first',
  audited: ['name', 'kind', 'scope', 'projectId', 'prefix', 'expiresAt', 'revokedAt'],
})

export const listApiKeys = listQuery(apiKeyListing)
export const countApiKeys = countQuery(apiKeyListing)
export const findApiKey = findQuery(apiKeyListing)

/**
 * The caller behind a key's text; null when there is none: malformed, unknown, expired, revoked, or its maker is no member any
 * more. `prefix` is the face's; a key of another face is no key there. Notes the use, at most once a minute. Whoever changes what a
 * key is worth wakes `credentials`: without it the change counts after a second.
 */
export function callerOfKey(app: App, text: string, prefix?: string): Authenticated {
  return prefix && !text.startsWith(prefix) ? null : knownKeys(app)(text)
}

const knownKeys = perApp((app) => cacheCredentials(app, async (text) => (wellFormedKey(text) ? findKey(app, text) : null)))

const usedEveryMs = 60_000

async function findKey(app: App, text: string): Promise<Credential<Caller> | null> {
  const key = await row<ApiKey & Membership & { expiresInMs: number | null; stale: boolean }>(
    app.db,
    sql`select k.*, ${membershipColumns}, (extract(epoch from k.expires_at - app_now()) * 1000)::float8 as expires_in_ms,
               coalesce(k.last_used_at < app_now() - ${usedEveryMs} * interval '1 millisecond', true) as stale
        from api_key k join (${memberships}) on m.organization_id = k.organization_id and m.user_id = k.created_by_id
        where k.hash = ${hashKey(text)} and k.revoked_at is null`,
  )
  if (!key || (key.expiresInMs !== null && key.expiresInMs <= 0)) return null
  if (key.stale) await run(app.db, sql`update api_key set last_used_at = app_now() where id = ${key.id}::uuid`)
  const rights = rightsOf(key)
  const caller: Caller = {
    subject: { type: 'api_key', id: key.id, name: key.name },
    userId: key.createdById,
    organizationId: key.organizationId,
    permissions: keyPermissions(key.scope, rights.permissions),
    apiKeyId: key.id,
    sessionId: null,
    projectIds: withinProject(rights.projectIds, key.projectId),
  }
  return { holder: caller, expiresInMs: key.expiresInMs }
}
