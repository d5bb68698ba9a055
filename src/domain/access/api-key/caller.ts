/** What a key's text is worth: the caller behind it, and the time of its last use. */
import type { ApiKey } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import type { Authenticated } from '../../../platform/credential.ts'
import { type Credential, cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { perApp } from '../../../platform/per-app.ts'
import { failedAuthentication } from '../../../platform/rate-limit/index.ts'
import type { App } from '../../../platform/work.ts'
import { type Membership, membershipColumns, memberships, rightsOf, withinProject } from '../member/index.ts'
import { common, hashKey, permissionsOfKey, prefixOf, wellFormedKey } from './model.ts'

/**
 * The caller behind a plaintext key. Null if the key is malformed (which takes no statement), unknown, expired, revoked or rotated out, or
 * if its creator is no longer a member. `prefix` is that of an API, where a key of another API is not accepted. Records the use. Whatever
 * changes the rights of a key wakes `credentials`; without that, the change takes effect after a second.
 */
export function callerOfKey(app: App, text: string, prefix?: string): Authenticated {
  return prefix && !text.startsWith(prefix) ? null : knownKeys(app)(text)
}

const knownKeys = perApp((app) =>
  cacheCredentials(app, async (text) => (wellFormedKey(text) ? findKey(app, text) : null), failedAuthentication(app)),
)

type FoundKey = ApiKey & Membership & { expiresInMs: number | null; stale: boolean }

async function findKey(app: App, text: string): Promise<Credential<Caller> | null> {
  const key = await row<FoundKey>(
    app.db,
    sql`select k.*, ${membershipColumns},
               (extract(epoch from least(k.expires_at, h.expires_at) - app_now()) * 1000)::float8 as expires_in_ms,
               ${isStale} as stale
        from api_key_hash h
          join api_key k on k.organization_id = h.organization_id and k.id = h.api_key_id
          join (${memberships}) on m.organization_id = k.organization_id and m.user_id = k.created_by_id
        where h.hash = ${hashKey(text)} and k.revoked_at is null`,
  )
  // An imported key is known by its hash alone, so its text may have another prefix than was said.
  if (!key || (key.expiresInMs !== null && key.expiresInMs <= 0) || !text.startsWith(prefixOf(key) ?? text)) return null
  if (key.stale) lastUse(app).record(key.id)
  const rights = rightsOf(key)
  const caller: Caller = {
    subject: { type: 'api_key', id: key.id, name: key.name },
    userId: key.createdById,
    organizationId: key.organizationId,
    permissions: common(rights.permissions, permissionsOfKey(key)),
    apiKeyId: key.id,
    sessionId: null,
    projectIds: withinProject(rights.projectIds, key.projectId),
  }
  return { holder: caller, expiresInMs: key.expiresInMs }
}

/**
 * The key with this plaintext, and why it identifies nobody any more: it was revoked, or it has expired or was rotated out. Null for any other
 * text.
 */
export async function endOfKey(app: App, text: string): Promise<{ id: string; reason: 'revoked' | 'expired' } | null> {
  if (!wellFormedKey(text)) return null
  const key = await row<ApiKey & { expired: boolean }>(
    app.db,
    sql`select k.*, coalesce(least(k.expires_at, h.expires_at) <= app_now(), false) as expired
        from api_key_hash h join api_key k on k.organization_id = h.organization_id and k.id = h.api_key_id where h.hash = ${hashKey(text)}`,
  )
  if (!key || !text.startsWith(prefixOf(key) ?? text)) return null
  return key.revokedAt ? { id: key.id, reason: 'revoked' } : key.expired ? { id: key.id, reason: 'expired' } : null
}

/** Whether the time of last use of a key `k` is to be recorded again: once a minute. */
const isStale = sql`coalesce(k.last_used_at < app_now() - interval '1 minute', true)`

/** Records uses beside the requests, which neither wait for it nor fail with it. */
const lastUse = perApp((app) => {
  const underWay = new Set<string>()
  const failures = createFailureLog(
    app,
    { failed: 'the last use of an API key could not be recorded', recovered: 'the last use of API keys is recorded again' },
    'warn',
  )
  const write = async (id: string) => {
    underWay.add(id)
    try {
      // A key that a command has locked is left for the next time, so that no connection waits.
      await run(
        app.db,
        sql`update api_key set last_used_at = app_now()
            where id = (select k.id from api_key k where k.id = ${id}::uuid and ${isStale} for update skip locked)`,
      )
      failures.succeeded()
    } catch (error) {
      failures.failed(error)
    } finally {
      underWay.delete(id)
    }
  }
  return {
    record(id: string): void {
      if (!underWay.has(id)) void write(id)
    },
  }
})
