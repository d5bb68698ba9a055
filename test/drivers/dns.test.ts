import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDnsResolver } from '../../src/drivers/dns/index.ts'
import { PortError } from '../../src/platform/errors.ts'
import { type DnsAnswer, type DnsServer, openDnsServer } from '../support/dns-server.ts'

let server: DnsServer
beforeAll(async () => {
  server = await openDnsServer()
})
afterAll(() => server.close())

const resolver = () => createDnsResolver({ servers: [server.address], timeoutMs: 100 })
const codeOf = (outcome: Promise<unknown>) =>
  outcome.then(
    () => 'found',
    (error: unknown) => (error instanceof PortError ? error.code : error),
  )

describe('the DNS resolver', () => {
  it('returns records, with the parts of a long text joined', async () => {
    const key = `v=DKIM1; p=${'A'.repeat(400)}`
    server.records.set('a._domainkey.shop.example TXT', { txt: [key, 'other'] })
    server.records.set('shop.example MX', { mx: [{ priority: 10, exchange: 'mx.shop.example' }] })
    server.records.set('mail.shop.example CNAME', { cname: 'shop.example' })
    const dns = createDnsResolver({ servers: [server.address] })
    expect(await dns.txt('a._domainkey.shop.example')).toEqual([key, 'other'])
    expect(await dns.mx('shop.example')).toEqual([{ priority: 10, exchange: 'mx.shop.example' }])
    expect(await dns.cname('mail.shop.example')).toEqual(['shop.example'])
  })

  it('returns the addresses of a name, of both kinds and behind aliases', async () => {
    server.records.set('both.example A', { addresses: ['192.0.2.1', '192.0.2.2'] })
    server.records.set('both.example AAAA', { addresses: ['2001:db8::1'] })
    server.records.set('www.both.example A', { aliases: ['cdn.example', 'edge.cdn.example'], addresses: ['192.0.2.3'] })
    server.records.set('www.both.example AAAA', { aliases: ['cdn.example', 'edge.cdn.example'], addresses: [] })
    const dns = createDnsResolver({ servers: [server.address] })
    expect((await dns.addresses('both.example')).sort()).toEqual(['192.0.2.1', '192.0.2.2', '2001:db8::1'])
    expect(await dns.addresses('www.both.example')).toEqual(['192.0.2.3'])
    expect(await codeOf(dns.addresses('absent.example'))).toBe('NOT_FOUND')
    server.records.set('half.example A', { addresses: ['192.0.2.1'] })
    server.records.set('half.example AAAA', 'failure')
    expect(await codeOf(resolver().addresses('half.example'))).toBe('UNAVAILABLE')
  })

  it('says that a name or a record does not exist', async () => {
    server.records.set('empty.example TXT', 'nothing')
    const dns = createDnsResolver({ servers: [server.address] })
    expect(await codeOf(dns.txt('empty.example'))).toBe('NOT_FOUND')
    expect(await codeOf(dns.txt('absent.example'))).toBe('NOT_FOUND')
    expect(await codeOf(dns.mx('no spaces.example..'))).toBe('NOT_FOUND')
  })

  it.each<DnsAnswer>(['silence', 'garbage', 'failure'])('says nothing of the record after %s', async (answer) => {
    server.records.set('sick.example TXT', answer)
    expect(await codeOf(resolver().txt('sick.example'))).toBe('UNAVAILABLE')
  })

  it('says nothing of the record if there is no server', async () => {
    const gone = await openDnsServer()
    await gone.close()
    expect(await codeOf(createDnsResolver({ servers: [gone.address], timeoutMs: 100 }).txt('shop.example'))).toBe('UNAVAILABLE')
  })
})
