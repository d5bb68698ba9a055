/** The deletion of buckets with real objects and unfinished uploads. */
import { CreateMultipartUploadCommand, GetObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { beforeEach, expect, it } from 'vitest'
import { applyUsage, deleteBucket } from '../../src/domain/resources/storage/index.ts'
import { execute } from '../../src/platform/command.ts'
import { row, sql } from '../../src/platform/db/index.ts'
import { codeOf, request } from '../support/tenant.ts'
import { clientOf, filesOf, insertBucket, insertKey, refusalOf, runChore, s3World } from './support.ts'

const world = s3World()
let bucket: Awaited<ReturnType<typeof insertBucket>>
let client: ReturnType<typeof clientOf>

beforeEach(async () => {
  bucket = await insertBucket(world, world.tenant)
  client = clientOf(world.url, await insertKey(world, world.tenant, [bucket]))
})

const put = (key: string, body = 'x') => client.send(new PutObjectCommand({ Bucket: bucket.name, Key: key, Body: body }))
const remove = (force = false) => execute(request(world.app, world.tenant.owner), deleteBucket, { id: bucket.id, force })
const usedBytes = async () =>
  (await row<{ used: number }>(
    world.app.db,
    sql`select used_bytes as used from storage_tenant where organization_id = ${bucket.organizationId}::uuid`,
  ))!.used
const isGone = async () => (await row(world.app.db, sql`select 1 as one from bucket where id = ${bucket.id}::uuid`)) === null

it('an object keeps its bucket, unless the deletion is forced; then nothing of it is left', async () => {
  const before = await usedBytes()
  await put('a/../b', 'twelve bytes')
  await put('c')
  expect(await usedBytes()).toBe(before + 13)
  expect(await codeOf(remove())).toBe('bucket_not_empty')
  await remove(true)
  expect(await refusalOf(client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'c' })))).toBe('NoSuchBucket 404')
  expect(await refusalOf(put('d'))).toBe('NoSuchBucket 404')
  await runChore(world, 'remove buckets')
  expect([await isGone(), await usedBytes()]).toEqual([true, before])
  const kept = await row<{ n: number }>(
    world.app.db,
    sql`select count(*)::int as n from object_blob where bucket_id = ${bucket.id}::uuid and removable_at is null`,
  )
  expect(kept!.n).toBe(0)
})

it('an unfinished upload keeps its bucket, unless the deletion is forced; then its bytes are removed', async () => {
  const [before, files] = [await usedBytes(), (await filesOf(world)).length]
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket.name, Key: 'big' }))
  await client.send(new UploadPartCommand({ Bucket: bucket.name, Key: 'big', UploadId, PartNumber: 1, Body: 'part' }))
  expect(await codeOf(remove())).toBe('bucket_not_empty')
  await remove(true)
  await runChore(world, 'remove buckets')
  await runChore(world, 'purge blobs')
  expect([await isGone(), await usedBytes(), (await filesOf(world)).length]).toEqual([true, before, files])
})

it('a bucket with more objects than one step removes is emptied, and an upload that runs meanwhile stores nothing', async () => {
  const before = await usedBytes()
  const copies = sql`insert into stored_object (bucket_id, organization_id, key, content_id, size_bytes, etag)
    select o.bucket_id, o.organization_id, 'copy ' || n, o.content_id, o.size_bytes, o.etag
    from stored_object o cross join generate_series(1, 2500) as n where o.bucket_id = ${bucket.id}::uuid`
  await put('first')
  await world.app.db.transaction(async (tx) => {
    await row(tx, copies)
    await applyUsage({ app: world.app, tx }, bucket, { bytes: 2_500, objects: 2_500 })
  })
  const upload = put('late', 'x'.repeat(100_000)).then(
    () => 'stored',
    () => 'refused',
  )
  await remove(true)
  await upload
  await runChore(world, 'remove buckets')
  expect([await isGone(), await usedBytes()]).toEqual([true, before])
})
