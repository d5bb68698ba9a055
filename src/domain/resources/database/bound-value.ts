/** The variable that services receive from a connected database: its URL. */
import type { Database } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { type BindableKind, oneValueFor } from '../resource-binding/index.ts'
import { lockDatabase } from './lock.ts'
import { urlIdentity } from './model.ts'

type UrlRow = Pick<Database, 'id' | 'url' | 'urlFingerprint' | 'credentialsVersion' | 'credentialsChangedAt' | 'credentialsChangedBy'>

export const bindableDatabases: BindableKind = {
  type: 'Database',
  variables: (alias) => [alias ?? 'DATABASE_URL'],
  lock: (work, id) => lockDatabase(work, { id }),
  valuesOf: oneValueFor(async (tx, ids) => {
    const found = await rows<UrlRow>(
      tx,
      sql`select id, url, url_fingerprint, credentials_version, credentials_changed_at, credentials_changed_by
          from database where id = any(${ids}::uuid[])`,
    )
    return found.map((database) => [
      database.id,
      {
        value: { identity: urlIdentity(database.id), sealed: database.url },
        fingerprint: database.urlFingerprint,
        isSecret: true,
        isShort: false,
        version: database.credentialsVersion,
        changedAt: database.credentialsChangedAt,
        changedBy: database.credentialsChangedBy,
      },
    ])
  }),
}
