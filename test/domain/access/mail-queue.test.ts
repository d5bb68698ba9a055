import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachmentsSchema, type NewMail, parseMailbox, queueMail, suppressedAmong } from '../../../src/domain/access/mail/index.ts'
import { contentIdentity } from '../../../src/domain/access/mail/model.ts'
import { suppress } from '../../../src/domain/access/mail/suppression.ts'
import { mailOfToken } from '../../../src/domain/access/mail/token.ts'
import { row, rows, sql } from '../../../src/platform/db/index.ts'
import { transact } from '../../../src/platform/work.ts'
import { codeOf, createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const mail = (changes: Partial<NewMail> = {}): NewMail => ({
  organizationId: tenant.organizationId,
  purpose: 'test',
  from: 'Shop <shop@shop.example>',
  to: ['ada@example.com'],
  subject: 'Your order',
  text: 'The order number is 4711-0815.',
  ...changes,
})
const queue = (changes: Partial<NewMail> = {}) => transact(world.app, tenant.owner, {}, (work) => queueMail(work, mail(changes)))

describe('an address', () => {
  it.each([
    ['ada@example.com', { name: '', address: 'ada@example.com' }],
    ['Ada Lovelace <ada@example.com>', { name: 'Ada Lovelace', address: 'ada@example.com' }],
    ['"Lovelace, Ada" <Ada@EXAMPLE.com>', { name: 'Lovelace, Ada', address: 'Ada@example.com' }],
    ['ada@bücher.example', { name: '', address: 'ada@xn--bcher-kva.example' }],
  ])('%s is read', (text, mailbox) => {
    expect(parseMailbox(text)).toEqual(mailbox)
  })

  it.each([
    '',
    'ada',
    'ada@',
    '@example.com',
    'a..b@example.com',
    'ada@example.com, bob@example.com',
    'ada@example.com\r\nBcc: eve@example.com',
    'Ada\nBcc: eve@example.com <ada@example.com>',
    '"ada@evil.example"@example.com',
    'team: ada@example.com;',
    'ada@exam_ple.com',
    `${'a'.repeat(65)}@example.com`,
    'ada@example.com\u0000',
  ])('%j is refused', (text) => {
    expect(parseMailbox(text)).toBeNull()
  })
})

describe('queueMail', () => {
  it('stores the mail with each recipient once, and its content sealed', async () => {
    const { id, messageId } = await queue({ cc: ['Bob <bob@example.com>'], bcc: ['ADA@example.com', 'eve@example.com'] })
    const found = await rows<{ address: string; status: string }>(
      world.app.db,
      sql`select address, status from mail_recipient where mail_id = ${id}::uuid order by number`,
    )
    expect(found).toEqual(['ada@example.com', 'bob@example.com', 'eve@example.com'].map((address) => ({ address, status: 'PENDING' })))
    const stored = (await row<{ content: Uint8Array; status: string }>(
      world.app.db,
      sql`select content, status from mail where id = ${id}::uuid`,
    ))!
    expect(stored.status).toBe('PENDING')
    const content = await world.app.keyring.open(world.app.db, tenant.organizationId, contentIdentity(id), stored.content)
    expect(JSON.parse(content)).toEqual({ text: 'The order number is 4711-0815.' })
    const [, token = '', domain] = /^<([a-z0-9]{42})@(.*)>$/.exec(messageId) ?? []
    expect(domain).toBe('shop.example')
    expect(await mailOfToken(world.app, world.app.db, token.toUpperCase())).toBe(id)
    const forged = `${token.slice(0, -3)}${token.endsWith('000') ? '111' : '000'}`
    expect(await mailOfToken(world.app, world.app.db, forged)).toBeNull()
  })

  it('is undone with the change that it belongs to', async () => {
    const before = await row(world.app.db, sql`select count(*) as n from mail`)
    const failing = transact(world.app, tenant.owner, {}, async (work) => {
      await queueMail(work, mail())
      throw new Error('the change failed')
    })
    await expect(failing).rejects.toThrow('the change failed')
    expect(await row(world.app.db, sql`select count(*) as n from mail`)).toEqual(before)
  })

  it.each<[string, Partial<NewMail>]>([
    ['no recipient', { to: [] }],
    ['51 recipients', { to: Array.from({ length: 51 }, (_, n) => `user${n}@example.com`) }],
    ['a line break in the subject', { subject: 'Hello\r\nBcc: eve@example.com' }],
    ['a line break in a name', { to: ['Ada\r\nBcc: eve@example.com <ada@example.com>'] }],
    ['a line break in a header', { headers: { 'X-Tag': 'a\nBcc: eve@example.com' } }],
    ['a line break in the name of a header', { headers: { 'X-Tag: a\r\nBcc': 'eve@example.com' } }],
    ['a line break in the name of a file', { attachments: [{ filename: 'a\r\nb', contentBase64: 'aGk=' }] }],
    ['a line break in a media type', { attachments: [{ filename: 'a', contentType: 'text/plain\r\nX: y', contentBase64: 'aGk=' }] }],
    ['two senders', { from: 'a@shop.example, b@shop.example' }],
    ['a return path that is no address', { returnPath: 'a> SIZE=1' }],
  ])('refuses %s', async (_what, changes) => {
    expect(await codeOf(queue(changes))).toBe('invalid_input')
  })

  it('accepts attachments of 10 MB in all, and refuses bad base64 among them', () => {
    const contentBase64 = Buffer.alloc(5 * 1024 * 1024, 'a').toString('base64')
    const two = (content: string) => ['a', 'b'].map((filename) => ({ filename, contentBase64: content }))
    expect(attachmentsSchema.safeParse(two(contentBase64)).success).toBe(true)
    expect(attachmentsSchema.safeParse(two(`${contentBase64.slice(0, -4)}aa-=`)).success).toBe(false)
    expect(attachmentsSchema.safeParse([...two(contentBase64), { filename: 'c', contentBase64: 'YQ==' }]).success).toBe(false)
  })

  it('accepts 50 recipients', async () => {
    await expect(queue({ to: Array.from({ length: 50 }, (_, n) => `user${n}@example.com`) })).resolves.toBeDefined()
  })

  it('queues mail of the installation, which belongs to no organization', async () => {
    const { id } = await queue({ organizationId: null })
    expect(await row(world.app.db, sql`select organization_id from mail where id = ${id}::uuid`)).toEqual({ organizationId: null })
  })
})

describe('the suppression list', () => {
  const add = (address: string, reason: 'BOUNCED' | 'COMPLAINED') =>
    suppress(world.app.db, { organizationId: tenant.organizationId, address, reason, detail: null })
  const list = '{ mailSuppressions { totalCount nodes { id address reason } } }'

  it('is listed, and an address can be removed', async () => {
    await add('Gone@example.com', 'BOUNCED')
    await add('angry@example.com', 'BOUNCED')
    await add('angry@example.com', 'COMPLAINED')
    await add('angry@example.com', 'BOUNCED')
    const { data } = await operation(world.app, tenant.key('READ'), list)
    const nodes = data!.mailSuppressions.nodes as { id: string; address: string; reason: string }[]
    expect(nodes.map(({ address, reason }) => `${address} ${reason}`)).toEqual(['angry@example.com COMPLAINED', 'gone@example.com BOUNCED'])
    expect(await suppressedAmong(world.app.db, tenant.organizationId, ['GONE@example.com', 'ada@example.com'])).toEqual(
      new Map([['gone@example.com', 'BOUNCED']]),
    )

    const remove = 'mutation ($id: ID!) { removeMailSuppression(input: {id: $id}) { deletedId } }'
    const { id } = nodes[1]!
    expect((await operation(world.app, tenant.key('READ'), remove, { id })).errors?.[0]?.code).toBe('forbidden')
    const other = await createTenant(world.app)
    expect((await operation(world.app, other.owner, remove, { id })).errors?.[0]?.code).toBe('not_found')
    expect((await operation(world.app, tenant.key('WRITE'), remove, { id })).data).toEqual({ removeMailSuppression: { deletedId: id } })
    expect(await suppressedAmong(world.app.db, tenant.organizationId, ['gone@example.com'])).toEqual(new Map())
  })

  it('is not seen with a key that is limited to a project', async () => {
    await add('gone2@example.com', 'BOUNCED')
    const project = await operation(world.app, tenant.owner, 'mutation { createProject(input: {name: "Mail"}) { project { id } } }')
    expect(project.errors).toBeUndefined()
    const found = await row<{ id: string }>(
      world.app.db,
      sql`select id from project where organization_id = ${tenant.organizationId}::uuid`,
    )
    const { data } = await operation(world.app, tenant.key('READ', found!.id), list)
    expect(data!.mailSuppressions).toEqual({ totalCount: 0, nodes: [] })
  })
})
