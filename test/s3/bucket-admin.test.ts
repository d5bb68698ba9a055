/** What keys with the permission `admin` change of their buckets. */
import {
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  GetBucketCorsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { rows, sql } from '../../src/platform/db/index.ts'
import { clientOf, insertBucket, insertKey, type Key, refusalOf, s3World } from './support.ts'

const world = s3World()
let bucket: Awaited<ReturnType<typeof insertBucket>>
let [key, admin, other]: [Key, S3Client, S3Client] = [] as never

beforeEach(async () => {
  bucket = await insertBucket(world, world.tenant)
  key = await insertKey(world, world.tenant, [bucket], { read: true, admin: true })
  admin = clientOf(world.url, key)
  other = clientOf(world.url, await insertKey(world, world.tenant, [bucket], { read: true, write: true, delete: true }))
})
afterEach(() => {
  admin.destroy()
  other.destroy()
})

const rule = {
  ...{ AllowedOrigins: ['https://*.example.com'], AllowedMethods: ['GET', 'PUT'], AllowedHeaders: ['*'], ExposeHeaders: ['ETag'] },
  MaxAgeSeconds: 60,
}
const put = (client: S3Client, rules: object[] = [rule]) =>
  client.send(new PutBucketCorsCommand({ Bucket: bucket.name, CORSConfiguration: { CORSRules: rules as never } }))
const get = async () => (await other.send(new GetBucketCorsCommand({ Bucket: bucket.name }))).CORSRules
const eventsAndActor = () =>
  rows(
    world.app.db,
    sql`select (select array_agg(type order by sequence) from event where subject_id = ${bucket.id}::uuid) as types,
               array_agg(distinct actor_type || ' ' || actor_id) as actors from audit_entry where target_id = ${bucket.id}::uuid`,
  )

it('CORS rules are put, read and deleted, as events and with the key in the audit log', async () => {
  await put(admin)
  expect(await get()).toEqual([rule])
  await admin.send(new DeleteBucketCorsCommand({ Bucket: bucket.name }))
  expect(await refusalOf(get())).toBe('NoSuchCORSConfiguration 404')
  expect(await eventsAndActor()).toEqual([{ types: ['bucket.updated', 'bucket.updated'], actors: [`storage_key ${key.id}`] }])
})

it('bad CORS rules are refused and change nothing', async () => {
  for (const bad of [
    { ...rule, AllowedMethods: ['PATCH'] },
    { ...rule, AllowedOrigins: ['https://*.*.com'] },
    { ...rule, MaxAgeSeconds: -1 },
  ])
    expect(await refusalOf(put(admin, [bad]))).toBe('InvalidArgument 400')
  expect(await refusalOf(put(admin, []))).toBe('MalformedXML 400')
  expect(await refusalOf(get())).toBe('NoSuchCORSConfiguration 404')
})

it('an empty bucket is deleted, one with objects is not', async () => {
  const remove = () => admin.send(new DeleteBucketCommand({ Bucket: bucket.name }))
  await other.send(new PutObjectCommand({ Bucket: bucket.name, Key: 'a', Body: 'x' }))
  expect(await refusalOf(remove())).toBe('BucketNotEmpty 409')
  bucket = await insertBucket(world, world.tenant)
  admin.destroy()
  admin = clientOf(world.url, await insertKey(world, world.tenant, [bucket], { admin: true }))
  await remove()
  expect(await refusalOf(remove())).toBe('NoSuchBucket 404')
})

it('without the permission nothing is changed', async () => {
  expect(await refusalOf(put(other))).toBe('AccessDenied 403')
  expect(await refusalOf(other.send(new DeleteBucketCorsCommand({ Bucket: bucket.name })))).toBe('AccessDenied 403')
  expect(await refusalOf(other.send(new DeleteBucketCommand({ Bucket: bucket.name })))).toBe('AccessDenied 403')
  expect(await refusalOf(get())).toBe('NoSuchCORSConfiguration 404')
})
