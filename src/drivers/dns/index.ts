/** Looks up DNS records at the configured servers, or those of the machine. */
import { Resolver } from 'node:dns/promises'
import type { DnsErrorCode, DnsResolver } from '../../domain/access/mail/ports.ts'
import { PortError } from '../../platform/errors.ts'

type DnsOptions = { servers?: readonly string[] | undefined; timeoutMs?: number }

/** Codes that say that there is no such name or record. */
const absent = ['ENOTFOUND', 'ENODATA', 'EBADNAME']
/** Attempts at each server. */
const tries = 2

export function createDnsResolver({ servers, timeoutMs = 3_000 }: DnsOptions = {}): DnsResolver {
  const look = async <T>(name: string, read: (resolver: Resolver) => Promise<T>): Promise<T> => {
    // One for each lookup, so that cancelling it concerns no other.
    const resolver = new Resolver({ timeout: timeoutMs, tries })
    if (servers) resolver.setServers([...servers])
    const cancel = setTimeout(() => resolver.cancel(), timeoutMs * (tries + 1))
    try {
      return await read(resolver)
    } catch (cause) {
      const code: DnsErrorCode = absent.includes((cause as NodeJS.ErrnoException).code ?? '') ? 'NOT_FOUND' : 'UNAVAILABLE'
      throw new PortError(code, code === 'NOT_FOUND' ? `${name} has no such DNS record.` : `No DNS server answered for ${name}.`, { cause })
    } finally {
      clearTimeout(cancel)
    }
  }
  return {
    txt: async (name) => (await look(name, (resolver) => resolver.resolveTxt(name))).map((parts) => parts.join('')),
    mx: async (name) =>
      (await look(name, (resolver) => resolver.resolveMx(name))).map(({ exchange, priority }) => ({ exchange, priority })),
    cname: (name) => look(name, (resolver) => resolver.resolveCname(name)),
    async addresses(name) {
      const kinds = await Promise.allSettled([
        look(name, (resolver) => resolver.resolve4(name)),
        look(name, (resolver) => resolver.resolve6(name)),
      ])
      const failed = kinds.flatMap((kind) => (kind.status === 'rejected' ? [kind.reason as PortError<DnsErrorCode>] : []))
      const missing = failed.find(({ code }) => code !== 'NOT_FOUND') ?? (failed.length === kinds.length ? failed[0] : undefined)
      if (missing) throw missing
      return kinds.flatMap((kind) => (kind.status === 'fulfilled' ? kind.value : []))
    },
  }
}
