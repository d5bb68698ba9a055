import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deleteWebhookEndpoint, rotateWebhookSecret } from '../../../src/domain/webhooks/endpoint/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { executeScript } from '../../../src/platform/db/database.ts'
import { createDb, row, rows, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { rotateDataKeys } from '../../../src/platform/reseal.ts'
import { createEmptyDatabase, shiftClock } from '../../support/database.ts'
import { codeOf, createTenant, refusal } from '../../support/tenant.ts'
import { createOrganization, recipientOf, webhooksWorld } from './support.ts'

const world = webhooksWorld()

const url = 'http://127.0.0.1:9/'
const own = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
const create = (input: CommandInput = {}, as = world.caller) => world.createEndpoint({ url, ...input }, as)
const rotate = (id: string, input: CommandInput = {}) => execute(world.request(), rotateWebhookSecret, { id, ...input })
const inUse = { code: 'invalid_input', field: 'secret', message: expect.stringContaining('is already in use') }

describe('no key is shared between endpoints', () => {
  it('the secret of an endpoint is refused for another, at creation and at rotation', async () => {
    await create({ secret: own })
    const { webhookEndpoint } = await create()
    expect(await refusal(create({ secret: own }))).toMatchObject(inUse)
    expect(await refusal(rotate(webhookEndpoint.id, { secret: own }))).toMatchObject(inUse)
  })

  it('of several endpoints created concurrently with the same secret, only one succeeds', async () => {
    const codes = await Promise.all([1, 2, 3].map(() => codeOf(create({ secret: own }))))
    expect(codes.toSorted()).toEqual(['done', 'invalid_input', 'invalid_input'])
  })

  it('a rotation to the current key is refused, even with graceMs 0, and the key keeps signing', async () => {
    const { webhookEndpoint } = await create({ secret: own })
    for (const graceMs of [0, 60_000]) expect(await refusal(rotate(webhookEndpoint.id, { secret: own, graceMs }))).toMatchObject(inUse)
    expect((await recipientOf(world.app, webhookEndpoint.id)).keys).toHaveLength(1)
  })

  it('an Ed25519 key of one endpoint is refused for another, too', async () => {
    const secret = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='
    await create({ secret })
    expect(await refusal(create({ secret }))).toMatchObject(inUse)
  })

  it('another organization can use the same secret, and cannot notice that it does', async () => {
    await create({ secret: own })
    expect(await codeOf(create({ secret: own }, await createOrganization(world.app)))).toBe('done')
  })

  it('a secret can be used again once its endpoint is deleted or it has stopped signing', async () => {
    const { webhookEndpoint } = await create({ secret: own })
    await execute(world.request(), deleteWebhookEndpoint, { id: webhookEndpoint.id })
    const again = await create({ secret: own })
    await rotate(again.webhookEndpoint.id, { graceMs: 60_000 })
    expect(await refusal(create({ secret: own }))).toMatchObject(inUse)
    await shiftClock(world.url, 61_000)
    expect(await codeOf(create({ secret: own }))).toBe('done')
  })
})

describe('the rotation of data keys', () => {
  it('reseals signing keys and headers without changing updatedAt of any row', async () => {
    const { owner } = await createTenant(world.app)
    const { webhookEndpoint } = await world.createEndpoint(
      { url: 'http://127.0.0.1:9/hook', secret: own, headers: { 'x-token': 'hunter2' } },
      owner,
    )
    const { webService } = await execute(world.request(owner), createWebService, {
      name: 'Shop',
      repositoryUrl: 'https://user:token@git.example.com/shop.git',
    })
    const read = async () => ({
      ...(await row<{ endpointAt: Date; headers: Uint8Array }>(
        world.app.db,
        sql`select updated_at as endpoint_at, sealed_headers as headers from webhook_endpoint where id = ${webhookEndpoint.id}::uuid`,
      ))!,
      ...(await row<{ serviceAt: Date; credential: Uint8Array }>(
        world.app.db,
        sql`select updated_at as service_at, repository_credential as credential from web_service where id = ${webService.id}::uuid`,
      ))!,
      ...(await row<{ key: Uint8Array }>(
        world.app.db,
        sql`select sealed as key from webhook_key where endpoint_id = ${webhookEndpoint.id}::uuid`,
      ))!,
    })
    const before = await read()
    await world.app.keyring.rotateDataKey(world.app.db, owner.organizationId)
    await shiftClock(world.url, 5_000)
    await rotateDataKeys.run(world.app, new AbortController().signal)

    const after = await read()
    const versions = [after.headers, after.credential, after.key].map((sealed) => Buffer.from(sealed).readUInt32BE(1))
    expect(versions).toEqual([2, 2, 2])
    expect([after.endpointAt, after.serviceAt]).toEqual([before.endpointAt, before.serviceAt])
    const recipient = await recipientOf(world.app, webhookEndpoint.id)
    expect(recipient.headers).toEqual({ 'x-token': 'hunter2' })
    expect(recipient.keys[0]!.key.export().toString('base64')).toBe(own.slice('whsec_'.length))
    expect(await refusal(create({ secret: own }, owner))).toMatchObject(inUse)
  })
})

it('the migration sets the organization of existing keys and deletes lanes of deleted endpoints', async () => {
  const database = await createEmptyDatabase()
  const db = createDb({ url: database.url, poolSize: 2 })
  try {
    const directory = join(import.meta.dirname, '../../../prisma/migrations')
    const names = (await readdir(directory)).filter((name) => /^\d/.test(name)).toSorted()
    const at = names.findIndex((name) => name.endsWith('_webhook_key_rotation'))
    const apply = async (list: string[]) => {
      for (const name of list) await executeScript(database.url, await readFile(join(directory, name, 'migration.sql'), 'utf8'))
    }
    await apply(names.slice(0, at))
    const [organizationId, endpointId, goneId] = [newId(), newId(), newId()]
    await executeScript(
      database.url,
      `insert into webhook_endpoint (id, organization_id, url) values ('${endpointId}', '${organizationId}', 'https://example.com');
       insert into webhook_key (id, endpoint_id, sealed) values ('${newId()}', '${endpointId}', 'x');
       insert into webhook_lane (endpoint_id) values ('${endpointId}'), ('${goneId}');`,
    )
    await apply(names.slice(at))
    expect(await rows(db, sql`select organization_id, endpoint_id, fingerprint from webhook_key`)).toEqual([
      { organizationId, endpointId, fingerprint: null },
    ])
    expect(await rows(db, sql`select endpoint_id from webhook_lane`)).toEqual([{ endpointId }])
  } finally {
    await db.close()
    await database.drop()
  }
})

describe('a secret that is a text', () => {
  const text = 'größer als 8'

  it('signs with its UTF-8 bytes, at creation and after a rotation, and is not returned', async () => {
    const { webhookEndpoint, secret } = await create({ secretText: text })
    expect(secret).toBeNull()
    expect(webhookEndpoint).toMatchObject({ keyType: 'HMAC', publicKey: null })
    const keys = async () => (await recipientOf(world.app, webhookEndpoint.id)).keys.map(({ key }) => key.export().toString())
    expect(await keys()).toEqual([text])
    await rotate(webhookEndpoint.id, { secretText: 'whsec_another', graceMs: 60_000 })
    expect(await keys()).toEqual(['whsec_another', text])
  })

  it('is the secret of one endpoint only, also in its other form', async () => {
    const long = 'x'.repeat(32)
    await create({ secretText: long })
    expect(await refusal(create({ secretText: long }))).toMatchObject(inUse)
    expect(await refusal(create({ secret: `whsec_${Buffer.from(long).toString('base64')}` }))).toMatchObject(inUse)
  })

  it.each([
    [{ secretText: 'seven77' }, '8 to 256 bytes'],
    [{ secretText: 'x'.repeat(257) }, '8 to 256 bytes'],
    [{ secretText: 'ü'.repeat(129) }, '8 to 256 bytes'],
    [{ secretText: '' }, '8 to 256 bytes'],
    [{ secretText: text, secret: own }, 'must not be combined'],
    [{ secretText: text, keyType: 'ED25519' }, 'must not be combined'],
  ])('%j is refused', async (input, reason) => {
    expect(await refusal(create(input))).toMatchObject({
      code: 'invalid_input',
      field: 'secretText',
      message: expect.stringContaining(reason),
    })
  })
})
