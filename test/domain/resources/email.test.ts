/** Email services through the GraphQL API. The DNS is scripted, and mail is read where it is queued. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { codePurpose, contentIdentity } from '../../../src/domain/access/mail/model.ts'
import { checkSendingDomains } from '../../../src/domain/resources/email/domain-check.ts'
import { emailOutcomes } from '../../../src/domain/resources/email/outcome.ts'
import { systemCaller } from '../../../src/platform/access.ts'
import { row, rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { type Dns, provideEmail } from '../../support/email.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
let dns: Dns
let service: string

beforeAll(async () => {
  world = await createWorld({ EMAIL_DAILY_LIMIT: '120', EMAIL_SPF: 'include:_spf.relay.example' })
  tenant = await createTenant(world.app)
  dns = provideEmail(world.app)
})
afterAll(() => world?.close())
beforeEach(async () => {
  await runSql(world.app.db, sql`delete from email_usage`)
  await runSql(world.app.db, sql`delete from sandbox_code_count`)
  service = (await run('mutation { createEmailService(input: {name: "Receipts"}) { emailService { id mode } } }')).createEmailService
    .emailService.id
})

// biome-ignore lint/suspicious/noExplicitAny: data of any shape
async function run(source: string, variables: Record<string, unknown> = {}, caller = tenant.owner): Promise<any> {
  const { data, errors } = await operation(world.app, caller, source, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}
async function refused(source: string, variables: Record<string, unknown> = {}, caller = tenant.owner) {
  const { errors } = await operation(world.app, caller, source, variables)
  return errors?.[0] ?? { code: 'done', message: '', field: undefined }
}

const addRecipient =
  'mutation ($e: ID!, $email: String!) { addSandboxRecipient(input: {emailServiceId: $e, email: $email}) { sandboxRecipient { id email verifiedAt expiresAt } } }'
const verifyRecipient =
  'mutation ($id: ID!, $code: String!) { verifySandboxRecipient(input: {id: $id, code: $code}) { sandboxRecipient { verifiedAt expiresAt } } }'
const send =
  'mutation ($input: SendEmailInput!) { sendEmail(input: $input) { emailMessage { id from to subject status mode attemptCount error } } }'

/** The queued mails of the newest row, with their opened content. */
async function queued(purpose: string) {
  const mails = await rows<{ id: string; organizationId: string; sender: string; subject: string; content: Uint8Array; ref: string }>(
    world.app.db,
    sql`select * from mail where purpose = ${purpose} and organization_id = ${tenant.organizationId}::uuid order by id desc`,
  )
  return Promise.all(
    mails.map(async (mail) => ({
      ...mail,
      content: JSON.parse(await world.app.keyring.open(world.app.db, mail.organizationId, contentIdentity(mail.id), mail.content)),
    })),
  )
}
const codeOfNewest = async (): Promise<string> => /^ +(\d{6})$/m.exec((await queued(codePurpose))[0]!.content.text)![1]!

async function addVerified(email: string): Promise<string> {
  const { id } = (await run(addRecipient, { e: service, email })).addSandboxRecipient.sandboxRecipient
  await run(verifyRecipient, { id, code: await codeOfNewest() })
  return id
}

type Record_ = { purpose: string; name: string; value: string; status: string; found: string[] }
const domainFields = 'id domain status verifiedAt failingSince checkError records { purpose type name value status found }'
async function addDomain(domain: string): Promise<{ id: string; records: Record_[] }> {
  const source = `mutation ($e: ID!, $domain: String!) { addSendingDomain(input: {emailServiceId: $e, domain: $domain}) { sendingDomain { ${domainFields} } } }`
  return (await run(source, { e: service, domain })).addSendingDomain.sendingDomain
}
const verifySource = `mutation ($id: ID!) { verifySendingDomain(input: {id: $id}) { sendingDomain { ${domainFields} } } }`
const verifyDomain = async (id: string) => (await run(verifySource, { id })).verifySendingDomain.sendingDomain
const publish = (records: Record_[]) => {
  for (const { name, value } of records) dns.records.set(name, [value])
}
async function addVerifiedDomain(domain: string): Promise<{ id: string; records: Record_[] }> {
  const added = await addDomain(domain)
  publish(added.records)
  await verifyDomain(added.id)
  return added
}
const modeOf = async () => (await run('query ($id: ID!) { emailService(id: $id) { mode } }', { id: service })).emailService.mode
const mail = (changes: Record<string, unknown> = {}) => ({
  input: {
    ...{ emailServiceId: service, from: 'Shop <hello@shop.example>', to: ['ada@example.com'], subject: 'Your order' },
    ...{ text: 'The order number is 4711-0815.', ...changes },
  },
})
const eventsOf = async (type: string): Promise<Record<string, unknown>[]> =>
  (await rows<{ data: Record<string, unknown> }>(world.app.db, sql`select data from event where type = ${type} order by id desc`)).map(
    ({ data }) => data,
  )

describe('a sandbox recipient', () => {
  it('is verified by the code that its address received, and by no other', async () => {
    const { sandboxRecipient } = (await run(addRecipient, { e: service, email: 'Ada@Example.com' })).addSandboxRecipient
    expect(sandboxRecipient).toMatchObject({ email: 'ada@example.com', verifiedAt: null })
    const code = await codeOfNewest()
    // The subject is stored as plain text.
    expect((await queued(codePurpose))[0]!.subject).not.toMatch(/\d/)
    const wrong = code === '000000' ? '111111' : '000000'
    expect(await refused(verifyRecipient, { id: sandboxRecipient.id, code: wrong })).toMatchObject({
      code: 'verification_failed',
      message: 'code: is wrong. Tries left: 4.',
    })
    expect((await run(verifyRecipient, { id: sandboxRecipient.id, code })).verifySandboxRecipient.sandboxRecipient).toMatchObject({
      verifiedAt: expect.any(String),
      expiresAt: null,
    })
    expect((await eventsOf('sandbox_recipient.verified'))[0]).toMatchObject({ email: 'ada@example.com' })
  })

  it('takes no code after five wrong ones, until a new code is sent', async () => {
    const { id } = (await run(addRecipient, { e: service, email: 'bob@example.com' })).addSandboxRecipient.sandboxRecipient
    const code = await codeOfNewest()
    const wrong = code === '000000' ? '111111' : '000000'
    for (let n = 0; n < 5; n++) expect((await refused(verifyRecipient, { id, code: wrong })).code).toBe('verification_failed')
    expect((await refused(verifyRecipient, { id, code })).code).toBe('verification_failed')
    await run(addRecipient, { e: service, email: 'bob@example.com' })
    await run(verifyRecipient, { id, code: await codeOfNewest() })
  })

  it('takes no code after 24 hours', async () => {
    const { id } = (await run(addRecipient, { e: service, email: 'eve@example.com' })).addSandboxRecipient.sandboxRecipient
    await runSql(
      world.app.db,
      sql`update sandbox_recipient set expires_at = app_now() where id = ${decodeId('SandboxRecipient', id)}::uuid`,
    )
    expect((await refused(verifyRecipient, { id, code: await codeOfNewest() })).code).toBe('verification_failed')
  })

  it('is not sent codes without limit, even if it is deleted in between', async () => {
    for (let n = 0; n < 20; n++) {
      const { id } = (await run(addRecipient, { e: service, email: 'victim@example.com' })).addSandboxRecipient.sandboxRecipient
      if (n % 5 === 0) await run('mutation ($id: ID!) { deleteSandboxRecipient(input: {id: $id}) { deletedId } }', { id })
    }
    expect((await refused(addRecipient, { e: service, email: 'victim@example.com' })).code).toBe('rate_limited')
  })

  it.each(['', 'ada', 'Ada <ada@example.com>', 'ada@example.com\r\nBcc: eve@example.com'])('%j is refused', async (email) => {
    expect(await refused(addRecipient, { e: service, email })).toMatchObject({ code: 'invalid_input', field: 'email' })
  })
})

describe('a sending domain', () => {
  it('is pending until SPF and DKIM are published, and the first verified one switches the service to production', async () => {
    const { id, records } = await addDomain('Shop.Example.')
    expect(records.map(({ purpose, name, value, status }) => [purpose, name, value.replace(/p=M.*/, 'p=key'), status])).toEqual([
      ['SPF', 'shop.example', 'v=spf1 include:_spf.relay.example ~all', 'PENDING'],
      ['DKIM', expect.stringMatching(/^quayside-[0-9a-f]{8}\._domainkey\.shop\.example$/), 'v=DKIM1; k=rsa; p=key', 'PENDING'],
      ['DMARC', '_dmarc.shop.example', 'v=DMARC1; p=none', 'PENDING'],
    ])
    expect(await verifyDomain(id)).toMatchObject({ status: 'PENDING', verifiedAt: null })
    expect(await modeOf()).toBe('SANDBOX')
    dns.records.set('shop.example', ['google-site-verification=1', 'v=spf1 ip4:192.0.2.1 include:_spf.relay.example -all'])
    dns.records.set(records[1]!.name, [records[1]!.value.replace('; p=', ';p = ')])
    const verified = await verifyDomain(id)
    expect(verified).toMatchObject({ status: 'VERIFIED', verifiedAt: expect.any(String) })
    expect(verified.records.map(({ status }: Record_) => status)).toEqual(['VERIFIED', 'VERIFIED', 'PENDING'])
    expect(await modeOf()).toBe('PRODUCTION')
    expect((await eventsOf('sending_domain.verified'))[0]).toMatchObject({ domain: 'shop.example', status: 'VERIFIED' })
    const stored = await row<{ privateKey: Uint8Array }>(
      world.app.db,
      sql`select private_key from sending_domain where id = ${decodeId('SendingDomain', id)}::uuid`,
    )
    expect(Buffer.from(stored!.privateKey).toString('latin1')).not.toContain('PRIVATE KEY')
  })

  it('fails if another record is published in the place of its own, and shows what was found', async () => {
    const { id, records } = await addDomain('wrong.example')
    publish(records)
    dns.records.set('wrong.example', ['v=spf1 -all', 'v=spf1 include:_spf.relay.example ~all'])
    dns.records.set(records[1]!.name, ['v=DKIM1; p='])
    const failed = await verifyDomain(id)
    expect(failed.status).toBe('FAILED')
    expect(failed.records).toMatchObject([
      { status: 'FAILED', found: { length: 2 } },
      { status: 'FAILED', found: ['v=DKIM1; p='] },
      { status: 'VERIFIED' },
    ])
    expect(await modeOf()).toBe('SANDBOX')
  })

  it('keeps its status if the DNS does not answer', async () => {
    const { id, records } = await addVerifiedDomain('silent.example')
    dns.silent.add(records[1]!.name)
    expect(await refused(verifySource, { id })).toMatchObject({
      code: 'unavailable',
      message:
        'The DNS records of silent.example could not be looked up: No DNS server answered in time. The status of the domain is unchanged.',
    })
    await dueNow(id)
    await checkSendingDomains.run(world.app, new AbortController().signal)
    expect(await shown(id)).toMatchObject({ status: 'VERIFIED', checkError: expect.stringContaining('could not be looked up') })
  })

  it('is checked again by itself, stays verified for 72 hours without its records, and then fails', async () => {
    const { id, records } = await addVerifiedDomain('lost.example')
    dns.records.delete(records[0]!.name)
    await dueNow(id)
    await checkSendingDomains.run(world.app, new AbortController().signal)
    expect(await shown(id)).toMatchObject({ status: 'VERIFIED', failingSince: expect.any(String) })
    await runSql(
      world.app.db,
      sql`update sending_domain set failing_since = app_now() - interval '73 hours' where id = ${decodeId('SendingDomain', id)}::uuid`,
    )
    await dueNow(id)
    await checkSendingDomains.run(world.app, new AbortController().signal)
    expect(await shown(id)).toMatchObject({ status: 'FAILED', failingSince: null })
    expect((await eventsOf('sending_domain.failed'))[0]).toMatchObject({ domain: 'lost.example' })
    expect((await refused(send, mail({ from: 'a@lost.example' }))).code).toBe('sending_domain_not_verified')
  })

  it.each(['', 'localhost', 'shop', 'shop..example', '-shop.example', '192.0.2.1', `${'a'.repeat(64)}.example`, 'shop.example\nx'])(
    '%j is refused',
    async (domain) => {
      const source =
        'mutation ($e: ID!, $domain: String!) { addSendingDomain(input: {emailServiceId: $e, domain: $domain}) { sendingDomain { id } } }'
      expect(await refused(source, { e: service, domain })).toMatchObject({ code: 'invalid_input', field: 'domain' })
    },
  )

  it('is refused twice for one service', async () => {
    await addDomain('twice.example')
    const source = 'mutation ($e: ID!) { addSendingDomain(input: {emailServiceId: $e, domain: "TWICE.example"}) { sendingDomain { id } } }'
    expect((await refused(source, { e: service })).code).toBe('sending_domain_taken')
  })

  const dueNow = (id: string) =>
    runSql(
      world.app.db,
      sql`update sending_domain set next_check_at = app_now() - interval '1 second' where id = ${decodeId('SendingDomain', id)}::uuid`,
    )
  const shown = async (id: string) =>
    (await run(`query ($id: ID!) { node(id: $id) { ... on SendingDomain { ${domainFields} } } }`, { id })).node
})

describe('sendEmail', () => {
  it('in the sandbox refuses unverified recipients by name, and sends nothing', async () => {
    await addVerified('ada@example.com')
    const before = (await queued('email_message')).length
    expect(await refused(send, mail({ cc: ['Eve <eve@example.com>'], bcc: ['mallory@example.com'] }))).toMatchObject({
      code: 'recipient_not_verified',
      message: 'The email service is in the sandbox, and these recipients are not verified: eve@example.com, mallory@example.com.',
    })
    expect(await queued('email_message')).toHaveLength(before)
    const { emailMessage } = (await run(send, mail({ to: ['ADA@example.com'] }))).sendEmail
    expect(emailMessage).toMatchObject({ from: '"Shop" <hello@shop.example>', status: 'QUEUED', mode: 'SANDBOX', attemptCount: 0 })
  })

  it('in production requires a verified domain, and signs with its key', async () => {
    const source = 'mutation ($id: ID!, $mode: EmailMode!) { updateEmailService(input: {id: $id, mode: $mode}) { emailService { mode } } }'
    expect((await refused(source, { id: service, mode: 'PRODUCTION' })).code).toBe('sending_domain_not_verified')
    const { records } = await addVerifiedDomain('signed.example')
    expect((await refused(send, mail({ from: 'hello@sub.signed.example' }))).code).toBe('sending_domain_not_verified')
    await run(send, mail({ from: 'hello@signed.example', to: ['anyone@example.com'] }))
    const [sent] = await queued('email_message')
    expect(sent!.content.signing).toMatchObject({ domain: 'signed.example', selector: records[1]!.name.split('.')[0] })
    expect(sent!.content.signing.privateKey).toContain('BEGIN PRIVATE KEY')
    expect((await run(source, { id: service, mode: 'SANDBOX' })).updateEmailService.emailService.mode).toBe('SANDBOX')
  })

  const big = Buffer.alloc(8 * 1024 * 1024).toString('base64')
  it.each([
    ['line breaks in the subject', { subject: 'Hello\r\nBcc: eve@example.com' }, 'subject'],
    ['line breaks in a name', { from: '"Shop\r\nBcc: eve@example.com" <hello@shop.example>' }, 'from'],
    ['line breaks in a header', { headers: { 'X-Order': '1\r\nBcc: eve@example.com' } }, 'headers.X-Order'],
    ['a header that is not allowed', { headers: { Bcc: 'eve@example.com' } }, 'headers'],
    ['two addresses in one', { to: ['ada@example.com, eve@example.com'] }, 'to.0'],
    ['no recipient', { to: [] }, 'to'],
    ['no body', { text: '' }, 'text'],
    [
      '51 recipients',
      { to: Array.from({ length: 30 }, (_, n) => `a${n}@example.com`), bcc: Array.from({ length: 21 }, (_, n) => `b${n}@example.com`) },
      'to',
    ],
    ['bad base64', { attachments: [{ filename: 'a.txt', contentBase64: 'a$==' }] }, 'attachments.0.contentBase64'],
    ['a path as a file name', { attachments: [{ filename: '../a.txt', contentBase64: 'YQ==' }] }, 'attachments.0.filename'],
    [
      'more than 10 MB of attachments',
      {
        attachments: [
          { filename: 'a', contentBase64: big },
          { filename: 'b', contentBase64: big },
        ],
      },
      'attachments',
    ],
  ])('refuses %s', async (_title, changes, field) => {
    expect(await refused(send, mail(changes))).toMatchObject({ code: 'invalid_input', field })
  })

  it('repeats the answer for an idempotency key, and queues one mail', async () => {
    await addVerified('ada@example.com')
    const variables = mail({ idempotencyKey: 'once' })
    const [one, two] = [(await run(send, variables)).sendEmail, (await run(send, variables)).sendEmail]
    expect(two.emailMessage.id).toBe(one.emailMessage.id)
    expect(
      await rows(world.app.db, sql`select 1 from mail where ref = ${decodeId('EmailMessage', one.emailMessage.id)}::uuid`),
    ).toHaveLength(1)
  })

  it('stops at the daily limit, which counts recipients and holds for many at once', async () => {
    await addVerifiedDomain('limit.example')
    const to = Array.from({ length: 50 }, (_, n) => `a${n}@example.com`)
    const codes = await Promise.all(
      Array.from({ length: 5 }, async () => (await refused(send, mail({ from: 'a@limit.example', to }))).code),
    )
    expect(codes.sort()).toEqual(['done', 'done', 'rate_limited', 'rate_limited', 'rate_limited'])
    expect((await run('{ emailTenant { sentToday dailyLimit sentThisMonth serviceCount domainCount } }')).emailTenant).toMatchObject({
      ...{ sentToday: 100, dailyLimit: 120, sentThisMonth: 100 },
    })
  })

  it('is refused to a caller that is limited to a project, and to read-only keys', async () => {
    const { createProject } = await run('mutation { createProject(input: {name: "Limited"}) { project { id } } }')
    const limited = tenant.key('ADMIN', decodeId('Project', createProject.project.id))
    expect((await refused(send, mail(), limited)).code).toBe('not_found')
    expect((await refused(send, mail(), tenant.key('READ'))).code).toBe('forbidden')
    expect(await run('{ emailServices { totalCount } emailTenant { serviceCount } }', {}, limited)).toMatchObject({
      emailServices: { totalCount: 0 },
      emailTenant: { serviceCount: 0 },
    })
  })
})

describe('outcomes', () => {
  type Outcome = Parameters<typeof emailOutcomes.record>[1][number]
  const report = async (id: string, outcomes: Partial<Outcome>[]) => {
    const common = { mailId: id, purpose: 'email_message', ref: decodeId('EmailMessage', id), organizationId: tenant.organizationId }
    const none = { recipient: null, code: null, text: null, permanent: false, attemptCount: 1, nextAttemptAt: null }
    await transact(world.app, systemCaller(tenant.organizationId), { emits: emailOutcomes.emits }, (work) =>
      emailOutcomes.record(
        work,
        outcomes.map((outcome) => ({ ...common, ...none, ...outcome }) as Outcome),
      ),
    )
  }
  const message = async (id: string) =>
    (
      await run('query ($id: ID!) { node(id: $id) { ... on EmailMessage { status attemptCount nextAttemptAt error deliveredAt } } }', {
        id,
      })
    ).node
  const stats = async (window = '') =>
    (
      await run(
        `query ($id: ID!) { emailService(id: $id) { stats${window} { sent delivered bounced complained opened clicked failed } } }`,
        { id: service },
      )
    ).emailService.stats

  it('of each recipient make up the status of the message, are counted once, and are told as events', async () => {
    await addVerifiedDomain('outcome.example')
    const { id } = (await run(send, mail({ from: 'a@outcome.example', to: ['ada@example.com', 'bob@example.com'] }))).sendEmail.emailMessage
    const nextAttemptAt = new Date('2030-01-01T00:00:00.000Z')
    await report(id, [
      { recipient: 'ada@example.com', outcome: 'sent', code: '250' },
      { recipient: 'ada@example.com', outcome: 'delivered', code: '250' },
      { recipient: 'bob@example.com', outcome: 'deferred', code: '451', text: 'Try later.', nextAttemptAt },
    ])
    expect(await message(id)).toMatchObject({
      status: 'QUEUED',
      attemptCount: 1,
      error: '451 Try later.',
      nextAttemptAt: nextAttemptAt.toISOString(),
      deliveredAt: null,
    })
    const bounce = {
      recipient: 'bob@example.com',
      outcome: 'bounced' as const,
      code: '550',
      text: 'No such user.',
      permanent: true,
      attemptCount: 2,
    }
    await report(id, [bounce])
    await report(id, [bounce])
    expect(await message(id)).toMatchObject({ status: 'BOUNCED', attemptCount: 2, error: '550 No such user.', nextAttemptAt: null })
    await report(id, [
      { recipient: 'ada@example.com', outcome: 'complained' },
      { outcome: 'opened' },
      { outcome: 'clicked', url: 'https://shop.example/orders/1' },
    ])
    expect((await message(id)).status).toBe('COMPLAINED')
    const counted = { sent: 1, delivered: 1, bounced: 1, complained: 1, opened: 1, clicked: 1, failed: 0 }
    expect(await stats()).toEqual(counted)
    expect(await stats('(until: "2026-01-01T00:00:00Z")')).toMatchObject({ sent: 0 })
    expect(await stats('(since: "2026-01-01T00:00:00Z")')).toEqual(counted)
    expect(await eventsOf('email.bounced')).toMatchObject([{ emailMessageId: id, to: 'bob@example.com', code: '550', permanent: true }])
    expect((await eventsOf('email.clicked'))[0]).toMatchObject({
      ...{ to: 'ada@example.com, bob@example.com', url: 'https://shop.example/orders/1', subject: 'Your order' },
    })
    for (const type of ['delivered', 'complained', 'opened'])
      expect((await eventsOf(`email.${type}`)).filter(({ emailMessageId }) => emailMessageId === id)).toHaveLength(1)
  })

  it('are ignored if the service is gone', async () => {
    await addVerifiedDomain('gone.example')
    const { id } = (await run(send, mail({ from: 'a@gone.example' }))).sendEmail.emailMessage
    await run('mutation ($id: ID!) { deleteEmailService(input: {id: $id}) { deletedId } }', { id: service })
    await report(id, [{ recipient: 'ada@example.com', outcome: 'delivered' }])
    expect((await eventsOf('email.delivered')).some(({ emailMessageId }) => emailMessageId === id)).toBe(false)
  })

  it('make messages findable by their status', async () => {
    await addVerifiedDomain('status.example')
    const { id } = (await run(send, mail({ from: 'a@status.example' }))).sendEmail.emailMessage
    await report(id, [{ recipient: 'ada@example.com', outcome: 'failed', text: 'The address is suppressed.' }])
    const found = await run(
      'query ($id: ID!) { emailService(id: $id) { failed: messages(status: [FAILED]) { nodes { id error } } queued: messages(status: [QUEUED]) { totalCount } } }',
      { id: service },
    )
    expect(found.emailService).toEqual({ failed: { nodes: [{ id, error: 'The address is suppressed.' }] }, queued: { totalCount: 0 } })
  })
})

describe('a connection', () => {
  it('gives a web service the address, a key of its own and a sender, and disconnecting removes the key', async () => {
    const { createProject } = await run('mutation { createProject(input: {name: "Shop"}) { project { id } } }')
    const { createWebService } = await run(
      'mutation ($p: ID!) { createWebService(input: {projectId: $p, name: "Web"}) { webService { id } } }',
      {
        p: createProject.project.id,
      },
    )
    const web = createWebService.webService.id
    await addVerifiedDomain('connected.example')
    const { connectEmailService } = await run(
      'mutation ($e: ID!, $s: ID!) { connectEmailService(input: {emailServiceId: $e, webServiceId: $s}) { resourceBinding { id variables resource { id } } } }',
      { e: service, s: web },
    )
    expect(connectEmailService.resourceBinding).toMatchObject({
      variables: ['EMAIL_API_URL', 'EMAIL_API_KEY', 'EMAIL_FROM'],
      resource: { id: service },
    })
    const reveal = 'mutation ($id: ID!) { revealResolvedEnv(input: {webServiceId: $id}) { values { key value } } }'
    const variables = async () =>
      Object.fromEntries(
        (await run(reveal, { id: web })).revealResolvedEnv.values.map(({ key, value }: { key: string; value: string }) => [key, value]),
      )
    expect(await variables()).toMatchObject({
      EMAIL_API_URL: `http://127.0.0.1:4000/api/email/services/${decodeId('EmailService', service)}/send`,
      EMAIL_API_KEY: expect.stringMatching(/^rs_eml_[\w-]{32}$/),
      EMAIL_FROM: 'no-reply@connected.example',
    })
    const limited = tenant.key('ADMIN', decodeId('Project', createProject.project.id))
    const seen = await run(
      'query ($s: ID!) { emailServices { nodes { id } } webService(id: $s) { resourceBindings { resource { id } } } }',
      { s: web },
      limited,
    )
    expect(seen).toEqual({ emailServices: { nodes: [{ id: service }] }, webService: { resourceBindings: [{ resource: { id: service } }] } })
    expect(
      (await refused('mutation ($id: ID!) { deleteEmailService(input: {id: $id, force: true}) { deletedId } }', { id: service }, limited))
        .code,
    ).toBe('not_found')
    const keys = 'query ($id: ID!) { emailService(id: $id) { apiKeys { name prefix revokedAt } resourceBindings { id } } }'
    expect((await run(keys, { id: service })).emailService.apiKeys).toMatchObject([
      { name: 'Web', prefix: expect.stringMatching(/^rs_eml_.{4}$/) },
    ])
    expect((await refused('mutation ($id: ID!) { deleteEmailService(input: {id: $id}) { deletedId } }', { id: service })).code).toBe(
      'resource_in_use',
    )
    await run('mutation ($id: ID!) { disconnectResource(input: {id: $id}) { deletedId } }', { id: connectEmailService.resourceBinding.id })
    expect((await run(keys, { id: service })).emailService).toEqual({ apiKeys: [], resourceBindings: [] })
    expect(await variables()).not.toHaveProperty('EMAIL_API_KEY')
  })
})
