/** What the S3 endpoint asks of the storage concept for each request: the key, the bucket, and the counters. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { applyUsage, findBucket, findStorageKey, storageFigures, touchStorageKey } from '../../../src/domain/resources/storage/index.ts'
import { generateAccessKey, secretIdentity } from '../../../src/domain/resources/storage/model.ts'
import { newRow, row, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { codeOf, createTenant, createWorld, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let bucket: { id: string; organizationId: string; name: string }

beforeAll(async () => {
  world = await createWorld({ STORAGE_MAX_BYTES: '1000' })
})
afterAll(() => world.close())

beforeEach(async () => {
  tenant = await createTenant(world.app)
  const { organizationId } = tenant
  bucket = { id: newId(), organizationId, name: `photos-${newId()}` }
  await run(world.app.db, sql`insert into storage_tenant ${newRow({ organizationId })}`)
  await run(world.app.db, sql`insert into resource ${newRow({ id: bucket.id, organizationId, type: 'Bucket' })}`)
  await run(world.app.db, sql`insert into bucket ${newRow({ ...bucket, createdBy: 'test' })}`)
})

async function insertKey() {
  const { app } = world
  const { organizationId } = tenant
  const [id, { accessKeyId, secretAccessKey }] = [newId(), generateAccessKey()]
  const secret = await app.keyring.seal(app.db, organizationId, secretIdentity(id), secretAccessKey)
  const permissions = { canRead: true, canWrite: true, canDelete: false, canAdmin: false }
  const data = {
    id,
    organizationId,
    kind: 'USER',
    name: 'web',
    accessKeyId,
    secret,
    secretFingerprint: '',
    createdBy: 'test',
    ...permissions,
  }
  await run(app.db, sql`insert into storage_key ${newRow(data)}`)
  await run(app.db, sql`insert into storage_key_bucket ${newRow({ storageKeyId: id, bucketId: bucket.id, organizationId })}`)
  return { id, accessKeyId, secretAccessKey }
}

it('a key is found with its secret, permissions and buckets, and in every process refused at once when it is revoked', async () => {
  const { id, accessKeyId, secretAccessKey } = await insertKey()
  const other = await world.process()
  for (const app of [world.app, other]) {
    expect(await findStorageKey(app, accessKeyId)).toEqual({
      ...{ id, name: 'web', organizationId: tenant.organizationId, secretAccessKey, bucketIds: new Set([bucket.id]) },
      permissions: { read: true, write: true, delete: false, admin: false },
    })
  }
  await run(world.app.db, sql`delete from storage_key where id = ${id}::uuid`)
  world.app.wake.notify('credentials')
  for (const app of [world.app, other])
    await until('the key is refused', async () => ((await findStorageKey(app, accessKeyId)) === null ? true : null))
})

it('unknown and malformed key ids are no keys', async () => {
  for (const accessKeyId of [generateAccessKey().accessKeyId, '', 'AKIAIOSFODNN7EXAMPLE', "QS' or true --"])
    expect(await findStorageKey(world.app, accessKeyId)).toBeNull()
})

it('the use of a key is noted once a minute', async () => {
  const { id } = await insertKey()
  await touchStorageKey(world.app, id)
  const read = () =>
    row<{ lastUsedAt: Date; updatedAt: Date; createdAt: Date }>(world.app.db, sql`select * from storage_key where id = ${id}::uuid`)
  const first = (await read())!
  expect(first.lastUsedAt).toBeInstanceOf(Date)
  expect(first.updatedAt).toEqual(first.createdAt)
  await touchStorageKey(world.app, id)
  expect(await read()).toEqual(first)
})

it('a bucket is found by its name until it is deleted', async () => {
  const { id, organizationId, name } = bucket
  expect(await findBucket(world.app.db, name)).toMatchObject({ id, organizationId, name, public: false, corsRules: [], cacheControl: null })
  await run(world.app.db, sql`update bucket set deleting_at = app_now() where id = ${id}::uuid`)
  expect(await findBucket(world.app.db, name)).toBeNull()
})

const use = (bytes: number, objects: number) =>
  world.app.db.transaction((tx) => applyUsage({ app: world.app, tx }, bucket, { bytes, objects }))
const counted = () =>
  row(
    world.app.db,
    sql`select b.size_bytes, b.object_count, t.used_bytes, b.updated_at = b.created_at as unchanged
        from bucket b join storage_tenant t using (organization_id) where b.id = ${bucket.id}::uuid`,
  )

it('usage is counted for the bucket and its organization, and is no change of the bucket', async () => {
  await use(700, 1)
  await use(-200, 0)
  expect(await storageFigures(world.app)).toMatchObject({ objects: 1, bytes: 500 })
  expect(await counted()).toEqual({ sizeBytes: 500, objectCount: 1, usedBytes: 500, unchanged: true })
})

it('usage beyond the quota is refused and leaves nothing; what fits exactly and what shrinks is not', async () => {
  await use(1000, 1)
  expect(await codeOf(use(1, 1))).toBe('storage_quota_exceeded')
  expect(await counted()).toMatchObject({ sizeBytes: 1000, objectCount: 1, usedBytes: 1000 })
  await use(0, 1)
  await use(-1000, -2)
  expect(await counted()).toMatchObject({ sizeBytes: 0, objectCount: 0, usedBytes: 0 })
})

it('concurrent uploads never exceed the quota', async () => {
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => codeOf(use(100, 1))))
  expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(10)
  expect(await counted()).toMatchObject({ sizeBytes: 1000, objectCount: 10, usedBytes: 1000 })
})

it('a bucket that is being deleted takes nothing more, but can be emptied', async () => {
  await use(100, 1)
  await run(world.app.db, sql`update bucket set deleting_at = app_now() where id = ${bucket.id}::uuid`)
  expect(await codeOf(use(1, 1))).toBe('not_found')
  await use(-100, -1)
  expect(await counted()).toMatchObject({ sizeBytes: 0, objectCount: 0, usedBytes: 0 })
})
