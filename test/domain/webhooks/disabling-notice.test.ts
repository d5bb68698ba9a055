import { afterAll, beforeAll, expect, it } from 'vitest'
import { mailQueue } from '../../../src/domain/access/mail/jobs.ts'
import { disableEndpoint, outgoingHttp, webhookEndpointDisabled } from '../../../src/domain/webhooks/endpoint/index.ts'
import type { OutgoingHttp } from '../../../src/domain/webhooks/endpoint/ports.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import { systemCaller } from '../../../src/platform/access.ts'
import { newRow, row, run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  outgoingHttp.provide(world.app, { check: async () => null } as Partial<OutgoingHttp> as OutgoingHttp)
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const ask = async (source: string, variables: Record<string, unknown> = {}) => {
  const { data, errors } = await operation(world.app, tenant.owner, source, variables)
  expect(errors).toBeUndefined()
  return data!
}
const create = async (description: string) => {
  const source = `mutation ($d: String!) { createWebhookEndpoint(input: {url: "http://127.0.0.1:9/", description: $d}) { webhookEndpoint { id } } }`
  return (await ask(source, { d: description })).createWebhookEndpoint.webhookEndpoint.id as string
}
const mails = async () => (await row<{ n: number }>(world.app.db, sql`select count(*)::int as n from mail`))!.n

it('the owners are told by mail that Quayside has disabled an endpoint, and of nothing that people do', async () => {
  const developer = { id: newId(), name: 'Dev', email: 'dev@example.com' }
  await run(world.app.db, sql`insert into user_account ${newRow(developer)}`)
  const { organizationId } = tenant
  const role = await row<{ id: string }>(
    world.app.db,
    sql`select id from role where organization_id = ${organizationId}::uuid and system = 'DEVELOPER'`,
  )
  await run(world.app.db, sql`insert into member ${newRow({ id: newId(), organizationId, userId: developer.id, roleId: role!.id })}`)

  const manual = await create('By hand')
  await ask('mutation ($id: ID!) { updateWebhookEndpoint(input: {id: $id, disabled: true}) { webhookEndpoint { id } } }', { id: manual })
  expect(await mails()).toBe(0)

  const gone = await create('Orders <b>')
  const disable = () =>
    transact(world.app, systemCaller(tenant.organizationId), { emits: [webhookEndpointDisabled] }, (work) =>
      disableEndpoint(work, decodeId('WebhookEndpoint', gone), 'The receiver answered 410 Gone.'),
    )
  expect(await disable()).toBe(true)
  expect(await disable()).toBe(false)
  expect(await mails()).toBe(1)

  const jobs = startJobs(world.app, { queues: [mailQueue], chores: [] })
  const outbox = '{ mailOutbox { nodes { from to subject text html } } }'
  const kept = await until('the mail is kept', async () => (await ask(outbox)).mailOutbox.nodes[0])
  await jobs.stop({ graceMs: 1_000 })
  expect(kept).toMatchObject({
    ...{ from: 'Quayside <no-reply@localhost>', to: [`${tenant.owner.subject.name}@quayside.localhost`] },
    subject: 'A webhook endpoint was disabled',
    text: expect.stringContaining(`The webhook endpoint Orders <b> (${gone}) was disabled. The receiver answered 410 Gone.`),
    html: expect.stringContaining(`Orders &lt;b&gt; (${gone}) was disabled.`),
  })
})
