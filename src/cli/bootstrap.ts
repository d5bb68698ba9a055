/**
 * The first start creates the organization, its owner, the first API key, and the file that contains the key and the owner's password. If it is killed in between, a
 * marker makes the next start finish. A key that was not yet written to the file is lost, so it is revoked and a new one is created.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { callerOfKey, createApiKey, revokeApiKey } from '../domain/access/api-key/index.ts'
import { bootstrapOrganization } from '../domain/access/organization/index.ts'
import { hashPassword, setPasswordHash } from '../domain/access/user/index.ts'
import { withFileLock } from '../drivers/postgres/lock.ts'
import { rolePermissions } from '../platform/access.ts'
import { execute, type Request } from '../platform/command.ts'
import { row, rows, sql } from '../platform/db/index.ts'
import { newId } from '../platform/id.ts'
import { writeWhole } from '../platform/whole-file.ts'
import type { App } from '../platform/work.ts'

/** Content of `DATA_DIR/bootstrap.json`. */
export type Bootstrap = { apiKey: string; organizationSlug: string; graphqlUrl: string; ownerEmail: string; ownerPassword: string }

type Owner = { organizationId: string; organizationSlug: string; userId: string; email: string }

const firstKeyName = 'first key'

export const bootstrapFile = (dataDir: string): string => join(dataDir, 'bootstrap.json')
/** Contains the id of the organization being created; removed when the first key is written. */
const markerFile = (dataDir: string): string => join(dataDir, 'bootstrap.unfinished')

/**
 * Creates the organization, its owner and the first key if there are none, or finishes an interrupted first start. Returns null if there was
 * nothing to do.
 */
export async function bootstrap(app: App, graphqlUrl: string): Promise<Bootstrap | null> {
  const { DATA_DIR } = app.settings
  if (await isFinished(app)) return null
  return withFileLock(join(DATA_DIR, 'bootstrap.lock'), async () => {
    if (await isFinished(app)) return null
    const organizationId = (await readMarker(DATA_DIR)) ?? newId()
    await writeLocked(markerFile(DATA_DIR), organizationId)
    await bootstrapOrganization(app, organizationId)
    const owner = await ownerWithoutKey(app, organizationId)
    const made = owner && !(await hasValidKey(app)) ? await createFirstKey(app, owner, graphqlUrl) : null
    await rm(markerFile(DATA_DIR), { force: true })
    return made
  })
}

const readMarker = (dataDir: string) => readFile(markerFile(dataDir), 'utf8').catch(() => null)

async function isFinished(app: App): Promise<boolean> {
  if ((await readMarker(app.settings.DATA_DIR)) !== null) return false
  return (await row(app.db, sql`select 1 as one from api_key limit 1`)) !== null
}

/** The owner of the organization that the marker names, or of one that a start before markers were introduced left without a key. */
const ownerWithoutKey = (app: App, organizationId: string): Promise<Owner | null> =>
  row<Owner>(
    app.db,
    sql`select o.id as organization_id, o.slug as organization_slug, m.user_id, u.email
        from organization o join member m on m.organization_id = o.id join user_account u on u.id = m.user_id
        join role r on r.id = m.role_id and r.system = 'OWNER'
        where o.id = ${organizationId}::uuid
          or (o.created_at < app_now() - interval '1 minute' and not exists (select 1 from api_key))
        order by o.id limit 1`,
  )

/** Whether the file contains a valid key, that is, the former start was killed when only the marker was left to remove. */
async function hasValidKey(app: App): Promise<boolean> {
  const known = await readBootstrap(app.settings.DATA_DIR)
  return known !== null && (await callerOfKey(app, known.apiKey)) !== null
}

async function createFirstKey(app: App, owner: Owner, graphqlUrl: string): Promise<Bootstrap> {
  const lost = await rows<{ id: string }>(
    app.db,
    sql`select id from api_key where organization_id = ${owner.organizationId}::uuid and name = ${firstKeyName} and revoked_at is null`,
  )
  for (const { id } of lost) await execute(asOwner(app, owner), revokeApiKey, { id })
  const { plaintextKey } = await makeKey(app, owner, firstKeyName)
  const ownerPassword = randomPassword()
  await setPasswordHash(app.db, owner.userId, await hashPassword(ownerPassword))
  const made = { apiKey: plaintextKey, organizationSlug: owner.organizationSlug, graphqlUrl, ownerEmail: owner.email, ownerPassword }
  await write(app.settings.DATA_DIR, made)
  return made
}

/** 120 random bits. */
export const randomPassword = (): string => randomBytes(15).toString('base64url')

/** Creates a key with all permissions on behalf of an organization's owner. */
export async function makeKey(
  app: App,
  owner: { organizationId: string; userId: string },
  name: string,
): Promise<{ plaintextKey: string }> {
  const { plaintextKey } = await execute(asOwner(app, owner), createApiKey, { name, scope: 'ADMIN' })
  return { plaintextKey: plaintextKey! }
}

const asOwner = (app: App, owner: { organizationId: string; userId: string }): Request => ({
  app,
  requestId: 'bootstrap',
  caller: {
    subject: { type: 'user', id: owner.userId, name: 'Owner' },
    userId: owner.userId,
    organizationId: owner.organizationId,
    permissions: rolePermissions('OWNER'),
    apiKeyId: null,
    sessionId: null,
    projectIds: null,
  },
})

/** Updates the URL in the file if the port has changed. Returns false if there is no such file. */
export async function refreshBootstrap(dataDir: string, graphqlUrl: string): Promise<boolean> {
  const known = await readBootstrap(dataDir)
  if (known === null) return false
  if (known.graphqlUrl !== graphqlUrl) {
    await withFileLock(join(dataDir, 'bootstrap.lock'), () => write(dataDir, { ...known, graphqlUrl }))
  }
  return true
}

/** Null if the file doesn't exist or has an unknown format. */
async function readBootstrap(dataDir: string): Promise<Bootstrap | null> {
  try {
    const known = JSON.parse(await readFile(bootstrapFile(dataDir), 'utf8')) as Bootstrap
    return typeof known.apiKey === 'string' ? known : null
  } catch {
    return null
  }
}

const write = (dataDir: string, content: Bootstrap): Promise<void> =>
  writeLocked(bootstrapFile(dataDir), `${JSON.stringify(content, null, 2)}\n`)

/** Requires the lock. The draft may contain the key, so its name is fixed: a killed process leaves at most one, and the next replaces it. */
const writeLocked = (path: string, text: string): Promise<void> => writeWhole(path, text, { draft: `${path}.new` })
