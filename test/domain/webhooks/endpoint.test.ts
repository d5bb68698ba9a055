import { Socket } from 'node:net'
import { expect, it, vi } from 'vitest'
import {
  deleteWebhookEndpoint,
  findWebhookEndpoint,
  listWebhookEndpoints,
  outgoingHttp,
  updateWebhookEndpoint,
} from '../../../src/domain/webhooks/endpoint/index.ts'
import type { WebhookEndpoint } from '../../../src/generated/prisma/client.ts'
import { keyPermissions, rolePermissions } from '../../../src/platform/access.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { raw, row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { createOrganization, createProjectRow, webhooksWorld } from './support.ts'

const world = webhooksWorld({}, { shared: 'database' })
const url = 'http://127.0.0.1:9/hook'

const create = (input: CommandInput = {}, as = world.caller) => world.createEndpoint({ url, ...input }, as)
const update = (endpoint: WebhookEndpoint, input: CommandInput, as = world.caller) =>
  execute(world.request(as), updateWebhookEndpoint, { id: endpoint.id, ...input })
const events = (type: string) =>
  rows<{ data: Record<string, unknown>; projectId: string | null }>(
    world.app.db,
    sql`select data, project_id from event where organization_id = ${world.caller.organizationId}::uuid and type = ${type} order by ordinal`,
  )

it('creates an endpoint with its own secret, which is stored sealed', async () => {
  const { webhookEndpoint, secret } = await create({
    description: 'chat',
    eventTypes: ['project.*', 'project.*'],
    retryScheduleMs: [5, 10],
  })
  expect(webhookEndpoint).toMatchObject({
    url,
    description: 'chat',
    eventTypes: ['project.*'],
    retryScheduleMs: [5, 10],
    disabledAt: null,
    version: 1,
  })
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  const key = await row<{ sealed: Uint8Array }>(
    world.app.db,
    sql`select sealed from webhook_key where endpoint_id = ${webhookEndpoint.id}::uuid`,
  )
  const stored = Buffer.from(key!.sealed)
  expect(stored.includes(secret!)).toBe(false)
  expect(stored.includes(Buffer.from(secret!.slice(6), 'base64'))).toBe(false)
  expect(await events('webhook_endpoint.created')).toEqual([
    {
      projectId: null,
      data: {
        webhookEndpointId: encodeId('WebhookEndpoint', webhookEndpoint.id),
        description: 'chat',
        eventTypes: ['project.*'],
        projectId: null,
        disabled: false,
        disabledReason: null,
      },
    },
  ])
})

it('accepts a secret of 24 to 64 bytes and returns it once', async () => {
  const secret = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
  const input = { secret, idempotencyKey: newId() }
  expect((await create(input)).secret).toBe(secret)
  expect((await create(input)).secret).toBeNull()
})

it.each([
  ['too short', `whsec_${Buffer.alloc(23).toString('base64')}`],
  ['too long', `whsec_${Buffer.alloc(65).toString('base64')}`],
  ['not base64', 'whsec_!!!!'],
  ['with another prefix', `secret_${Buffer.alloc(32).toString('base64')}`],
])('refuses a secret that is %s', async (_, secret) => {
  await expect(create({ secret })).rejects.toMatchObject({ code: 'invalid_input', field: 'secret' })
})

it.each(['http://10.0.0.1/', 'https://169.254.169.254/latest', 'http://[::ffff:192.168.0.1]/'])(
  'refuses %s and names EGRESS_ALLOW',
  async (address) => {
    await expect(create({ url: address })).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'url',
      message: expect.stringContaining('EGRESS_ALLOW'),
    })
    const { webhookEndpoint } = await create()
    await expect(update(webhookEndpoint, { url: address })).rejects.toMatchObject({ code: 'invalid_input', field: 'url' })
  },
)

it.each([
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '[::1]',
  '[fe80::1]',
  '[fc00::1]',
  '[::ffff:127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
  '2130706433',
  '0177.0.0.1',
  '0x7f.0.0.1',
])('without EGRESS_ALLOW https://%s/ is refused at save, and no socket is opened', async (host) => {
  const strict = await world.process({ EGRESS_ALLOW: '203.0.113.0/24' })
  const connect = vi.spyOn(Socket.prototype, 'connect')
  const before = connect.mock.calls.length
  const refused = outgoingHttp.use(strict).check(`https://${host}/`)
  expect(await refused).toContain('EGRESS_ALLOW')
  expect(connect.mock.calls.length).toBe(before)
  connect.mockRestore()
})

it.each([
  'https://user:secret@example.com/',
  'https://203.0.113.7:22/',
  'https:///path',
  'https://exa\tmple.com/',
  'http://203.0.113.7/',
  'file:///etc/passwd',
])('the URL %j is refused at save', async (address) => {
  await expect(create({ url: address })).rejects.toMatchObject({ code: 'invalid_input', field: 'url' })
})

it.each(['ftp://127.0.0.1/', 'nonsense', '', `https://example.com/${'a'.repeat(2_048)}`])('refuses the URL %j', async (address) => {
  await expect(create({ url: address })).rejects.toMatchObject({ code: 'invalid_input', field: 'url' })
})

it.each(['project.made', 'nothing.*', '*', '*.created', 'pro*', 'project.*.created', 'project*'])(
  'refuses the event type %j',
  async (type) => {
    await expect(create({ eventTypes: ['project.created', type] })).rejects.toMatchObject({ code: 'invalid_input', field: 'eventTypes.1' })
  },
)

it.each([{ retryScheduleMs: [-1] }, { retryScheduleMs: [604_800_001] }, { retryScheduleMs: Array.from({ length: 21 }, () => 1) }])(
  'refuses a retry schedule out of bounds',
  async (input) => {
    await expect(create(input)).rejects.toMatchObject({ code: 'invalid_input', field: expect.stringMatching(/^retryScheduleMs/) })
  },
)

it('an update keeps omitted settings and resets those that are null', async () => {
  const projectId = await createProjectRow(world.app, world.caller)
  const { webhookEndpoint } = await create({ description: 'chat', eventTypes: ['project.*'], retryScheduleMs: [5], projectId })
  const kept = await update(webhookEndpoint, { url: `${url}/2` })
  expect(kept.webhookEndpoint).toMatchObject({
    url: `${url}/2`,
    description: 'chat',
    eventTypes: ['project.*'],
    hasOwnSchedule: true,
    projectId,
    version: 2,
  })
  const cleared = await update(webhookEndpoint, { description: null, eventTypes: null, retryScheduleMs: null, projectId: null })
  expect(cleared.webhookEndpoint).toMatchObject({
    url: `${url}/2`,
    description: null,
    eventTypes: [],
    hasOwnSchedule: false,
    projectId: null,
  })
})

it('disabling keeps the first time and reason; enabling clears both', async () => {
  const { webhookEndpoint } = await create()
  const disabled = await update(webhookEndpoint, { disabled: true })
  expect(disabled.webhookEndpoint).toMatchObject({ disabledAt: expect.any(Date), disabledReason: expect.any(String) })
  const again = await update(webhookEndpoint, { disabled: true })
  expect(again.webhookEndpoint.disabledAt).toEqual(disabled.webhookEndpoint.disabledAt)
  const enabled = await update(webhookEndpoint, { disabled: false })
  expect(enabled.webhookEndpoint).toMatchObject({ disabledAt: null, disabledReason: null })
  expect((await events('webhook_endpoint.updated')).map((event) => event.data.disabled)).toEqual([true, false])
})

it('a schema version that no type of the endpoint has is refused, and the error lists the available ones', async () => {
  const field = { code: 'invalid_input', field: 'schemaVersion', message: expect.stringContaining('available versions: 1') }
  for (const schemaVersion of [2, 99]) {
    await expect(create({ schemaVersion })).rejects.toMatchObject(field)
    await expect(create({ schemaVersion, eventTypes: ['project.*'] })).rejects.toMatchObject(field)
  }
  const { webhookEndpoint } = await create({ schemaVersion: 1, eventTypes: ['project.*'] })
  await expect(update(webhookEndpoint, { schemaVersion: 99 })).rejects.toMatchObject(field)
  await expect(update(webhookEndpoint, { schemaVersion: 99, eventTypes: null })).rejects.toMatchObject(field)
  for (const schemaVersion of [1, null])
    expect((await update(webhookEndpoint, { schemaVersion })).webhookEndpoint).toMatchObject({ schemaVersion: 1 })
})

it('an update with another version than the current one is refused', async () => {
  const { webhookEndpoint } = await create()
  await expect(update(webhookEndpoint, { description: 'new', ifVersion: 7 })).rejects.toMatchObject({ code: 'version_conflict' })
})

it('deleting an endpoint deletes its keys and its lane and publishes an event', async () => {
  const { webhookEndpoint } = await create()
  await execute(world.request(), deleteWebhookEndpoint, { id: webhookEndpoint.id })
  expect(await ask(world.request(), findWebhookEndpoint, { id: webhookEndpoint.id })).toBeNull()
  for (const table of ['webhook_key', 'webhook_lane'])
    expect(await rows(world.app.db, sql`select 1 from ${raw(table)} where endpoint_id = ${webhookEndpoint.id}::uuid`)).toEqual([])
  expect(await events('webhook_endpoint.deleted')).toHaveLength(1)
})

it("another organization's endpoint is not_found in every call", async () => {
  const { webhookEndpoint } = await create()
  const stranger = await createOrganization(world.app)
  expect(await ask(world.request(stranger), findWebhookEndpoint, { id: webhookEndpoint.id })).toBeNull()
  expect((await ask(world.request(stranger), listWebhookEndpoints, {})).rows).toEqual([])
  for (const id of [webhookEndpoint.id, newId(), 'wh_nonsense']) {
    await expect(execute(world.request(stranger), updateWebhookEndpoint, { id, url: 'http://10.0.0.1' })).rejects.toMatchObject({
      code: 'not_found',
      field: 'id',
    })
    await expect(execute(world.request(stranger), deleteWebhookEndpoint, { id })).rejects.toMatchObject({ code: 'not_found', field: 'id' })
  }
  const foreign = await createProjectRow(world.app, stranger)
  await expect(create({ projectId: foreign })).rejects.toMatchObject({ code: 'not_found', field: 'projectId' })
  await expect(update(webhookEndpoint, { projectId: foreign })).rejects.toMatchObject({ code: 'not_found', field: 'projectId' })
})

it('a key of one project can create, see and change only endpoints of that project', async () => {
  const projectId = await createProjectRow(world.app, world.caller)
  const other = await createProjectRow(world.app, world.caller)
  const bound = { ...world.caller, projectIds: [projectId] }
  const { webhookEndpoint: wide } = await create()
  const { webhookEndpoint: own } = await create({}, bound)
  expect(own.projectId).toBe(projectId)
  expect((await ask(world.request(bound), listWebhookEndpoints, {})).rows.map((endpoint) => endpoint.id)).toEqual([own.id])
  await expect(create({ projectId: other }, bound)).rejects.toMatchObject({ code: 'not_found', field: 'projectId' })
  await expect(update(wide, { description: 'mine' }, bound)).rejects.toMatchObject({ code: 'not_found' })
  expect((await update(own, { projectId: null }, bound)).webhookEndpoint.projectId).toBe(projectId)
})

it('a reader can view but not change, and a writer can change but not delete', async () => {
  const { webhookEndpoint } = await create()
  const reader = { ...world.caller, permissions: keyPermissions('READ', rolePermissions('OWNER')) }
  const writer = { ...world.caller, permissions: keyPermissions('WRITE', rolePermissions('OWNER')) }
  expect((await ask(world.request(reader), listWebhookEndpoints, {})).rows).toHaveLength(1)
  await expect(create({}, reader)).rejects.toMatchObject({ code: 'forbidden' })
  await update(webhookEndpoint, { description: 'by a writer' }, writer)
  await expect(execute(world.request(writer), deleteWebhookEndpoint, { id: webhookEndpoint.id })).rejects.toMatchObject({
    code: 'forbidden',
  })
})

it('the 51st endpoint of an organization is refused', async () => {
  await run(
    world.app.db,
    sql`insert into webhook_endpoint (id, organization_id, url)
        select gen_random_uuid(), ${world.caller.organizationId}::uuid, ${url} from generate_series(1, 49)`,
  )
  const both = await Promise.allSettled([create(), create()])
  expect(both.map((each) => each.status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(both.find((each) => each.status === 'rejected')).toMatchObject({ reason: { code: 'webhook_endpoint_limit' } })
})

it('an update that changes nothing keeps the version and publishes no event', async () => {
  const settings = {
    description: 'chat',
    eventTypes: ['project.*'],
    channels: ['a'],
    filter: { slug: { equals: 'shop' } },
    headers: { 'x-token': 'hunter2' },
    rateLimitPerSecond: 5,
    ordered: true,
    retryScheduleMs: [5, 10],
    timeoutMs: 2_000,
    format: 'RAW',
    selection: null,
  }
  const { webhookEndpoint } = await create(settings)
  for (const input of [{}, { ...settings, url }, { disabled: false }, { projectId: null }]) {
    expect((await update(webhookEndpoint, input)).webhookEndpoint.version).toBe(1)
  }
  expect(await events('webhook_endpoint.updated')).toHaveLength(0)
  const changes = [{ headers: { 'x-token': 'other' } }, { headers: null }, { filter: null }, { retryScheduleMs: null }, { disabled: true }]
  let version = 1
  for (const input of changes) {
    expect((await update(webhookEndpoint, input)).webhookEndpoint.version).toBe(++version)
    expect((await update(webhookEndpoint, input)).webhookEndpoint.version).toBe(version)
  }
  expect(await events('webhook_endpoint.updated')).toHaveLength(changes.length)
  expect(await events('webhook_endpoint.disabled')).toHaveLength(1)
})

it('headers that cannot be decrypted are replaced by any update of them', async () => {
  const { webhookEndpoint } = await create({ headers: { 'x-token': 'hunter2' } })
  await run(world.app.db, sql`update webhook_endpoint set sealed_headers = '\\x0102' where id = ${webhookEndpoint.id}::uuid`)
  expect((await update(webhookEndpoint, { headers: { 'x-token': 'hunter2' } })).webhookEndpoint.version).toBe(2)
})

it.each(['{"__proto__": "x"}', '{"x-a": "b", "__proto__": "x"}'])('the headers %s are refused with a field error', async (text) => {
  await expect(create({ headers: JSON.parse(text) })).rejects.toMatchObject({
    code: 'invalid_input',
    field: 'headers',
    message: expect.stringContaining('__proto__'),
  })
})
