/** Lists, compared with what a simple program makes of all keys. */
import { ListObjectsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeAll, expect, it } from 'vitest'
import { listObjects } from '../../src/domain/resources/stored-object/index.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { statementsOf } from '../support/tenant.ts'
import { insertBucket, s3World } from './support.ts'

const s3 = s3World()

const keys = [
  ...[
    'a',
    'a/',
    'a/b',
    'a/b/c',
    'a/b/d',
    'a/é',
    'a0',
    'ab',
    'a\u{1f600}/x',
    'a\u{1f600}/y',
    'A',
    'B/',
    'B/x',
    'Z',
    'z/1',
    'z/2/3',
    'ü/1',
    'ü/2',
    '\uffee',
    '\u{10000}',
  ],
  ...['x//y', 'x/', '//', '/lead', 'with space', 'p%2Fq', 'd--e--f', 'd--e--g', 'd--h', '-', '--'],
]

beforeAll(async () => {
  for (const Key of keys) await s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key, Body: '' }))
})

const bytes = (left: string, right: string) => Buffer.compare(Buffer.from(left), Buffer.from(right))

/** Entries as they should be: keys, and prefixes with a mark. */
function expected(prefix: string, delimiter: string): string[] {
  const entries = keys
    .filter((key) => key.startsWith(prefix))
    .sort(bytes)
    .map((key) => {
      const at = delimiter ? key.indexOf(delimiter, prefix.length) : -1
      return at < 0 ? key : `${key.slice(0, at + delimiter.length)} <`
    })
  return [...new Set(entries)]
}

it.each(['', '/', '--', 'a', 'é'])(
  'with the delimiter %j, every prefix and page size lists each entry once, in the order of bytes',
  async (delimiter) => {
    for (const prefix of ['', 'a', 'a/', 'a/b/', 'd--', 'x/', 'ü', 'a\u{1f600}', 'nothing', '\uffee']) {
      for (const limit of [1, 2, 3, 1_000]) {
        const found: string[] = []
        for (let after = '', isTruncated = true; isTruncated; ) {
          const page = await listObjects(s3.app.db, { bucketId: s3.bucket.id, prefix, delimiter, after, limit })
          found.push(...page.entries.map(({ key, object }) => (object ? key : `${key} <`)))
          isTruncated = page.isTruncated
          after = page.entries.at(-1)?.key ?? ''
        }
        expect([prefix, limit, found]).toEqual([prefix, limit, expected(prefix, delimiter)])
      }
    }
  },
)

it('both versions of the operation page, encode names on demand and start where they are told to', async () => {
  const Bucket = s3.bucket.name
  const second: string[] = []
  for (let ContinuationToken: string | undefined, more = true; more; ) {
    const page = await s3.client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 7, ContinuationToken, EncodingType: 'url' }))
    expect(page.KeyCount).toBe(page.Contents?.length)
    second.push(...(page.Contents ?? []).map(({ Key }) => decodeURIComponent(Key!)))
    ContinuationToken = page.NextContinuationToken
    more = Boolean(page.IsTruncated)
  }
  expect(second).toEqual(expected('', ''))
  const first: string[] = []
  for (let Marker: string | undefined, more = true; more; ) {
    const page = await s3.client.send(new ListObjectsCommand({ Bucket, MaxKeys: 4, Marker, Delimiter: '/' }))
    first.push(...(page.Contents ?? []).map(({ Key }) => Key!), ...(page.CommonPrefixes ?? []).map(({ Prefix }) => `${Prefix} <`))
    Marker = page.NextMarker
    more = Boolean(page.IsTruncated)
  }
  expect(first.sort(bytes)).toEqual(expected('', '/').sort(bytes))
  const started = await s3.client.send(new ListObjectsV2Command({ Bucket, StartAfter: 'x/', Prefix: 'x', MaxKeys: 0 }))
  expect(started).toMatchObject({ KeyCount: 0, IsTruncated: false })
  const rest = await s3.client.send(new ListObjectsV2Command({ Bucket, StartAfter: 'x/', Prefix: 'x' }))
  expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['x//y'])
})

it('a page of prefixes costs one statement and reads few rows, however many keys they have', async () => {
  const { id, organizationId } = await insertBucket(s3, s3.tenant)
  await run(
    s3.app.db,
    sql`insert into stored_object (bucket_id, organization_id, key, content_id, size_bytes, etag)
        select ${id}::uuid, ${organizationId}::uuid, 'folder ' || f || '/' || n, gen_random_uuid(), 1, 'x' from generate_series(1, 20) f, generate_series(1, 500) n`,
  )
  const request = { bucketId: id, prefix: '', delimiter: '/', after: '', limit: 1_000 }
  const statements = await statementsOf(s3.app, async () => {
    expect((await listObjects(s3.app.db, request)).entries).toHaveLength(20)
  })
  expect(statements).toHaveLength(1)
})
