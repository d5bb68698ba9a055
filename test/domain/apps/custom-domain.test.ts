/** Custom domains through the GraphQL API: their names, who may have them, and their end. */
import { isIP } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { domainNameOf } from '../../../src/domain/apps/custom-domain/domain-name.ts'
import { hostName } from '../../../src/drivers/proxy/table.ts'
import { rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
let other: Tenant
let service: string

beforeAll(async () => {
  world = await createWorld({ ROUTER_DOMAIN: 'apps.example.org', PUBLIC_URL: 'https://api.example.org' })
  tenant = await createTenant(world.app)
  other = await createTenant(world.app)
})
afterAll(() => world?.close())
beforeEach(async () => {
  service = await createService()
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

const newDomain = () => `${newId()}.example.com`
async function createService(owner = tenant, kind = 'WEB'): Promise<string> {
  const project = (
    await run('mutation ($name: String!) { createProject(input: {name: $name}) { project { id } } }', { name: newId() }, owner.owner)
  ).createProject.project.id
  const source =
    'mutation ($p: ID!, $k: WebServiceKind!) { createWebService(input: {projectId: $p, name: "Shop", kind: $k}) { webService { id } } }'
  return (await run(source, { p: project, k: kind }, owner.owner)).createWebService.webService.id
}

const add =
  'mutation ($s: ID!, $domain: String!) { addCustomDomain(input: {webServiceId: $s, domain: $domain}) { customDomain { id domain } } }'
const remove = 'mutation ($id: ID!) { deleteCustomDomain(input: {id: $id}) { deletedId } }'
const addDomain = async (domain: string, s = service, owner = tenant): Promise<{ id: string; domain: string }> =>
  (await run(add, { s, domain }, owner.owner)).addCustomDomain.customDomain
const domainsOf = async (s = service): Promise<string[]> =>
  (await run('query ($s: ID!) { webService(id: $s) { customDomains { nodes { domain } } } }', { s })).webService.customDomains.nodes.map(
    ({ domain }: { domain: string }) => domain,
  )
const eventsOf = async (type: string, domain: string) =>
  rows<{ data: Record<string, unknown> }>(world.app.db, sql`select data from event where type = ${type} and data->>'domain' = ${domain}`)

describe('the name of a domain', () => {
  it.each([
    ['WWW.Example.COM', 'www.example.com'],
    [' shop.example.com. ', 'shop.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['日本語.jp', 'xn--wgv71a119e.jp'],
    ['a-b.xn--p1ai', 'a-b.xn--p1ai'],
  ])('%j is stored as %s', async (given, stored) => {
    expect((await addDomain(given)).domain).toBe(stored)
  })

  it.each([
    ...['', '.', 'com', 'localhost', '*.example.com', 'example.com:80', 'https://example.com', 'example.com/', 'user@example.com'],
    ...['192.0.2.1', '127.1', '0x7f.1', '[2001:db8::1]', '2001:db8::1', 'example.com..', '.example.com', 'a..example.com', 'exa mple.com'],
    ...['ex\tample.com', 'exam\u0000ple.com', '-a.example.com', 'a-.example.com', '_a.example.com', 'ex%61mple.com'],
    ...['xn--a.example.com', `${'a'.repeat(64)}.example.com`, `${'a.'.repeat(120)}example.com`, 'example.123'],
  ])('%j is refused', async (domain) => {
    expect(await refused(add, { s: service, domain })).toMatchObject({ code: 'invalid_input', field: 'domain' })
    expect(await domainsOf()).toEqual([])
  })

  it.each(['apps.example.org', 'shop.apps.example.org', 'API.example.org.'])(
    '%s, which is of the installation, is refused',
    async (domain) => {
      expect(await refused(add, { s: service, domain })).toMatchObject({ code: 'invalid_input', field: 'domain' })
    },
  )
})

describe('a domain', () => {
  it('is added to one service of an organization, and is free again once it is removed', async () => {
    const domain = newDomain()
    const { id } = await addDomain(domain)
    expect(await domainsOf()).toEqual([domain])
    expect((await refused(add, { s: service, domain })).code).toBe('domain_taken')
    expect((await refused(add, { s: await createService(), domain })).code).toBe('domain_taken')
    await run(remove, { id })
    expect(await domainsOf()).toEqual([])
    expect(await eventsOf('custom_domain.added', domain)).toHaveLength(1)
    expect(await eventsOf('custom_domain.deleted', domain)).toHaveLength(1)
    await addDomain(domain)
  })

  it('that another organization has not proven is no obstacle; a proven one is, without saying whose it is', async () => {
    const domain = newDomain()
    const theirs = await addDomain(domain, await createService(other), other)
    const { id } = await addDomain(domain)
    await run(remove, { id })
    await runSql(
      world.app.db,
      sql`update custom_domain set dns_status = 'VERIFIED', verified_at = app_now() where id = ${decodeId('CustomDomain', theirs.id)}::uuid`,
    )
    const refusal = await refused(add, { s: service, domain })
    expect(refusal).toMatchObject({ code: 'domain_taken', field: 'domain' })
    expect(JSON.stringify(refusal)).not.toContain(other.owner.subject.name)
  })

  it('is refused for a worker, and beyond the limit of a service', async () => {
    expect((await refused(add, { s: await createService(tenant, 'WORKER'), domain: newDomain() })).code).toBe('custom_domain_unsupported')
    for (let n = 0; n < 20; n++) await addDomain(newDomain())
    expect((await refused(add, { s: service, domain: newDomain() })).code).toBe('custom_domain_limit')
    expect(await domainsOf()).toHaveLength(20)
  })

  it('goes with its service, and is free at once', async () => {
    const domain = newDomain()
    await addDomain(domain)
    await run('mutation ($s: ID!) { deleteWebService(input: {id: $s}) { deletedId } }', { s: service })
    expect(await eventsOf('custom_domain.deleted', domain)).toHaveLength(1)
    await addDomain(domain, await createService())
  })
})

describe('any text', () => {
  const label = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.domain(),
    fc.constantFrom('xn--', 'xn--bcher-kva', '*', '_x', '-', '127', '0x7f', 'ß', '。', 'İ', '\u00ad', '\u200d', '%2e'),
  )
  const text = fc.oneof(
    fc.array(label, { maxLength: 8 }).map((labels) => labels.join('.')),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.webUrl(),
    fc.ipV4(),
    fc.ipV6(),
    fc.emailAddress(),
  )

  it('becomes the name of a host that the router can match and the DNS can ask for, or none', () => {
    fc.assert(
      fc.property(text, (given) => {
        const name = domainNameOf(given)
        if (name === null) return
        expect(name).toMatch(/^(?=.{3,233}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/)
        expect(isIP(name)).toBe(0)
        expect(new URL(`http://${name}/`).hostname).toBe(name)
        for (const written of [name, `${name}.`, name.toUpperCase(), ` ${name} `]) expect(domainNameOf(written)).toBe(name)
        expect([hostName(name), hostName(`${name.toUpperCase()}.:8080`)]).toEqual([name, name])
      }),
      { numRuns: 5_000 },
    )
  })
})
