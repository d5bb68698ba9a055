/** The variable that services receive from a connected Redis instance: its URL. */
import type { Redis } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { type BindableKind, oneValueFor } from '../resource-binding/index.ts'
import { lockRedis } from './lock.ts'
import { urlIdentity } from './model.ts'

type UrlRow = Pick<Redis, 'id' | 'url' | 'urlFingerprint' | 'createdAt' | 'createdBy'>

export const bindableRedis: BindableKind = {
  type: 'Redis',
  variables: (alias) => [alias ?? 'REDIS_URL'],
  lock: (work, id) => lockRedis(work, { id }),
  valuesOf: oneValueFor(async (tx, ids) => {
    const found = await rows<UrlRow>(
      tx,
      sql`select id, url, url_fingerprint, created_at, created_by from redis where id = any(${ids}::uuid[])`,
    )
    const value = ({ id, url, urlFingerprint, createdAt, createdBy }: UrlRow) => ({
      ...{ value: { identity: urlIdentity(id), sealed: url }, fingerprint: urlFingerprint, isSecret: true, isShort: false },
      ...{ version: 1, changedAt: createdAt, changedBy: createdBy },
    })
    return found.map((redis) => [redis.id, value(redis)])
  }),
}
