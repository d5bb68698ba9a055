/** What email needs from outside, for tests: DNS records that they publish, and the address of the API. */
import { apiEndpoint, dnsResolver } from '../../src/domain/access/mail/index.ts'
import type { DnsErrorCode } from '../../src/domain/access/mail/ports.ts'
import { PortError } from '../../src/platform/errors.ts'
import type { App } from '../../src/platform/work.ts'

export type Dns = {
  /** TXT records by name. Names that are not in it do not exist. */
  records: Map<string, string[]>
  /** Names whose look-ups are not answered. */
  silent: Set<string>
}

export function provideEmail(app: App): Dns {
  const dns: Dns = { records: new Map(), silent: new Set() }
  const none = async () => []
  dnsResolver.provide(app, {
    async txt(name) {
      if (dns.silent.has(name)) throw new PortError<DnsErrorCode>('UNAVAILABLE', 'No DNS server answered in time.')
      const found = dns.records.get(name)
      if (!found) throw new PortError<DnsErrorCode>('NOT_FOUND', 'The name does not exist.')
      return found
    },
    mx: none,
    cname: none,
    addresses: none,
  })
  apiEndpoint.provide(app, { url: 'http://127.0.0.1:4000' })
  return dns
}
