/** A mail of an email service on its whole way: through a real SMTP server, and as signed webhooks to a receiver. */

import { dkimVerify } from 'mailauth/lib/dkim/verify.js'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { mailTransport } from '../../../src/domain/access/mail/index.ts'
import { mailQueue } from '../../../src/domain/access/mail/jobs.ts'
import { report, transactFor } from '../../../src/domain/access/mail/outcome.ts'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { fanOutEvents } from '../../../src/domain/webhooks/delivery/jobs.ts'
import { outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { createSmtpTransport } from '../../../src/drivers/smtp/index.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { Secret } from '../../../src/platform/settings.ts'
import { type Dns, provideEmail } from '../../support/email.ts'
import { type MailServer, openMailServer } from '../../support/mail-server.ts'
import { type Receiver, startReceiver } from '../../support/receiver.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let dns: Dns
let smtp: MailServer
let receiver: Receiver
const closing: (() => unknown)[] = []

beforeEach(async () => {
  world = await createWorld({ MAIL_RETRY_SCHEDULE_MS: '20,20' })
  const { app } = world
  tenant = await createTenant(app)
  dns = provideEmail(app)
  smtp = await openMailServer()
  receiver = await startReceiver()
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
  outgoingHttp.provide(app, http)
  const timeouts = { connectMs: 5_000, answerMs: 20_000, attemptMs: 60_000 }
  const transport = createSmtpTransport({ url: new Secret(smtp.url), maxConnections: 2, timeouts })
  mailTransport.provide(app, transport)
  const jobs = startJobs(app, { queues: [mailQueue, deliverWebhooks], chores: [fanOutEvents] })
  closing.push(
    () => world.close(),
    () => http.close(),
    () => receiver.close(),
    () => smtp.close(),
    () => transport.close(),
  )
  closing.push(() => jobs.stop({ graceMs: 100 }))
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

// biome-ignore lint/suspicious/noExplicitAny: data of any shape
async function run(source: string, variables: Record<string, unknown> = {}): Promise<any> {
  const { data, errors } = await operation(world.app, tenant.owner, source, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

it('is signed for its domain, and each outcome is told to the webhook of the service in the body of the contract', async () => {
  const { id: service } = (await run('mutation { createEmailService(input: {name: "Receipts"}) { emailService { id } } }'))
    .createEmailService.emailService
  const { sendingDomain } = (
    await run(
      'mutation ($e: ID!) { addSendingDomain(input: {emailServiceId: $e, domain: "shop.example"}) { sendingDomain { id records { name value } } } }',
      { e: service },
    )
  ).addSendingDomain
  for (const { name, value } of sendingDomain.records) dns.records.set(name, [value])
  await run('mutation ($id: ID!) { verifySendingDomain(input: {id: $id}) { sendingDomain { status } } }', { id: sendingDomain.id })
  const { webhookEndpoint, secret } = (
    await run(
      `mutation ($e: ID!, $url: String!) { createEmailWebhook(input: {emailServiceId: $e, url: $url, events: ["delivered", "bounced", "complained", "opened", "clicked"]}) {
         webhookEndpoint { id format eventTypes } secret } }`,
      { e: service, url: receiver.url },
    )
  ).createEmailWebhook
  expect(webhookEndpoint).toMatchObject({ format: 'EMAIL', eventTypes: expect.arrayContaining(['email.delivered', 'email.clicked']) })
  expect((await run('query ($id: ID!) { emailService(id: $id) { webhooks { id } } }', { id: service })).emailService.webhooks).toEqual([
    { id: webhookEndpoint.id },
  ])

  smtp.refused.set('gone@example.com', [550, '5.1.1 No such user'])
  const { emailMessage } = (
    await run('mutation ($input: SendEmailInput!) { sendEmail(input: $input) { emailMessage { id } } }', {
      input: {
        ...{ emailServiceId: service, from: 'Shop <hello@shop.example>', to: ['ada@example.com'], cc: ['gone@example.com'] },
        ...{ subject: 'Your order', html: '<p>Thank you</p>' },
      },
    })
  ).sendEmail
  const [received] = await smtp.receive(1)
  expect(received!.to).toEqual(['ada@example.com'])
  const resolver = async (name: string) => [dns.records.get(name) ?? []]
  const { results } = await dkimVerify(received!.raw, { resolver })
  expect(results.map(({ signingDomain, status }) => [signingDomain, status.result])).toEqual([['shop.example', 'pass']])

  // What the inbound server and the tracking links record.
  const mail = (await row<Parameters<typeof report>[1]>(
    world.app.db,
    sql`select * from mail where ref = ${decodeId('EmailMessage', emailMessage.id)}::uuid`,
  ))!
  const none = { code: null, text: null, permanent: false }
  await until('the mail was sent', async () => (await statusOf(emailMessage.id)) === 'BOUNCED')
  await transactFor(world.app, mail, (work) =>
    report(work, mail, [
      { ...none, recipient: 'ada@example.com', outcome: 'complained' },
      { ...none, recipient: null, outcome: 'opened' },
      { ...none, recipient: null, outcome: 'clicked', url: 'https://shop.example/orders/1' },
    ]),
  )
  const requests = await receiver.waitFor(5)
  const verifier = new Webhook(secret)
  const bodies = requests.map(
    ({ headers, body }) => verifier.verify(body.toString(), headers as Record<string, string>) as Record<string, unknown>,
  )
  const common = {
    ...{ email_id: decodeId('EmailMessage', emailMessage.id), service_id: decodeId('EmailService', service) },
    ...{ from: '"Shop" <hello@shop.example>', subject: 'Your order', timestamp: expect.stringMatching(/^\d{4}-/) },
  }
  const both = 'ada@example.com, gone@example.com'
  expect(bodies.sort((a, b) => (String(a.event) < String(b.event) ? -1 : 1))).toEqual([
    {
      ...common,
      event: 'bounced',
      to: 'gone@example.com',
      data: { code: '550', reason: expect.stringContaining('No such user'), permanent: true },
    },
    { ...common, event: 'clicked', to: both, data: { url: 'https://shop.example/orders/1' } },
    { ...common, event: 'complained', to: 'ada@example.com', data: {} },
    { ...common, event: 'delivered', to: 'ada@example.com', data: {} },
    { ...common, event: 'opened', to: both, data: {} },
  ])
  expect(await statusOf(emailMessage.id)).toBe('COMPLAINED')
  const suppressed = (await run('{ mailSuppressions { nodes { address reason } } }')).mailSuppressions.nodes
  expect(suppressed.map(({ address }: { address: string }) => address).sort()).toEqual(['ada@example.com', 'gone@example.com'])

  await run('mutation ($id: ID!) { deleteEmailService(input: {id: $id}) { deletedId } }', { id: service })
  expect((await run('query ($id: ID!) { webhookEndpoint(id: $id) { id } }', { id: webhookEndpoint.id })).webhookEndpoint).toBeNull()
})

const statusOf = async (id: string): Promise<string> =>
  (await run('query ($id: ID!) { node(id: $id) { ... on EmailMessage { status } } }', { id })).node.status
