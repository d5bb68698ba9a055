import { once } from 'node:events'
import { connect } from 'node:net'
import { createTransport } from 'nodemailer'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { inboundMail, mailOutcomes, queueMail } from '../../../src/domain/access/mail/index.ts'
import type { MailOutcome } from '../../../src/domain/access/mail/model.ts'
import { parseReport } from '../../../src/domain/access/mail/report-parser.ts'
import { returnPathOf } from '../../../src/domain/access/mail/return-path.ts'
import { suppressedAmong } from '../../../src/domain/access/mail/suppression.ts'
import { tokenOf } from '../../../src/domain/access/mail/token.ts'
import { type MailReceiver, openMailReceiver } from '../../../src/drivers/smtp/receiver.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { transact } from '../../../src/platform/work.ts'
import { openTcpServer } from '../../support/mail-server.ts'
import { createTenant, createWorld, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
let receiver: MailReceiver
let outcomes: MailOutcome[] = []
const failures: unknown[] = []

const follower = defineConcept({
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

beforeAll(async () => {
  world = await createWorld({ MAIL_IN_PORT: '0', MAIL_FROM: 'Quayside <no-reply@quay.example>' }, [follower])
  tenant = await createTenant(world.app)
  const handler = inboundMail(world.app)
  receiver = await openMailReceiver({ host: '127.0.0.1', port: 0, name: 'quay.example', handler, onError: (error) => failures.push(error) })
})
afterAll(async () => {
  await receiver?.close()
  await world?.close()
  expect(failures).toEqual([])
})
beforeEach(() => {
  outcomes = []
})

/** A mail that the SMTP server has accepted for its recipients. */
async function sentMail(...to: string[]): Promise<{ id: string; messageId: string; returnPath: string }> {
  const { id, messageId } = await transact(world.app, tenant.owner, {}, (work) =>
    queueMail(work, { organizationId: tenant.organizationId, purpose: 'test', from: 'shop@shop.example', to, subject: 'Your order' }),
  )
  await run(world.app.db, sql`update mail_recipient set status = 'SENT' where mail_id = ${id}::uuid`)
  await run(world.app.db, sql`update mail set status = 'ENDED' where id = ${id}::uuid`)
  const { address } = returnPathOf(
    world.app.settings,
    { returnPath: null, sender: 'shop@shop.example' },
    await tokenOf(world.app, world.app.db, id),
  )
  return { id, messageId, returnPath: address }
}

const statusesOf = async (id: string) =>
  (await rows<{ status: string }>(world.app.db, sql`select status from mail_recipient where mail_id = ${id}::uuid order by number`)).map(
    ({ status }) => status,
  )

/** Sends a mail to the receiver like another server would. Returns the answer. */
async function deliver(to: string | string[], raw: string): Promise<string> {
  const client = createTransport({ host: '127.0.0.1', port: receiver.port, ignoreTLS: true })
  try {
    const { response } = await client.sendMail({ envelope: { from: '', to }, raw: raw.replaceAll('\n', '\r\n') })
    return response
  } catch (error) {
    return (error as { response?: string }).response ?? String(error)
  } finally {
    client.close()
  }
}

type Block = { recipient: string; action: string; status: string; diagnostic?: string; original?: string }

const deliveryReport = (to: string, blocks: readonly Block[]) => `From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: ${to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

The mail could not be delivered.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Fri, 27 Nov 2026 10:00:00 +0000

${blocks
  .map(
    ({
      recipient,
      action,
      status,
      diagnostic,
      original,
    }) => `${original ? `Original-Recipient: rfc822;${original}\n` : ''}Final-Recipient: rfc822; ${recipient}
Action: ${action}
Status: ${status}
${diagnostic ? `Diagnostic-Code: smtp; ${diagnostic}\n` : ''}`,
  )
  .join('\n')}
--b1
Content-Type: text/rfc822-headers

Subject: Your order

--b1--
`

const complaint = (messageId: string, { type = 'abuse', recipient = '' } = {}) => `From: feedback@isp.example
To: complaints@quay.example
Subject: FW: Your order
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b2"

--b2
Content-Type: text/plain; charset=us-ascii

This is an abuse report.

--b2
Content-Type: message/feedback-report

Feedback-Type: ${type}
User-Agent: SomeGenerator/1.0
Version: 1
${recipient ? `Original-Rcpt-To: <${recipient}>\n` : ''}
--b2
Content-Type: message/rfc822
Content-Disposition: inline

From: shop@shop.example
Message-ID: ${messageId}
Subject: Your order

The order.
--b2--
`

describe('a delivery report', () => {
  it('that an address does not exist is a bounce, and suppresses it', async () => {
    const { id, returnPath } = await sentMail('ada@example.com', 'gone@example.com')
    const diagnostic = '550 5.1.1 <gone@example.com>: no such\n user'
    const raw = deliveryReport(returnPath, [{ recipient: 'Gone@example.com', action: 'failed', status: '5.1.1', diagnostic }])
    expect(await deliver(returnPath.toUpperCase().replace('@QUAY.EXAMPLE', '@quay.example'), raw)).toMatch(/^250/)
    expect(await statusesOf(id)).toEqual(['SENT', 'BOUNCED'])
    expect(outcomes).toMatchObject([
      {
        mailId: id,
        recipient: 'gone@example.com',
        outcome: 'bounced',
        code: '5.1.1',
        permanent: true,
        text: '550 5.1.1 <gone@example.com>: no such user',
      },
    ])
    const suppressed = () => suppressedAmong(world.app.db, tenant.organizationId, ['gone@example.com', 'ada@example.com'])
    expect([...(await suppressed()).keys()]).toEqual(['gone@example.com'])
    // The same report again changes nothing.
    expect(await deliver(returnPath, raw)).toMatch(/^250/)
    expect(outcomes).toHaveLength(1)
  })

  it.each([
    ['failed', '4.4.7', 'BOUNCED', [{ outcome: 'bounced', permanent: false }]],
    ['failed', '5.2.2', 'BOUNCED', [{ outcome: 'bounced', permanent: true }]],
    ['delivered', '2.0.0', 'DELIVERED', [{ outcome: 'delivered' }]],
    ['delayed', '4.4.1', 'SENT', [{ outcome: 'deferred', nextAttemptAt: null }]],
    ['relayed', '2.0.0', 'SENT', []],
    ['constructor', '2.0.0', 'SENT', []],
  ])('%s with status %s', async (action, status, expected, found) => {
    const { id, returnPath } = await sentMail('bea@example.com')
    // Forwarded: the mail has one recipient only.
    await deliver(returnPath, deliveryReport(returnPath, [{ recipient: 'other@elsewhere.example', action, status }]))
    expect(await statusesOf(id)).toEqual([expected])
    expect(outcomes).toMatchObject(found)
    expect(await suppressedAmong(world.app.db, tenant.organizationId, ['bea@example.com'])).toEqual(new Map())
  })

  it('names the recipient by its original address', async () => {
    const { id, returnPath } = await sentMail('carl@example.com', 'dora@example.com')
    const block = { recipient: 'carl@internal.example', original: 'carl@example.com', action: 'failed', status: '5.1.1' }
    await deliver(returnPath, deliveryReport(returnPath, [block, { recipient: 'stranger@example.com', action: 'failed', status: '5.1.1' }]))
    expect(await statusesOf(id)).toEqual(['BOUNCED', 'SENT'])
  })

  it('that is faster than the worker is asked for again', async () => {
    const { id, returnPath } = await sentMail('eli@example.com')
    await run(world.app.db, sql`update mail_recipient set status = 'PENDING' where mail_id = ${id}::uuid`)
    await run(world.app.db, sql`update mail set lease_owner = 'worker', status = 'PENDING' where id = ${id}::uuid`)
    const raw = deliveryReport(returnPath, [{ recipient: 'eli@example.com', action: 'failed', status: '5.1.1' }])
    expect(await deliver(returnPath, raw)).toMatch(/^451/)
    expect(outcomes).toEqual([])
  })

  it('of an organization is never recorded for the mail of another one', async () => {
    const { returnPath } = await sentMail('fay@example.com')
    const { id } = await sentMail('fay@example.com')
    await deliver(returnPath, deliveryReport(returnPath, [{ recipient: 'fay@example.com', action: 'failed', status: '5.1.1' }]))
    expect(await statusesOf(id)).toEqual(['SENT'])
  })
})

describe('a complaint', () => {
  it('about a mail that its sender has seen suppresses the address', async () => {
    const { id, messageId } = await sentMail('gil@example.com')
    expect(await deliver('complaints@quay.example', complaint(messageId))).toMatch(/^250/)
    expect(await statusesOf(id)).toEqual(['COMPLAINED'])
    expect(outcomes).toMatchObject([{ recipient: 'gil@example.com', outcome: 'complained', permanent: true }])
    expect(await suppressedAmong(world.app.db, tenant.organizationId, ['gil@example.com'])).toEqual(
      new Map([['gil@example.com', 'COMPLAINED']]),
    )
  })

  it('names one of several recipients', async () => {
    const { id, messageId } = await sentMail('hal@example.com', 'ida@example.com')
    await deliver('complaints@quay.example', complaint(messageId))
    expect(await statusesOf(id)).toEqual(['SENT', 'SENT'])
    await deliver('complaints@quay.example', complaint(messageId, { recipient: 'IDA@example.com' }))
    expect(await statusesOf(id)).toEqual(['SENT', 'COMPLAINED'])
  })

  it.each([
    ['a forged Message-ID', '<00000000000000000000000000000000000000000@shop.example>', {}],
    ['no Message-ID', '', {}],
    ['the type not-spam', null, { type: 'not-spam' }],
  ])('with %s is ignored', async (_what, messageId, options) => {
    const mail = await sentMail('joe@example.com')
    expect(await deliver('complaints@quay.example', complaint(messageId ?? mail.messageId, options))).toMatch(/^250/)
    expect(await statusesOf(mail.id)).toEqual(['SENT'])
  })
})

describe('what is no report', () => {
  it.each([
    'someone@quay.example',
    'bounce+00000000000000000000000000000000000000000@quay.example',
    'bounce@quay.example',
    'complaints@other.example',
    'postmaster@quay.example',
  ])('mail to %s is refused', async (to) => {
    expect(await deliver(to, 'Subject: Hello\n\nHello\n')).toMatch(/^550/)
  })

  it('an automatic reply is accepted and changes nothing', async () => {
    const { id, returnPath } = await sentMail('kim@example.com')
    expect(await deliver(returnPath, 'From: kim@example.com\nSubject: Out of office\n\nBack on Monday.\n')).toMatch(/^250/)
    expect(await statusesOf(id)).toEqual(['SENT'])
  })

  it.each([
    ['nothing', ''],
    ['binary', '\0\xff\xfe\x80'.repeat(1000)],
    ['a part without an end', 'Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\nAction'],
    ['a report without recipients', 'Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n'],
    ['many nested parts', Array.from({ length: 2_000 }, (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\n\n--b${n}\n`).join('')],
    ['many header fields', 'X: y\n'.repeat(50_000)],
    ['many recipients', `Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n${'Action: failed\n\n'.repeat(10_000)}`],
  ])('%s is read without harm', async (_what, text) => {
    const found = await parseReport(Buffer.from(text, 'latin1'))
    expect(found === null || (found.kind === 'delivery' && found.recipients.length <= 100)).toBe(true)
  })

  it('a large mail is accepted, of which little is kept', async () => {
    const { id, returnPath } = await sentMail('lee@example.com')
    const raw = `${deliveryReport(returnPath, [{ recipient: 'lee@example.com', action: 'failed', status: '5.1.1' }])}\n--b1\n\n${'x'.repeat(70)}\n`
    expect(await deliver(returnPath, raw + `${'y'.repeat(70)}\n`.repeat(60_000))).toMatch(/^250/)
    expect(await statusesOf(id)).toEqual(['BOUNCED'])
  })

  it('a mail above the limit is refused', async () => {
    const { returnPath } = await sentMail('mia@example.com')
    expect(await deliver(returnPath, `Subject: big\n\n${`${'y'.repeat(998)}\n`.repeat(34_000)}`)).toMatch(/^552|size/i)
  })

  const open = (limits: { maxConnections?: number; connectionMs?: number }) =>
    openMailReceiver({ ...{ host: '127.0.0.1', port: 0, name: 'x', handler: inboundMail(world.app), onError: () => {} }, ...limits })
  /** Connects and says nothing. `greeting` is the code that the server begins with, `ended` the end of the connection. */
  const listenTo = ({ port }: MailReceiver) => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const greeting = once(socket, 'data').then(([bytes]) => String(bytes).slice(0, 3))
    return { greeting, ended: once(socket, 'close'), close: () => socket.destroy() }
  }

  it('no more connections than the limit are served', async () => {
    const small = await open({ maxConnections: 2 })
    const served = [listenTo(small), listenTo(small)]
    for (const { greeting } of served) expect(await greeting).toBe('220')
    expect(await listenTo(small).greeting).toBe('421')
    for (const { close } of served) close()
    await small.close()
  })

  it('a connection that does nothing is closed', async () => {
    const small = await open({ connectionMs: 200 })
    await listenTo(small).ended
    await small.close()
  })

  it('a port that another program has is an error', async () => {
    const other = await openTcpServer(() => {})
    const port = Number(new URL(other.url).port)
    const opening = openMailReceiver({ host: '127.0.0.1', port, name: 'x', handler: inboundMail(world.app), onError: () => {} })
    await expect(opening).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await other.close()
  })
})
