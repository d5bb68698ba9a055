import { randomBytes } from 'node:crypto'
import type { Database } from '../../../generated/prisma/client.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { DatabaseSpec } from './ports.ts'

/** What the sealed columns are sealed for. */
export const passwordIdentity = (id: string) => `database:${id}:password`
export const superuserIdentity = (id: string) => `database:${id}:superuser_password`
export const urlIdentity = (id: string) => `database:${id}:url`

/** 192 random bits in characters that need no escapes in a URL, in SQL or in a file. */
export const newPassword = () => randomBytes(24).toString('base64url')

/**
 * Name of the database and its role: that of the slug, with the end of the id. On a server that other installations may use too, with the
 * whole id. PostgreSQL reserves names that begin with `pg_`, and cuts names after 63 bytes.
 */
export function nameOf(slug: string, id: string, ownsServer: boolean): string {
  const suffix = ownsServer ? id.slice(-6) : id.replaceAll('-', '')
  const name = `${slug.replaceAll('-', '_').slice(0, 59 - suffix.length)}_${suffix}`
  return /^(pg_|\d)/.test(name) ? `db_${name}` : name
}

export type Address = Pick<Database, 'host' | 'port' | 'databaseName' | 'username'>

export const urlOf = ({ host, port, databaseName, username }: Address, password: string): string =>
  `postgresql://${username}:${password}@${host}:${port}/${databaseName}`

/** What the engine needs, with the opened passwords. */
export async function specOf({ app, tx }: { app: App; tx: Tx }, database: Database): Promise<DatabaseSpec> {
  const { id, organizationId, host, port, ownsPort, databaseName, username, maxConnections } = database
  const open = (identity: string, sealed: Uint8Array) => app.keyring.open(tx, organizationId, identity, sealed)
  return {
    id,
    host,
    port,
    ownsPort,
    databaseName,
    username,
    password: await open(passwordIdentity(id), database.password),
    superuserPassword: await open(superuserIdentity(id), database.superuserPassword),
    maxConnections,
    settings: database.settings as Record<string, string>,
  }
}
