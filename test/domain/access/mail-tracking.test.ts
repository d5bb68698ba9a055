import { type FastifyInstance, fastify } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mailOutcomes, type NewMail, queueMail } from '../../../src/domain/access/mail/index.ts'
import { mailQueue } from '../../../src/domain/access/mail/jobs.ts'
import type { MailOutcome } from '../../../src/domain/access/mail/model.ts'
import { trackedHtml } from '../../../src/domain/access/mail/tracking.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { trackingPlugin } from '../../../src/rest/tracking/index.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let server: FastifyInstance
let outcomes: MailOutcome[] = []
let failing = false

const follower = defineConcept({
  name: 'follower',
  extensions: [
    mailOutcomes.with({
      purpose: 'test',
      emits: [],
      async record(_work, found) {
        if (failing) throw new Error('the outcome cannot be recorded')
        outcomes.push(...found)
      },
    }),
  ],
})

beforeAll(async () => {
  world = await createWorld({ PUBLIC_URL: 'https://quay.example/' }, [follower])
  tenant = await createTenant(world.app)
  server = fastify({ routerOptions: { maxParamLength: 10_000 } })
  await server.register(trackingPlugin(world.app))
})
afterAll(async () => {
  await server?.close()
  await world?.close()
})
beforeEach(() => {
  outcomes = []
  failing = false
})

const track = (html: string, tracking: NewMail['tracking'] = { opens: false, clicks: true }, id = newId()) =>
  trackedHtml(world.app, world.app.db, id, { html, tracking })
const addressesIn = (html: string) => [...html.matchAll(/https:\/\/quay\.example(\/e\/[oc]\/[\w.-]+)"/g)].map((match) => match[1]!)
const call = (url: string, method: 'GET' | 'HEAD' | 'POST' = 'GET') => server.inject({ method, url })

describe('links', () => {
  it.each([
    ['<a href="https://shop.example/">x</a>', 'https://shop.example/'],
    ["<A class='b' HREF = 'http://shop.example/a?b=1&amp;c=2#d'>x</A>", 'http://shop.example/a?b=1&c=2#d'],
    ['<a title="a > b" href="https://shop.example/&#x26;&#38;">x</a>', 'https://shop.example/&&'],
    ['<a href="https://bücher.example/ü?q=ö">x</a>', 'https://xn--bcher-kva.example/%C3%BC?q=%C3%B6'],
    ['<a\nhref="https://shop.example/?x=1&copy=2">x</a>', 'https://shop.example/?x=1&copy=2'],
  ])('%s leads where it led', async (html, target) => {
    const [address, ...more] = addressesIn((await track(html))!)
    expect(more).toEqual([])
    const { statusCode, headers } = await call(address!)
    expect([statusCode, headers.location]).toEqual([302, target])
    expect(headers['cache-control']).toBe('no-store')
  })

  it.each([
    '<a href="mailto:ada@example.com">x</a>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="/relative">x</a>',
    '<a href="#part">x</a>',
    '<a href="https://">x</a>',
    '<a name="x">x</a>',
    '<a href="https://shop.example/?x=&copy;">x</a>',
    `<a href="https://shop.example/${'x'.repeat(3_000)}">x</a>`,
    '<abbr href="https://shop.example/">x</abbr>',
    '<p>https://shop.example/</p>',
    '<a href="https://shop.example/',
  ])('%s is left as it is', async (html) => {
    expect(await track(html)).toBe(html)
  })

  it.each(['<a ', '<a "', '<a href="', '<a href=\'"', '<a x=', '<a / '])('many of %j are read in linear time', async (part) => {
    const cpuOf = async (count: number) => {
      const html = part.repeat(count)
      const start = process.cpuUsage()
      expect(await track(html)).toBe(html)
      return process.cpuUsage(start).user
    }
    await cpuOf(1_000)
    // In quadratic time, it would take more than a second for each of them.
    expect(await cpuOf(100_000)).toBeLessThan(1_000_000)
  })
})

describe('a token', () => {
  it('that was changed, or is of another kind, leads nowhere', async () => {
    const html = await track('<body><a href="https://shop.example/">x</a></body>', { opens: true, clicks: true })
    const [click = '', open = ''] = addressesIn(html!)
    expect(open).toMatch(/^\/e\/o\//)
    const [payload = '', mac = ''] = click.slice('/e/c/'.length).split('.')
    const evil = Buffer.concat([Buffer.from(payload, 'base64url').subarray(0, 16), Buffer.from('https://evil.example/')]).toString(
      'base64url',
    )
    const tokens = [`${evil}.${mac}`, `${payload}.${mac.slice(0, -2)}AA`, payload, `${payload}.`, mac, 'x', open.slice('/e/o/'.length)]
    for (const token of tokens) expect((await call(`/e/c/${token}`)).statusCode).toBe(404)
    expect((await call(click.replace('/e/c/', '/e/o/'))).statusCode).toBe(404)
    expect((await call(`/e/c/${encodeURIComponent('https://evil.example/')}`)).statusCode).toBe(404)
    expect((await call(click, 'POST')).statusCode).toBe(404)
    expect(outcomes).toEqual([])
  })
})

describe('a tracked mail', () => {
  const send = async (to: string[], tracking?: NewMail['tracking']) => {
    const html = '<html><body><a href="https://shop.example/1">1</a> <a href="https://shop.example/2">2</a></body></html>'
    const { id } = await transact(world.app, tenant.owner, {}, (work) =>
      queueMail(work, {
        ...{ organizationId: tenant.organizationId, purpose: 'test', from: 'shop@shop.example', to, subject: 'Your order', html },
        ...(tracking ? { tracking } : {}),
      }),
    )
    const jobs = startJobs(world.app, { queues: [mailQueue], chores: [] })
    await until('the mail is kept', () => outcomes.some(({ mailId, outcome }) => mailId === id && outcome === 'sent'))
    await jobs.stop({ graceMs: 1_000 })
    outcomes = []
    const query = 'query ($to: String) { mailOutbox(to: $to) { nodes { html } } }'
    const { data } = await operation(world.app, tenant.owner, query, { to: to[0] })
    return { id, html, received: data!.mailOutbox.nodes[0].html as string }
  }

  it('reports the first open, and the first click of each link', async () => {
    const { id, received } = await send(['ada@example.com'], { opens: true, clicks: true })
    const [one, two, pixel] = addressesIn(received)
    expect(received).toMatch(/alt=""><\/body><\/html>$/)
    expect((await call(pixel!, 'HEAD')).statusCode).toBe(200)
    expect(outcomes).toEqual([])
    const opened = await call(pixel!)
    expect([opened.statusCode, opened.headers['content-type'], opened.rawPayload.subarray(0, 3).toString()]).toEqual([
      200,
      'image/gif',
      'GIF',
    ])
    for (const address of [one!, pixel!, two!, one!]) await call(address)
    expect(outcomes.map(({ mailId, recipient, outcome, url }) => [mailId, recipient, outcome, url])).toEqual([
      [id, 'ada@example.com', 'opened', undefined],
      [id, 'ada@example.com', 'clicked', 'https://shop.example/1'],
      [id, 'ada@example.com', 'clicked', 'https://shop.example/2'],
    ])
  })

  it('names no recipient if it has several', async () => {
    const { received } = await send(['bob@example.com', 'eve@example.com'], { opens: true, clicks: false })
    const [pixel, ...more] = addressesIn(received)
    expect(more).toEqual([])
    await call(pixel!)
    expect(outcomes).toMatchObject([{ recipient: null, outcome: 'opened' }])
  })

  it('still leads the recipient on if the click cannot be recorded', async () => {
    const { received } = await send(['fay@example.com'], { opens: false, clicks: true })
    failing = true
    const { statusCode, headers } = await call(addressesIn(received)[0]!)
    expect([statusCode, headers.location]).toEqual([302, 'https://shop.example/1'])
    expect(world.app.logged.map(({ msg }) => msg)).toContain('opened mails and clicked links could not be recorded')
  })

  it('is left as it is unless tracking is asked for', async () => {
    const { html, received } = await send(['gil@example.com'])
    expect(received).toBe(html)
  })
})
