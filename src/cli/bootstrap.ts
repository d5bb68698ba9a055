/** The first start: organization, owner and first key, and the file that says where to go. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createApiKey } from '../domain/access/api-key/index.ts'
import { bootstrapOrganization } from '../domain/access/organization/index.ts'
import { rolePermissions } from '../platform/access.ts'
import { execute } from '../platform/command.ts'
import type { App } from '../platform/work.ts'

/** What `DATA_DIR/bootstrap.json` holds. */
export type Bootstrap = { apiKey: string; organizationSlug: string; graphqlUrl: string }

export const bootstrapFile = (dataDir: string): string => join(dataDir, 'bootstrap.json')

/** Makes organization, owner and first key where the installation has none; gives the key's text, or null where nothing was made. */
export async function bootstrap(app: App, graphqlUrl: string): Promise<Bootstrap | null> {
  const owner = await bootstrapOrganization(app)
  if (!owner) return null
  const { plaintextKey } = await makeKey(app, owner, 'first key')
  const made = { apiKey: plaintextKey, organizationSlug: owner.organizationSlug, graphqlUrl }
  await write(app.settings.DATA_DIR, made)
  return made
}

/** A key with all rights, in the name of an organization's owner. */
export async function makeKey(
  app: App,
  owner: { organizationId: string; userId: string },
  name: string,
): Promise<{ plaintextKey: string }> {
  const { plaintextKey } = await execute(
    {
      app,
      requestId: 'bootstrap',
      caller: {
        subject: { type: 'user', id: owner.userId, name: 'Owner' },
        userId: owner.userId,
        organizationId: owner.organizationId,
        permissions: rolePermissions('OWNER'),
        apiKeyId: null,
        projectId: null,
      },
    },
    createApiKey,
    { name, scope: 'ADMIN' },
  )
  return { plaintextKey: plaintextKey! }
}

/** Keeps the file's address true when the port changed; says whether there is such a file. */
export async function refreshBootstrap(dataDir: string, graphqlUrl: string): Promise<boolean> {
  const text = await readFile(bootstrapFile(dataDir), 'utf8').catch(() => null)
  if (text === null) return false
  const known = JSON.parse(text) as Bootstrap
  if (known.graphqlUrl !== graphqlUrl) await write(dataDir, { ...known, graphqlUrl })
  return true
}

async function write(dataDir: string, content: Bootstrap): Promise<void> {
  const draft = `${bootstrapFile(dataDir)}.${process.pid}`
  await writeFile(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, bootstrapFile(dataDir))
}
