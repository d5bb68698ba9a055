import { generateKeyPairSync } from 'node:crypto'
import { dkimVerify } from 'mailauth/lib/dkim/verify.js'
import { simpleParser } from 'mailparser'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { breakerOf } from '../../../src/domain/access/mail/breaker.ts'
import { codePurpose, mailOutcomes, mailTransport, type NewMail, queueMail } from '../../../src/domain/access/mail/index.ts'
import { mailQueue } from '../../../src/domain/access/mail/jobs.ts'
import type { MailOutcome } from '../../../src/domain/access/mail/model.ts'
import type { MailTransport, OutgoingMail } from '../../../src/domain/access/mail/ports.ts'
import type { ClaimedMail } from '../../../src/domain/access/mail/send.ts'
import { createSmtpTransport, type SmtpTransport } from '../../../src/drivers/smtp/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { Secret } from '../../../src/platform/settings.ts'
import { type App, transact } from '../../../src/platform/work.ts'
import { type MailServer, openMailServer } from '../../support/mail-server.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let outcomes: MailOutcome[]
const closing: (() => unknown)[] = []

/** Short waits, so that tests need not wait for a retry. */
const schedule = { MAIL_RETRY_SCHEDULE_MS: '20,20' }

/** A concept that queues mails and follows their outcomes. */
const follower = () =>
  defineConcept({
    name: 'follower',
    extensions: [
      mailOutcomes.with({
        purpose: 'test',
        emits: [],
        async record(_work, found) {
          outcomes.push(...found)
        },
      }),
    ],
  })

async function start(settings: Record<string, string> = schedule) {
  world = await createWorld(settings, [follower()])
  closing.push(() => world.close())
  tenant = await createTenant(world.app)
}

beforeEach(() => {
  outcomes = []
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const work = (app: App = world.app): Jobs => {
  const jobs = startJobs(app, { queues: [mailQueue], chores: [] })
  closing.push(() => jobs.stop({ graceMs: 100 }))
  return jobs
}

const connect = (url: string, app: App = world.app): SmtpTransport => {
  const smtp = createSmtpTransport({
    ...{ url: new Secret(url), maxConnections: 8 },
    timeouts: { connectMs: 5_000, answerMs: 20_000, attemptMs: 60_000 },
  })
  mailTransport.provide(app, smtp)
  closing.push(() => smtp.close())
  return smtp
}

async function serve(options: Parameters<typeof openMailServer>[0] = {}): Promise<MailServer> {
  const server = await openMailServer(options)
  closing.push(() => server.close())
  return server
}

const queue = (changes: Partial<NewMail> = {}) =>
  transact(world.app, tenant.owner, {}, (each) =>
    queueMail(each, {
      organizationId: tenant.organizationId,
      purpose: 'test',
      from: 'Shop <shop@shop.example>',
      to: ['ada@example.com'],
      subject: 'Your order',
      text: 'The order number is 4711-0815.',
      ...changes,
    }),
  )

const statusesOf = async (mailId: string) => {
  const found = await rows<{ address: string; status: string }>(
    world.app.db,
    sql`select address, status from mail_recipient where mail_id = ${mailId}::uuid order by number`,
  )
  return Object.fromEntries(found.map(({ address, status }) => [address.split('@')[0], status]))
}
const mailOf = async (id: string) =>
  (await row<{ status: string; attemptCount: number; content: Uint8Array | null }>(
    world.app.db,
    sql`select status, attempt_count, content from mail where id = ${id}::uuid`,
  ))!
const ended = (id: string) => until('the mail has ended', async () => (await mailOf(id)).status === 'ENDED')
const told = () => outcomes.map(({ recipient, outcome }) => `${recipient?.split('@')[0]} ${outcome}`)

describe('a mail', () => {
  it('is received complete and signed, and its content is removed', async () => {
    await start()
    const server = await serve()
    connect(server.url)
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const ref = newId()
    const { id, messageId } = await queue({
      ref,
      to: ['Ada Lovelace <ada@example.com>'],
      cc: ['bob@example.com'],
      bcc: ['eve@example.com'],
      replyTo: ['Support <help@shop.example>'],
      subject: 'Größe: 42 – bestätigt',
      html: '<p>Grüße</p>',
      headers: { 'X-Campaign': 'spring' },
      attachments: [{ filename: 'Rechnung März.txt', contentType: 'text/plain', contentBase64: Buffer.from('1 €').toString('base64') }],
      signing: {
        ...{ domain: 'shop.example', selector: 'quayside' },
        privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      },
    })
    work()
    const [mail] = await server.receive(1)
    expect(mail).toMatchObject({ from: 'shop@shop.example', to: ['ada@example.com', 'bob@example.com', 'eve@example.com'] })
    const parsed = await simpleParser(mail!.raw)
    expect(parsed).toMatchObject({ messageId, subject: 'Größe: 42 – bestätigt', html: '<p>Grüße</p>' })
    expect(parsed.bcc).toBeUndefined()
    expect(mail!.raw).not.toContain('eve@')
    expect(parsed.text?.trim()).toBe('The order number is 4711-0815.')
    expect(parsed.headers.get('x-campaign')).toBe('spring')
    expect(parsed.replyTo?.text).toBe('"Support" <help@shop.example>')
    expect(parsed.attachments.map(({ filename, content }) => [filename, content.toString()])).toEqual([['Rechnung März.txt', '1 €']])

    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    const resolver = async (name: string, type: string) => {
      if (name !== 'quayside._domainkey.shop.example' || type !== 'TXT') throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' })
      return [[`v=DKIM1; k=rsa; p=${key}`]]
    }
    const { results } = await dkimVerify(mail!.raw, { resolver })
    expect(results.map(({ signingDomain, status }) => [signingDomain, status.result])).toEqual([['shop.example', 'pass']])
    const changed = await dkimVerify(mail!.raw.replace(/^To: .*$/m, 'To: mallory@example.com'), { resolver })
    expect(changed.results[0]?.status.result).not.toBe('pass')

    await ended(id)
    expect(await statusesOf(id)).toEqual({ ada: 'DELIVERED', bob: 'DELIVERED', eve: 'DELIVERED' })
    expect((await mailOf(id)).content).toBeNull()
    expect(told()).toEqual(['ada sent', 'ada delivered', 'bob sent', 'bob delivered', 'eve sent', 'eve delivered'])
    expect(outcomes[0]).toMatchObject({
      mailId: id,
      ref,
      purpose: 'test',
      organizationId: tenant.organizationId,
      code: '250',
      attemptCount: 1,
    })
  })

  it('of which one of three recipients is refused goes to the others, and is retried for one that is deferred', async () => {
    await start()
    const server = await serve()
    server.refused.set('bob@example.com', [550, '5.1.1 No such user'])
    server.refused.set('eve@example.com', [451, '4.7.1 Greylisted'])
    connect(server.url)
    const { id } = await queue({ to: ['ada@example.com', 'bob@example.com', 'eve@example.com'] })
    work()
    await server.receive(1)
    await until('the deferral', () => told().includes('eve deferred'))
    server.refused.clear()
    await ended(id)
    expect(server.received.map(({ to }) => to)).toEqual([['ada@example.com'], ['eve@example.com']])
    expect(await statusesOf(id)).toEqual({ ada: 'DELIVERED', bob: 'BOUNCED', eve: 'DELIVERED' })
    const bounced = outcomes.find(({ outcome }) => outcome === 'bounced')
    expect(bounced).toMatchObject({
      recipient: 'bob@example.com',
      code: '550',
      permanent: true,
      text: expect.stringContaining('No such user'),
    })
    expect(outcomes.find(({ outcome }) => outcome === 'deferred')).toMatchObject({ recipient: 'eve@example.com', permanent: false })

    // The address that bounced is suppressed from now on, and another organization is not concerned.
    const again = await queue({ to: ['Bob@example.com', 'ada@example.com'] })
    await ended(again.id)
    expect(server.received.at(-1)?.to).toEqual(['ada@example.com'])
    expect(await statusesOf(again.id)).toEqual({ Bob: 'FAILED', ada: 'DELIVERED' })
    tenant = await createTenant(world.app)
    const foreign = await queue({ to: ['bob@example.com'] })
    await ended(foreign.id)
    expect(await statusesOf(foreign.id)).toEqual({ bob: 'DELIVERED' })
  })

  it('that is refused as a whole has failed, and no address is suppressed', async () => {
    await start()
    const server = await serve()
    server.answer = [554, '5.7.1 Looks like spam']
    connect(server.url)
    const { id } = await queue()
    work()
    await ended(id)
    expect(told()).toEqual(['ada failed'])
    server.answer = null
    const { id: next } = await queue()
    await ended(next)
    expect(await statusesOf(next)).toEqual({ ada: 'DELIVERED' })
  })

  it('is given up at the end of the schedule', async () => {
    await start()
    const server = await serve()
    server.refused.set('ada@example.com', [450, '4.2.1 Mailbox busy'])
    connect(server.url)
    const { id } = await queue()
    work()
    await ended(id)
    expect(told()).toEqual(['ada deferred', 'ada deferred', 'ada failed'])
    expect(outcomes.at(-1)).toMatchObject({
      permanent: false,
      text: expect.stringMatching(/Mailbox busy That was the last of 3 attempts\.$/),
    })
    expect((await mailOf(id)).attemptCount).toBe(3)
  })

  it('waits while the server is down, and is sent as soon as any mail reaches it again', async () => {
    await start({ MAIL_RETRY_SCHEDULE_MS: '3600000' })
    const first = await openMailServer()
    await first.close()
    connect(first.url)
    const { id } = await queue()
    work()
    await until('the deferral', () => outcomes.length > 0)
    expect(outcomes[0]).toMatchObject({ outcome: 'deferred', code: null, text: 'The SMTP server could not be reached.' })
    expect(outcomes[0]!.nextAttemptAt!.getTime()).toBeGreaterThan(Date.now() + 3_000_000)
    expect((await mailOf(id)).content).not.toBeNull()

    await serve({ port: first.port })
    const { id: next } = await queue({ to: ['bob@example.com'] })
    await ended(next)
    await ended(id)
    expect(await statusesOf(id)).toEqual({ ada: 'DELIVERED' })
    const lines = world.app.logged.map(({ msg }) => msg)
    expect(lines).toContain('the SMTP server cannot be used; mail waits')
    expect(lines).toContain('the SMTP server can be used again')
  })

  it('is set aside for three processes that ended while they sent it', async () => {
    await start()
    const { id } = await queue()
    mailTransport.provide(world.app, { send: () => Promise.reject(new Error('must not be sent')) })
    await run(world.app.db, sql`update mail set lease_owner = 'gone', lease_epoch = 3, lease_expires_at = app_now() - interval '1 second'`)
    work()
    await ended(id)
    expect(told()).toEqual(['ada failed'])
  })
})

/** A transport that records mails and answers as `answer` says. */
function provideTransport(app: App, answer: (mail: OutgoingMail, signal: AbortSignal) => Promise<unknown> = async () => {}) {
  const sent: OutgoingMail[] = []
  const transport: MailTransport = {
    async send(mail, signal) {
      sent.push(mail)
      await answer(mail, signal)
      const accepted = { answer: 'accepted', whole: false, code: '250', text: '250 ok' } as const
      return { recipients: mail.to.map((address) => ({ address, ...accepted })), reports: false }
    },
  }
  mailTransport.provide(app, transport)
  return sent
}

describe('workers', () => {
  it('send a mail again if one of them died before it could record the answer, with the same Message-ID, and report it once', async () => {
    await start()
    const other = await world.process()
    const answered = Promise.withResolvers<void>()
    const sent = provideTransport(world.app, () => answered.promise)
    const sentAgain = provideTransport(other)
    const { id, messageId } = await queue()
    work()
    await until('the mail is being sent', () => sent.length === 1)
    // To the others, the process is gone.
    await run(world.app.db, sql`update mail set lease_expires_at = app_now() - interval '1 millisecond'`)
    work(other)
    await ended(id)
    answered.resolve()
    await until('the first worker has recorded it too', async () => (await mailOf(id)).attemptCount === 1)
    for (const mail of [...sent, ...sentAgain]) expect(mail.raw.toString()).toContain(`Message-ID: ${messageId}`)
    expect(sentAgain).toHaveLength(1)
    const { id: next } = await queue({ to: ['bob@example.com'] })
    await ended(next)
    expect(told()).toEqual(['ada sent', 'ada delivered', 'bob sent', 'bob delivered'])
  })

  it('send a limited number of mails at once', async () => {
    await start()
    let [current, most] = [0, 0]
    const full = Promise.withResolvers<void>()
    provideTransport(world.app, async () => {
      most = Math.max(most, ++current)
      if (current === mailQueue.concurrency) full.resolve()
      await full.promise
      current--
    })
    for (let n = 0; n < 20; n++) await queue({ to: [`user${n}@example.com`] })
    work()
    await until(
      'all are sent',
      async () => (await row<{ n: number }>(world.app.db, sql`select count(*)::int as n from mail where status = 'ENDED'`))!.n === 20,
    )
    expect(most).toBe(mailQueue.concurrency)
  })

  it('try a dead server with one mail at a time after a few failures', async () => {
    await start({ MAIL_RETRY_SCHEDULE_MS: '3600000' })
    provideTransport(world.app)
    for (let n = 0; n < 5; n++) await queue({ to: [`user${n}@example.com`] })
    const breaker = breakerOf(world.app)
    for (let n = 0; n < 3; n++) breaker.failed()
    const claim = (held: ClaimedMail[] = []) => mailQueue.claim(world.app, 'worker', 8, held)
    const probe = await until('a mail may be tried', async () => {
      const { items } = await claim()
      return items.length > 0 && items
    })
    expect(probe).toHaveLength(1)
    expect(await claim(probe)).toEqual({ items: [], dueInMs: null, waitsForOwn: true })
    breaker.failed()
    expect((await claim()).items.length).toBeLessThanOrEqual(1)
    breaker.answered()
    const { items } = await claim()
    expect(items.length).toBeGreaterThanOrEqual(3)
  })
})

describe('without an SMTP server', () => {
  const outbox = `query ($to: String, $of: ID) { mailOutbox(to: $to, emailServiceId: $of) { totalCount nodes { id from to subject text html raw createdAt updatedAt } } }`

  it('a mail is kept in the local outbox', async () => {
    await start()
    work()
    const ownerId = newId()
    const { id, messageId } = await queue({ ownerId, bcc: ['Eve@example.com'], html: '<b>4711-0815 is on its way</b>' })
    await queue({ ownerId, to: ['bob@example.com'] })
    await ended(id)
    await until('both are kept', () => outcomes.length === 3)
    expect(told()).toContain('ada sent')
    const { data, errors } = await operation(world.app, tenant.key('READ'), outbox, { to: 'eve@EXAMPLE.com' })
    expect(errors).toBeUndefined()
    const [mail] = data!.mailOutbox.nodes
    expect(data!.mailOutbox.totalCount).toBe(1)
    expect(mail).toMatchObject({
      ...{ from: 'Shop <shop@shop.example>', to: ['ada@example.com'], subject: 'Your order' },
      ...{ text: 'The order number is 4711-0815.', html: '<b>4711-0815 is on its way</b>' },
    })
    expect(mail.id).toMatch(/^mail_/)
    expect((await simpleParser(mail.raw)).messageId).toBe(messageId)
    expect((await operation(world.app, tenant.owner, outbox)).data!.mailOutbox.totalCount).toBe(2)
    const of = async (id: string) =>
      (await operation(world.app, tenant.owner, outbox, { of: encodeId('EmailService', id) })).data!.mailOutbox.totalCount
    expect([await of(ownerId), await of(newId())]).toEqual([2, 0])
  })

  it('mails of Quayside itself, which may give access, are shown to owners only', async () => {
    await start()
    work()
    const { id } = await queue()
    await ended(id)
    expect((await operation(world.app, tenant.owner, outbox)).data!.mailOutbox.totalCount).toBe(1)
    expect((await operation(world.app, tenant.key('WRITE'), outbox)).data!.mailOutbox.totalCount).toBe(0)
    const stranger = await createTenant(world.app)
    expect((await operation(world.app, stranger.owner, outbox)).data!.mailOutbox.totalCount).toBe(0)
  })

  it('a mail with a code is shown to those who may manage email, and by no way to readers', async () => {
    await start()
    work()
    const ownerId = newId()
    const { id } = await queue({ ownerId, purpose: codePurpose })
    await ended(id)
    for (const caller of [tenant.owner, tenant.key('WRITE')]) {
      const { nodes } = (await operation(world.app, caller, outbox)).data!.mailOutbox
      expect(nodes).toMatchObject([{ text: 'The order number is 4711-0815.' }])
      const node = 'query ($id: ID!) { node(id: $id) { id } }'
      expect((await operation(world.app, caller, node, { id: nodes[0].id })).data).toEqual({ node: { id: nodes[0].id } })
      expect((await operation(world.app, tenant.key('READ'), node, { id: nodes[0].id })).data).toEqual({ node: null })
    }
    for (const filter of [{}, { to: 'ada@example.com' }, { of: encodeId('EmailService', ownerId) }])
      expect((await operation(world.app, tenant.key('READ'), outbox, filter)).data!.mailOutbox).toEqual({ totalCount: 0, nodes: [] })
  })
})
