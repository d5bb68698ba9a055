/** What a credential is worth, at every door. */
import type { Authenticated, PresentedCredential } from '../../../platform/credential.ts'
import { cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { callerOfToken, isToken } from '../session/index.ts'
import { callerOfKey } from './caller.ts'

/**
 * The caller that a credential identifies: an API key, or the access token of a person. Null if it is not valid. `keyPrefix` is that of the
 * keys that the door accepts; omitted: all. Throws `forbidden` if the request names another organization than that of the key, and
 * `not_found` if it names one that the person does not belong to.
 */
export function callerOfCredential(app: App, credential: PresentedCredential, keyPrefix?: string): Authenticated {
  const { text, organization, fromCookie } = credential
  if (fromCookie || isToken(text)) return callerOfToken(app, credential)
  const caller = callerOfKey(app, text, keyPrefix)
  return organization === null ? caller : ofNamedOrganization(app, caller, organization)
}

async function ofNamedOrganization(app: App, authenticated: Authenticated, slug: string): Promise<Awaited<Authenticated>> {
  const caller = await authenticated
  if (caller && caller.organizationId !== (await organizationIds(app)(slug)))
    throw errors.forbidden({ text: 'X-Org-Slug: must be the slug of the organization of the API key, or be omitted' })
  return caller
}

/** By slug. */
const organizationIds = perApp((app) =>
  cacheCredentials(app, async (slug) => {
    const found = await row<{ id: string }>(app.db, sql`select id from organization where slug = ${slug}`)
    return found && { holder: found.id, expiresInMs: null }
  }),
)
