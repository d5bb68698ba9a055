import { beforeAll, expect, it } from 'vitest'
import { updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { keyPermissions, rolePermissions } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createProjectRow, publishKeyRevoked, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30' }, { shared: true })

beforeAll(async () => {
  world.work(world.app)
})

const url = 'http://127.0.0.1:9/'
const create = (input: CommandInput, as = world.caller) => world.createEndpoint({ url, ...input }, as)
const dataOf = (body: Buffer) => (JSON.parse(body.toString()) as { data: unknown }).data

it("a selection on the event's subject determines the data, with the same bytes at every attempt", async () => {
  const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 }))
  const projectId = await createProjectRow(world.app, world.caller)
  await create({
    url: receiver.url,
    projectId,
    eventTypes: ['project.updated'],
    selection: '{ id slug name environments(first: 1) { nodes { name } } }',
  })
  await world.publishUpdate({ projectId })
  const [first] = await receiver.waitFor(1)
  expect(dataOf(first!.body)).toEqual({
    id: encodeId('Project', projectId),
    slug: projectId,
    name: 'Shop',
    environments: { nodes: [] },
  })
  await run(world.app.db, sql`update project set name = 'Renamed' where id = ${projectId}::uuid`)
  const [, second] = await receiver.waitFor(2)
  expect(second!.body.equals(first!.body)).toBe(true)
})

it('if the subject has been deleted, the data of the event is sent', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await create({ url: receiver.url, eventTypes: ['project.updated'], selection: '{ id }' })
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id)
  expect(dataOf(receiver.requests[0]!.body)).toMatchObject({ name: 'Shop', slug: 'shop' })
})

it('types with several subjects are selected by fragments', async () => {
  const receiver = await world.receiver()
  const projectId = await createProjectRow(world.app, world.caller)
  const { webhookEndpoint } = await create({
    url: receiver.url,
    eventTypes: ['project.updated', 'api_key.revoked'],
    selection: '{ __typename id ... on Project { slug } }',
  })
  await world.publishUpdate({ projectId })
  await publishKeyRevoked(world.app, world.caller)
  await settled(world.app, webhookEndpoint.id, 2)
  const all = receiver.requests.map(({ body }) => dataOf(body))
  expect(all).toContainEqual({ __typename: 'Project', id: encodeId('Project', projectId), slug: projectId })
})

it.each([
  ['no selection', 'id', /braces/],
  ['an unknown field', '{ nothing }', /nothing/],
  ['another root field', '{ id } apiKeys { nodes { id } }', /single selection|Cannot query/],
  ['a smuggled operation', '{ id } } mutation { x { id }', /single selection|Syntax/],
  ['too much depth', `{ ${'project { environments { nodes { '.repeat(8)} id ${'} } }'.repeat(8)} }`, /levels|Cannot query/],
  ['too much cost', '{ webServices(first: 100) { nodes { deployments(first: 100) { nodes { id } } } } }', /cost|rows|points/],
])('%s is refused at save', async (_, selection, message) => {
  await expect(create({ eventTypes: ['project.updated'], selection })).rejects.toMatchObject({
    code: 'invalid_input',
    field: 'selection',
    message: expect.stringMatching(message),
  })
})

it('a field that only some of the subjects have is refused', async () => {
  await expect(create({ eventTypes: ['project.updated', 'deployment.succeeded'], selection: '{ slug }' })).rejects.toMatchObject({
    field: 'selection',
  })
  const { webhookEndpoint } = await create({ eventTypes: ['project.updated'], selection: '{ slug }' })
  await expect(
    execute(world.request(), updateWebhookEndpoint, { id: webhookEndpoint.id, eventTypes: ['deployment.*'] }),
  ).rejects.toMatchObject({ field: 'selection' })
})

it('a selection needs the rights of its author, and keeps them', async () => {
  const poor = {
    ...world.caller,
    permissions: new Set([...keyPermissions('WRITE', rolePermissions('OWNER'))].filter((right) => right !== 'view:environments')),
  }
  const selection = '{ environments(first: 1) { nodes { name } } }'
  await expect(create({ eventTypes: ['project.updated'], selection }, poor)).rejects.toMatchObject({
    field: 'selection',
    message: expect.stringContaining('view:environments'),
  })
  const { webhookEndpoint } = await create({ eventTypes: ['project.updated'], selection })
  expect(webhookEndpoint.selectionRights.every((right) => right.startsWith('view:'))).toBe(true)
})

it('a selection is supported only with format RAW', async () => {
  await expect(create({ eventTypes: ['project.updated'], selection: '{ id }', format: 'SLACK' })).rejects.toMatchObject({
    field: 'selection',
  })
})
