/** Lists objects in the order of their keys, with the keys below a delimiter folded into their common prefix. */
import type { StoredObject } from '../../../generated/prisma/client.ts'
import { rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { afterPrefix } from './model.ts'

export type Listed = Pick<StoredObject, 'key' | 'sizeBytes' | 'etag' | 'lastModified' | 'checksumAlgorithm' | 'checksumType'>

/** An object, or the common prefix of several. */
export type ListEntry = { key: string; object: Listed | null }

export type ListRequest = {
  bucketId: string
  prefix: string
  /** Empty: no prefixes. */
  delimiter: string
  /** An object's key, or a common prefix of the page before. Only what follows is listed. */
  after: string
  limit: number
}

/** A page, and whether more follows it. */
export async function listObjects(tx: Tx, request: ListRequest): Promise<{ entries: ListEntry[]; isTruncated: boolean }> {
  const { limit } = request
  if (limit === 0) return { entries: [], isTruncated: false }
  const found = await rows<Listed & { commonPrefix: string | null }>(tx, request.delimiter === '' ? plain(request) : folded(request))
  const entries = found
    .slice(0, limit)
    .map(({ commonPrefix, ...object }) => (commonPrefix === null ? { key: object.key, object } : { key: commonPrefix, object: null }))
  return { entries, isTruncated: found.length > limit }
}

const columns = sql`o.size_bytes, o.etag, o.last_modified, o.checksum_algorithm, o.checksum_type`

/** The condition that a key has the prefix. */
function within({ prefix }: ListRequest): Sql {
  const end = afterPrefix(prefix)
  return end === null ? sql`o.key >= ${prefix}` : sql`o.key >= ${prefix} and o.key < ${end}`
}

const plain = (request: ListRequest): Sql =>
  sql`select o.key, null as common_prefix, ${columns} from stored_object o
      where o.bucket_id = ${request.bucketId}::uuid and ${within(request)} and o.key > ${request.after}
      order by o.key limit ${request.limit + 1}`

/** Jumps from entry to entry, so that a page costs the same however many keys its prefixes have. */
function folded(request: ListRequest): Sql {
  const { bucketId, prefix, delimiter, after, limit } = request
  /** Replaces the delimiter at the end of a common prefix with the first text that follows all of its keys. */
  const beyond = afterPrefix(delimiter) ?? delimiter
  const isAfterPrefix = after.endsWith(delimiter) && after.length > prefix.length && after.startsWith(prefix)
  const first = isAfterPrefix ? after.slice(0, -delimiter.length) + beyond : `${after}\u0001`
  const at = sql`strpos(substr(o.key, ${[...prefix].length + 1}::int), ${delimiter})`
  const next = (from: Sql): Sql =>
    sql`select o.key, case when ${at} > 0 then left(o.key, ${[...prefix].length}::int + ${at} - 1) end as head
        from stored_object o where o.bucket_id = ${bucketId}::uuid and ${within(request)} and o.key >= ${from} order by o.key limit 1`
  return sql`with recursive entry (key, head, place) as (
      (select f.key, f.head, 1 from (${next(sql`${first}`)}) f)
      union all
      select n.key, n.head, entry.place + 1 from entry cross join lateral (
        ${next(sql`(case when entry.head is null then entry.key || ${'\u0001'} else entry.head || ${beyond} end) collate "C"`)}) n
      where entry.place <= ${limit})
    select e.key, e.head || ${delimiter} as common_prefix, ${columns}
    from entry e left join stored_object o on e.head is null and o.bucket_id = ${bucketId}::uuid and o.key = e.key
    order by e.place`
}
