/** Buckets that are connected to services: their variables, and the key that comes and goes with the connection. */
import { beforeEach, describe, expect, it } from 'vitest'
import { deleteWebService } from '../../../src/domain/apps/web-service/index.ts'
import { openValue, resolveServices } from '../../../src/domain/configuration/resolution/index.ts'
import { restoredConfiguration } from '../../../src/domain/deploys/deployment/configuration.ts'
import { planDeploy } from '../../../src/domain/deploys/deployment/index.ts'
import { disconnectResource } from '../../../src/domain/resources/resource-binding/index.ts'
import { connectBucket, createBucket, deleteBucket, findStorageKey, storageEndpoint } from '../../../src/domain/resources/storage/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { codeOf } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { commands, configurationWorld, pinnedIn, revisionOf } from '../configuration/support.ts'

const shop = configurationWorld()
const url = 'http://127.0.0.1:4090'
let bucket: { id: string; name: string }

beforeEach(async () => {
  storageEndpoint.provide(shop.app, { url })
  bucket = (await shop.run(createBucket, { name: `bucket-${newId()}` })).bucket
})

const connect = (input: object = {}) => shop.run(connectBucket, { bucketId: bucket.id, webServiceId: shop.production, ...input })
const names = ['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY']

/** The plain values of variables of connections. */
async function opened(variables: readonly { key: string; source: { kind: string }; value: Parameters<typeof openValue>[2] }[]) {
  const values: Record<string, string> = {}
  for (const { key, source, value } of variables)
    if (source.kind === 'RESOURCE_CONNECTION')
      values[key] = await openValue({ app: shop.app, tx: shop.app.db }, shop.tenant.organizationId, value)
  return values
}
const current = async (service = shop.production) =>
  opened((await resolveServices({ app: shop.app, tx: shop.app.db }, [service])).get(service)!.variables)
const keyOf = async (values: Record<string, string>) => findStorageKey(shop.app, values.S3_ACCESS_KEY_ID!)

describe('a service with a bucket', () => {
  it('receives its address and a key of its own, of which only the secret is secret', async () => {
    const { resourceBinding, warnings } = await connect()
    expect([resourceBinding.variables, warnings]).toEqual([names, []])
    const values = await current()
    expect(values).toMatchObject({ S3_ENDPOINT: url, S3_REGION: 'us-east-1', S3_BUCKET: bucket.name })
    expect(await keyOf(values)).toMatchObject({
      secretAccessKey: values.S3_SECRET_ACCESS_KEY,
      permissions: { read: true, write: true, delete: true, admin: false },
      bucketIds: new Set([bucket.id]),
    })
    expect(await shop.resolved(shop.production)).toEqual({ ...values, S3_SECRET_ACCESS_KEY: '********' })
    const { changes } = await shop.ask(planDeploy, { webServiceId: shop.production })
    for (const key of names) expect(changes).toContainEqual(expect.objectContaining({ kind: 'VARIABLE_ADDED', key }))
  })

  it('has another key than a service of another environment, and other names with a prefix', async () => {
    await connect()
    await connect({ webServiceId: shop.staging })
    expect(await current(shop.staging)).toMatchObject({ S3_BUCKET: bucket.name })
    expect((await current(shop.staging)).S3_ACCESS_KEY_ID).not.toBe((await current()).S3_ACCESS_KEY_ID)
    expect(await codeOf(connect())).toBe('key_taken')
    const { resourceBinding } = await connect({ prefix: 'UPLOADS' })
    expect(resourceBinding.variables).toEqual(names.map((name) => name.replace('S3_', 'UPLOADS_')))
    expect(Object.keys(await current())).toHaveLength(10)
    for (const prefix of ['1X', 'A-B', '', 'x'.repeat(201)]) expect(await codeOf(connect({ prefix }))).toBe('invalid_input')
  })

  it('keeps a variable of its own, with a warning', async () => {
    await shop.run(commands.setEnvVars, { webServiceId: shop.production, variables: [{ key: 'S3_REGION', value: 'own' }] })
    const { warnings } = await connect()
    expect(warnings).toEqual(["S3_REGION: the service's own env var wins; the connection is shadowed."])
    expect(await shop.resolved(shop.production)).toMatchObject({ S3_REGION: 'own', S3_BUCKET: bucket.name })
  })

  it('gets each variable back by a rollback, the current address if that has changed, and none once it is disconnected', async () => {
    const { resourceBinding } = await connect()
    const then = await pinnedIn(shop, 'SUPERSEDED')
    const restored = (target: Deployment) => restoredConfiguration({ app: shop.app, tx: shop.app.db }, target, revisionOf(target))
    expect(await opened((await restored(then)).variables)).toEqual(await current())
    expect((await restored(then)).warnings).toEqual([])
    storageEndpoint.provide(shop.app, { url: 'https://s3.example.com' })
    expect(await opened((await restored(then)).variables)).toEqual({ ...(await current()), S3_ENDPOINT: 'https://s3.example.com' })
    expect((await restored(then)).warnings).toEqual([
      'S3_ENDPOINT: the address or password of its resource has changed. The current value is used instead.',
    ])
    await shop.run(disconnectResource, { id: resourceBinding.id })
    expect(await opened((await restored(then)).variables)).toEqual({})
  })
})

describe('the key of a connection', () => {
  it('is revoked in every process when the bucket is disconnected', async () => {
    const { resourceBinding } = await connect()
    const values = await current()
    const other = await shop.process()
    for (const app of [shop.app, other]) expect(await findStorageKey(app, values.S3_ACCESS_KEY_ID!)).not.toBeNull()
    await shop.run(disconnectResource, { id: resourceBinding.id })
    expect(await keyOf(values)).toBeNull()
    await until('the other process refuses it', async () => (await findStorageKey(other, values.S3_ACCESS_KEY_ID!)) === null)
    expect(await current()).toEqual({})
  })

  it('is revoked when the bucket is deleted, which services that use it prevent unless forced', async () => {
    await connect()
    const values = await current()
    expect(await codeOf(shop.run(deleteBucket, { id: bucket.id }))).toBe('resource_in_use')
    expect(await keyOf(values)).not.toBeNull()
    await shop.run(deleteBucket, { id: bucket.id, force: true })
    expect([await keyOf(values), await current()]).toEqual([null, {}])
  })

  it('goes with its service', async () => {
    await connect()
    const values = await current()
    await shop.run(deleteWebService, { id: shop.production })
    // The row goes when its instances have ended.
    await run(shop.app.db, sql`delete from web_service where id = ${shop.production}::uuid`)
    shop.app.wake.notify('credentials')
    await until('the key is refused', async () => (await keyOf(values)) === null)
    expect(await codeOf(shop.run(deleteBucket, { id: bucket.id }))).toBe('done')
  })
})
