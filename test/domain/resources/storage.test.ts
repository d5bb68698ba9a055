/** Buckets and storage keys through the GraphQL API. */
import { describe, expect, it } from 'vitest'
import { findBucket, findStorageKey, type SigningKey } from '../../../src/domain/resources/storage/index.ts'
import { removeBuckets } from '../../../src/domain/resources/storage/removal.ts'
import { rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { operation } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { createBucketText, endpointUrl, useStore } from './storage-support.ts'

const store = useStore()

const show = async (id: string) =>
  (
    await store.run(
      `query ($id: ID!) { bucket(id: $id) { id name version public corsRules cacheControl sizeBytes objectCount endpoint resourceBindings { id } } }`,
      { id },
    )
  ).bucket
const tenantOf = async () =>
  (await store.run('{ storageTenant { endpoint region maxBuckets maxBytes usedBytes bucketCount keyCount } }')).storageTenant
const served = (name: string) => findBucket(store.world.app.db, name)

describe('a bucket', () => {
  it('is private and empty, and is found by its ID, its name and in the list', async () => {
    const { id, name } = await store.bucket()
    const expected = {
      ...{ id, name, version: 1, public: false, corsRules: [], cacheControl: null, sizeBytes: 0, objectCount: 0 },
      ...{ endpoint: endpointUrl, resourceBindings: [] },
    }
    expect(await show(id)).toEqual(expected)
    const { bucket, buckets, node } = await store.run(
      'query ($id: ID!, $name: String!) { bucket(name: $name) { id } buckets(last: 1) { nodes { id } } node(id: $id) { id ... on Bucket { name } } }',
      { id, name },
    )
    expect([bucket, buckets.nodes[0], node]).toEqual([{ id }, { id }, { id, name }])
    expect(await store.eventsOf(id)).toEqual(['bucket.created'])
    expect(await served(name)).toMatchObject({ id: decodeId('Bucket', id), public: false })
  })

  it('is asked for by exactly one of ID and name', async () => {
    for (const args of ['', '(id: "bkt_1", name: "x")'])
      expect(await store.refused(`{ bucket${args} { id } }`)).toMatchObject({ code: 'invalid_input', field: 'id' })
  })

  it('is not seen by another organization', async () => {
    const { id, name } = await store.bucket()
    const { bucket, buckets } = await store.run(
      'query ($name: String!) { bucket(name: $name) { id } buckets { totalCount } }',
      { name },
      store.other,
    )
    expect([bucket, buckets.totalCount]).toEqual([null, 0])
    for (const source of [
      'mutation ($id: ID!) { updateBucket(input: {id: $id, public: true}) { bucket { id } } }',
      'mutation ($id: ID!) { deleteBucket(input: {id: $id}) { deletedId } }',
      'mutation ($id: ID!) { createStorageKey(input: {name: "x", bucketIds: [$id], permissions: {}}) { storageKey { id } } }',
    ])
      expect(await store.refused(source, { id }, store.other)).toMatchObject({ code: 'not_found' })
    expect(await show(id)).toMatchObject({ version: 1, public: false })
  })
})

describe('the name of a bucket', () => {
  it.each([
    'ab',
    'a'.repeat(64),
    'Upper',
    'under_score',
    'dot.dot',
    '192.168.5.4',
    '-begin',
    'end-',
    'xn--punycode',
    'sthree-x',
    'amzn-s3-demo-x',
    'x-s3alias',
    'x--ol-s3',
    'space bar',
    'ümlaut',
    '../etc',
    '',
  ])('%j is refused', async (name) => {
    expect(await store.refused(createBucketText, { name })).toMatchObject({ code: 'invalid_input', field: 'name' })
  })

  it.each(['abc', 'a'.repeat(63), '123', 'a--b', `${newId()}`])('%j is accepted', async (name) => {
    expect((await store.run(createBucketText, { name })).createBucket.bucket.name).toBe(name)
  })

  it('is refused in the same way whether the own or another organization has it', async () => {
    const { name } = await store.bucket(store.other)
    const taken = await store.refused(createBucketText, { name })
    expect(taken).toMatchObject({ code: 'bucket_name_taken', field: 'name' })
    expect(await store.refused(createBucketText, { name }, store.other)).toEqual(taken)
  })

  it('that many ask for at one moment is given to one of them', async () => {
    const name = `crowd-${newId()}`
    const asked = [store.tenant, store.other, store.tenant, store.other, store.tenant]
    const outcomes = await Promise.all(asked.map((tenant) => store.refused(createBucketText, { name }, tenant)))
    expect(outcomes.map(({ code }) => code).sort()).toEqual([...Array(4).fill('bucket_name_taken'), 'done'])
  })
})

describe('an update', () => {
  const update = `mutation ($id: ID!, $public: Boolean, $cors: [CorsRuleInput!], $cache: String) {
    updateBucket(input: {id: $id, public: $public, corsRules: $cors, cacheControl: $cache}) { bucket { version public corsRules cacheControl } } }`

  it('changes what is given and keeps the rest; one that changes nothing is no change', async () => {
    const { id, name } = await store.bucket()
    const cors = [
      {
        allowedOrigins: ['https://*.example.com'],
        allowedMethods: ['GET', 'PUT'],
        allowedHeaders: ['*'],
        exposeHeaders: ['ETag'],
        maxAgeSeconds: 60,
      },
    ]
    const { bucket } = (await store.run(update, { id, public: true, cors })).updateBucket
    expect(bucket).toEqual({ version: 2, public: true, corsRules: cors, cacheControl: null })
    const again = await store.run(update, { id, public: true, cors })
    expect(again.updateBucket.bucket.version).toBe(2)
    await store.run(update, { id, cache: 'public, max-age=60' })
    expect(await served(name)).toMatchObject({ public: true, corsRules: cors, cacheControl: 'public, max-age=60' })
    await store.run(update, { id, cache: null, cors: [{ allowedOrigins: ['*'] }] })
    expect(await served(name)).toMatchObject({
      corsRules: [{ allowedOrigins: ['*'], allowedMethods: ['GET', 'HEAD'], allowedHeaders: [], exposeHeaders: [], maxAgeSeconds: null }],
      cacheControl: null,
    })
    expect(await store.eventsOf(id)).toEqual(['bucket.created', ...Array(3).fill('bucket.updated')])
  })

  const rule = { allowedOrigins: ['*'] }
  it.each([
    ['corsRules.0.allowedOrigins', { cors: [{ allowedOrigins: [] }] }],
    ['corsRules.0.allowedOrigins.0', { cors: [{ allowedOrigins: ['https://*.*.example.com'] }] }],
    ['corsRules.0.allowedOrigins.0', { cors: [{ allowedOrigins: ['https://a\r\nSet-Cookie: x'] }] }],
    ['corsRules.0.allowedMethods.0', { cors: [{ ...rule, allowedMethods: ['PATCH'] }] }],
    ['corsRules.0.allowedHeaders.0', { cors: [{ ...rule, allowedHeaders: ['x: y'] }] }],
    ['corsRules.0.exposeHeaders.0', { cors: [{ ...rule, exposeHeaders: ['*'] }] }],
    ['corsRules.0.maxAgeSeconds', { cors: [{ ...rule, maxAgeSeconds: 86_401 }] }],
    ['corsRules', { cors: Array(21).fill(rule) }],
    ['cacheControl', { cache: 'x'.repeat(256) }],
    ['cacheControl', { cache: 'private\r\nSet-Cookie: x' }],
    ['cacheControl', { cache: '' }],
  ])('with a bad %s is refused and changes nothing', async (field, given) => {
    const { id } = await store.bucket()
    expect(await store.refused(update, { id, public: true, ...given })).toMatchObject({ code: 'invalid_input', field })
    expect(await show(id)).toMatchObject({ version: 1, public: false })
  })
})

describe('the deletion of a bucket', () => {
  const remove = 'mutation ($id: ID!, $force: Boolean) { deleteBucket(input: {id: $id, force: $force}) { deletedId } }'
  const chore = () => removeBuckets.run(store.world.app, new AbortController().signal)

  it('that is empty is immediate, and its name can be used again', async () => {
    const { id, name } = await store.bucket()
    expect((await store.run(remove, { id })).deleteBucket.deletedId).toBe(id)
    expect(await store.eventsOf(id)).toEqual(['bucket.created', 'bucket.deleted'])
    expect([await show(id), await served(name)]).toEqual([null, null])
    await store.run(createBucketText, { name })
  })

  it('that has objects is refused unless forced; then it is gone at once and emptied step by step', async () => {
    const { id, name } = await store.bucket()
    store.items.set(name, 3)
    expect(await store.refused(remove, { id })).toMatchObject({ code: 'bucket_not_empty', field: 'id' })
    expect(await show(id)).toMatchObject({ version: 1 })
    await store.run(remove, { id, force: true })
    expect([await show(id), await served(name)]).toEqual([null, null])
    expect(await store.refused(remove, { id, force: true })).toMatchObject({ code: 'not_found' })
    expect(await store.refused(createBucketText, { name })).toMatchObject({ code: 'bucket_name_taken' })
    expect(await chore()).toBe('again')
    expect(store.items.get(name)).toBe(1)
    expect(await store.eventsOf(id)).toEqual(['bucket.created'])
    expect(await chore()).toBeUndefined()
    expect(await store.eventsOf(id)).toEqual(['bucket.created', 'bucket.deleted'])
    await store.run(createBucketText, { name })
  })

  it('of several buckets takes turns, and one that fails does not keep the others', async () => {
    const all = [await store.bucket(), await store.bucket(), await store.bucket()]
    for (const { name } of all) store.items.set(name, 1)
    for (const { id } of all) await store.run(remove, { id, force: true })
    const [, stuck] = all
    // Its number of objects can't be read.
    store.items.set(stuck!.name, {
      valueOf: () => {
        throw new Error('the index is broken')
      },
    } as never)
    await expect(chore()).rejects.toThrow('the index is broken')
    for (const { id } of [all[0]!, all[2]!]) expect(await store.eventsOf(id)).toContain('bucket.deleted')
    expect(await store.eventsOf(stuck!.id)).toEqual(['bucket.created'])
    store.items.set(stuck!.name, 0)
    await chore()
    expect(await store.eventsOf(stuck!.id)).toContain('bucket.deleted')
  })
})

describe('a storage key', () => {
  const create = `mutation ($name: String!, $ids: [ID!]!, $permissions: StorageKeyPermissionsInput!, $once: String) {
    createStorageKey(input: {name: $name, bucketIds: $ids, permissions: $permissions, idempotencyKey: $once}) {
      storageKey { id name accessKeyId buckets { id } permissions { read write delete admin } lastUsedAt } secretAccessKey } }`
  const make = async (ids: string[], permissions = {}) => (await store.run(create, { name: 'uploads', ids, permissions })).createStorageKey
  const found = (accessKeyId: string): Promise<SigningKey | null> => Promise.resolve(findStorageKey(store.world.app, accessKeyId))

  it('works for its buckets with its permissions, and shows its secret once', async () => {
    const [one, two] = [await store.bucket(), await store.bucket()]
    const variables = { name: 'uploads', ids: [two.id, one.id], permissions: { write: true }, once: newId() }
    const { storageKey, secretAccessKey } = (await store.run(create, variables)).createStorageKey
    const permissions = { read: true, write: true, delete: false, admin: false }
    expect(storageKey).toMatchObject({ name: 'uploads', buckets: [{ id: one.id }, { id: two.id }], permissions, lastUsedAt: null })
    expect(storageKey.accessKeyId).toMatch(/^QS[A-Z2-7]{18}$/)
    expect(secretAccessKey).toMatch(/^[\w-]{40}$/)
    const bucketIds = new Set([one, two].map(({ id }) => decodeId('Bucket', id)))
    expect(await found(storageKey.accessKeyId)).toMatchObject({ secretAccessKey, permissions, bucketIds })
    const repeated = (await store.run(create, variables)).createStorageKey
    expect(repeated).toEqual({ storageKey, secretAccessKey: null })
    const { storageKeys } = await store.run('{ storageKeys(last: 1) { nodes { id } } }')
    expect(storageKeys.nodes).toEqual([{ id: storageKey.id }])
    expect(await store.eventsOf(storageKey.id)).toEqual(['storage_key.created'])
    const audit = await rows(
      store.world.app.db,
      sql`select action, details, after->>'canWrite' as can_write from audit_entry where target_id = ${decodeId('StorageKey', storageKey.id)}::uuid`,
    )
    expect(audit).toEqual([{ action: 'createStorageKey', details: { buckets: [one.name, two.name] }, canWrite: 'true' }])
  })

  it('that is deleted is refused at once in every process', async () => {
    const { storageKey } = await make([(await store.bucket()).id])
    const other = await store.world.process()
    for (const app of [store.world.app, other]) expect(await findStorageKey(app, storageKey.accessKeyId)).not.toBeNull()
    const remove = 'mutation ($id: ID!) { deleteStorageKey(input: {id: $id}) { deletedId } }'
    expect((await store.run(remove, { id: storageKey.id })).deleteStorageKey.deletedId).toBe(storageKey.id)
    expect(await found(storageKey.accessKeyId)).toBeNull()
    await until('the other process refuses it', async () => (await findStorageKey(other, storageKey.accessKeyId)) === null)
    expect(await store.eventsOf(storageKey.id)).toEqual(['storage_key.created', 'storage_key.revoked'])
    expect(await store.refused(remove, { id: storageKey.id })).toMatchObject({ code: 'not_found' })
  })

  it('loses a bucket that is deleted and keeps the others', async () => {
    const [kept, gone] = [await store.bucket(), await store.bucket()]
    const { storageKey } = await make([kept.id, gone.id])
    await store.run('mutation ($id: ID!) { deleteBucket(input: {id: $id}) { deletedId } }', { id: gone.id })
    expect((await found(storageKey.accessKeyId))!.bucketIds).toEqual(new Set([decodeId('Bucket', kept.id)]))
  })

  it('is refused for no bucket, a foreign one among own ones, too many, or without a permission; nothing is created', async () => {
    const own = await store.bucket()
    const foreign = await store.bucket(store.other)
    const before = (await tenantOf()).keyCount
    for (const [variables, expected] of [
      [{ ids: [] }, { code: 'invalid_input', field: 'bucketIds' }],
      [{ ids: Array(101).fill(own.id) }, { code: 'invalid_input', field: 'bucketIds' }],
      [{ ids: [own.id, foreign.id] }, { code: 'not_found', field: 'bucketIds' }],
      [{ permissions: { read: false } }, { code: 'invalid_input', field: 'permissions' }],
      [{ name: '' }, { code: 'invalid_input', field: 'name' }],
    ] as const)
      expect(await store.refused(create, { name: 'x', ids: [own.id], permissions: {}, ...variables })).toMatchObject(expected)
    expect((await tenantOf()).keyCount).toBe(before)
  })
})

it('the tenant shows the endpoint, the quotas and what is used', async () => {
  const before = await tenantOf()
  const { id } = await store.bucket()
  await store.run('mutation ($id: ID!) { createStorageKey(input: {name: "x", bucketIds: [$id], permissions: {}}) { storageKey { id } } }', {
    id,
  })
  await runSql(
    store.world.app.db,
    sql`update storage_tenant set used_bytes = 12 where organization_id = ${store.tenant.organizationId}::uuid`,
  )
  expect(await tenantOf()).toEqual({
    ...{ endpoint: endpointUrl, region: 'us-east-1', maxBuckets: 100, maxBytes: 107_374_182_400, usedBytes: 12 },
    ...{ bucketCount: before.bucketCount + 1, keyCount: before.keyCount + 1 },
  })
})

it('a key that is limited to a project creates nothing, and sees a bucket only while it is connected to a service of the project', async () => {
  const { id } = await store.bucket()
  const limited = store.tenant.key('ADMIN', decodeId('Project', store.projectId))
  const ask = async (source: string, variables = {}) => {
    const { data, errors } = await operation(store.world.app, limited, source, variables)
    return { ...data, code: errors?.[0]?.code }
  }
  expect(await ask(createBucketText, { name: 'limited' })).toMatchObject({ code: 'forbidden' })
  const key = 'mutation ($id: ID!) { createStorageKey(input: {name: "x", bucketIds: [$id], permissions: {}}) { storageKey { id } } }'
  expect(await ask(key, { id })).toMatchObject({ code: 'forbidden' })
  expect(await ask('query ($id: ID!) { bucket(id: $id) { id } storageKeys { totalCount } }', { id })).toMatchObject({
    bucket: null,
    storageKeys: { totalCount: 0 },
  })
  const service = await store.service('limited')
  await store.run('mutation ($b: ID!, $s: ID!) { connectBucket(input: {bucketId: $b, webServiceId: $s}) { warnings } }', {
    b: id,
    s: service,
  })
  const shown = await ask('query ($s: ID!) { webService(id: $s) { resourceBindings { resource { id } } } buckets { nodes { id } } }', {
    s: service,
  })
  expect(shown).toMatchObject({ webService: { resourceBindings: [{ resource: { id } }] }, buckets: { nodes: [{ id }] } })
  expect(await ask('mutation ($id: ID!) { updateBucket(input: {id: $id, public: true}) { bucket { id } } }', { id })).toMatchObject({
    code: 'not_found',
  })
})
