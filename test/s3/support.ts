/** The S3 endpoint over a store, with a bucket and keys, as clients see it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3'
import { afterAll, beforeAll } from 'vitest'
import { generateAccessKey, secretIdentity } from '../../src/domain/resources/storage/model.ts'
import { blobStore, type Place } from '../../src/domain/resources/stored-object/index.ts'
import type { BlobStore } from '../../src/domain/resources/stored-object/ports.ts'
import { createBlobDisk } from '../../src/drivers/blob-disk/index.ts'
import { type BlobS3Options, createBlobS3 } from '../../src/drivers/blob-s3/index.ts'
import { newRow, row, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { createS3Endpoint, type S3Endpoint } from '../../src/s3/index.ts'
import type { Patience } from '../../src/s3/received-body.ts'
import type { TestApp } from '../support/app.ts'
import { createTenant, createWorld, type Tenant, type World } from '../support/tenant.ts'

export type Permissions = { read?: boolean; write?: boolean; delete?: boolean; admin?: boolean }
export type Key = { id: string; accessKeyId: string; secretAccessKey: string }

export const everything: Permissions = { read: true, write: true, delete: true, admin: true }

/** A server with the endpoint, and what tests need to know of it. */
export type Endpoint = {
  world: World
  app: TestApp
  url: string
  port: number
  directory: string
  endpoint: S3Endpoint
  close(): Promise<void>
}

export type EndpointOptions = {
  settings?: Record<string, string>
  store?: (app: TestApp) => BlobStore | Promise<BlobStore>
  patience?: Patience
}

export async function startEndpoint({ settings = {}, store, patience }: EndpointOptions = {}): Promise<Endpoint> {
  const world = await createWorld(settings)
  const { app } = world
  const directory = await mkdtemp(join(tmpdir(), 'quayside-objects-'))
  blobStore.provide(app, store ? await store(app) : createBlobDisk({ directory, reserveBytes: 0 }))
  const endpoint = createS3Endpoint(app, { host: '127.0.0.1', port: 0, ...(patience ? { patience } : {}) })
  await endpoint.listen({ shared: false })
  return {
    ...{ world, app, directory, endpoint, port: endpoint.port, url: `http://127.0.0.1:${endpoint.port}` },
    async close() {
      await endpoint.close({ graceMs: 100 })
      await world.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

export async function insertBucket(
  { app }: { app: TestApp },
  { organizationId }: Tenant,
  name = `photos-${newId()}`,
  fields: object = {},
): Promise<Place> {
  const bucket = { id: newId(), organizationId, name }
  await run(app.db, sql`insert into storage_tenant ${newRow({ organizationId })} on conflict do nothing`)
  await run(app.db, sql`insert into resource ${newRow({ id: bucket.id, organizationId, type: 'Bucket' })}`)
  await run(app.db, sql`insert into bucket ${newRow({ ...bucket, createdBy: 'test', ...fields })}`)
  return bucket
}

export async function insertKey(
  { app }: { app: TestApp },
  { organizationId }: Tenant,
  buckets: readonly Place[],
  permissions: Permissions = everything,
): Promise<Key> {
  const [id, { accessKeyId, secretAccessKey }] = [newId(), generateAccessKey()]
  const secret = await app.keyring.seal(app.db, organizationId, secretIdentity(id), secretAccessKey)
  const { read = false, write = false, delete: remove = false, admin = false } = permissions
  const granted = { canRead: read, canWrite: write, canDelete: remove, canAdmin: admin }
  const data = {
    ...{ id, organizationId, kind: 'USER', name: 'test', accessKeyId, secret, secretFingerprint: '', createdBy: 'test' },
    ...granted,
  }
  await run(app.db, sql`insert into storage_key ${newRow(data)}`)
  for (const bucket of buckets) {
    await run(app.db, sql`insert into storage_key_bucket ${newRow({ storageKeyId: id, bucketId: bucket.id, organizationId })}`)
  }
  return { id, accessKeyId, secretAccessKey }
}

export const clientOf = (url: string, credentials: Key, options: S3ClientConfig = {}): S3Client =>
  new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1, ...options })

/** The code and status that a request of the SDK is refused with. */
export async function refusalOf(outcome: Promise<unknown>): Promise<string> {
  const error = await outcome.then(
    () => 'done',
    (reason: unknown) => reason,
  )
  if (error instanceof S3ServiceException) return `${error.name} ${error.$metadata.httpStatusCode}`
  if (error === 'done') return error
  throw error
}

/** What the database counts of a bucket, and the number of its rows. */
export const usageOf = async ({ app }: { app: TestApp }, { id, organizationId }: Place) =>
  (await row<{ bytes: number; objects: number; tenantBytes: number; blobs: number; uploads: number }>(
    app.db,
    sql`select b.size_bytes as bytes, b.object_count as objects, t.used_bytes as tenant_bytes,
               (select count(*)::int from object_blob o where o.bucket_id = b.id) as blobs,
               (select count(*)::int from multipart_upload u where u.bucket_id = b.id) as uploads
        from bucket b join storage_tenant t on t.organization_id = b.organization_id
        where b.id = ${id}::uuid and b.organization_id = ${organizationId}::uuid`,
  ))!

/** Files of the disk store, drafts included. */
export async function filesOf({ directory }: Endpoint): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

export type Store = 'files' | 'another S3 server'
export const stores: Store[] = ['files', 'another S3 server']

export type S3World = Endpoint & { tenant: Tenant; bucket: Place; key: Key; client: S3Client; backing: Endpoint | null }

/** An endpoint for all tests of a file, with a bucket and a key that may do everything. The other server is a second endpoint. */
export function s3World(store: Store = 'files', options: EndpointOptions = {}): S3World {
  const state = {} as S3World
  let blobs: ReturnType<typeof createBlobS3> | undefined
  beforeAll(async () => {
    state.backing = null
    if (store === 'another S3 server') {
      state.backing = await startEndpoint()
      blobs = await storeIn(state.backing)
    }
    Object.assign(state, await startEndpoint({ ...options, ...(blobs ? { store: () => blobs! } : {}) }))
    state.tenant = await createTenant(state.app)
    state.bucket = await insertBucket(state, state.tenant)
    state.key = await insertKey(state, state.tenant, [state.bucket])
    state.client = clientOf(state.url, state.key)
  })
  afterAll(async () => {
    state.client?.destroy()
    await state.close?.()
    await blobs?.close()
    await state.backing?.close()
  })
  return state
}

/** A store in a new bucket of an endpoint. */
export async function storeIn(endpoint: Endpoint, options: Partial<BlobS3Options> = {}): Promise<ReturnType<typeof createBlobS3>> {
  const tenant = await createTenant(endpoint.app)
  const bucket = await insertBucket(endpoint, tenant)
  const { accessKeyId, secretAccessKey } = await insertKey(endpoint, tenant, [bucket])
  return createBlobS3({ endpoint: endpoint.url, region: 'us-east-1', accessKeyId, secretAccessKey, bucket: bucket.name, ...options })
}

/** Runs a chore once. */
export async function runChore({ app }: { app: TestApp }, name: string): Promise<void> {
  const chore = app.domain.chores.find((one) => one.name === name)
  if (!chore) throw new Error(`no concept has the chore ${name}`)
  while ((await chore.run(app, new AbortController().signal)) === 'again');
}
