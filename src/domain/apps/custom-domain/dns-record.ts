/** The DNS records of a custom domain: what to publish, and what becomes of what was found. All pure. */
import { isIP } from 'node:net'
import type { CustomDomain, DnsCheckStatus } from '../../../generated/prisma/client.ts'
import type { Settings } from '../../../platform/settings.ts'
import { challengeLabel } from './domain-name.ts'

/** OWNERSHIP proves that the domain belongs to whoever added it. ROUTING leads visitors here; a proxy in front of Quayside may do without it. */
export type Purpose = 'OWNERSHIP' | 'ROUTING'

export type Check = { status: DnsCheckStatus; found: string[] }
export type Checks = Partial<Record<Purpose, Check>>

export type DnsRecord = { purpose: string; type: string; name: string; value: string; status: DnsCheckStatus; found: string[] }

/** Where visitors of custom domains are to arrive: the host name of the router, if it has one, and its addresses. */
export type RouterTarget = { host: string | null; addresses: string[] }

export function routerTarget({ ROUTER_TARGET, ROUTER_DOMAIN }: Pick<Settings, 'ROUTER_TARGET' | 'ROUTER_DOMAIN'>): RouterTarget {
  const targets = ROUTER_TARGET ?? [ROUTER_DOMAIN]
  return { host: targets.find((target) => isIP(target) === 0) ?? null, addresses: targets.filter((target) => isIP(target) !== 0) }
}

export const challengeName = (domain: string): string => `${challengeLabel}.${domain}`

const pending: Check = { status: 'PENDING', found: [] }

/** The records of a domain, to be shown. Of those for routing, either the CNAME or the addresses are sufficient. */
export function recordsOf({ domain, token, checks }: Pick<CustomDomain, 'domain' | 'token' | 'checks'>, target: RouterTarget): DnsRecord[] {
  const { OWNERSHIP = pending, ROUTING = pending } = checks as Checks
  const route = (type: string, value: string) => ({ purpose: 'ROUTING', type, name: domain, value, ...ROUTING })
  return [
    { purpose: 'OWNERSHIP', type: 'TXT', name: challengeName(domain), value: token, ...OWNERSHIP },
    ...(target.host === null ? [] : [route('CNAME', target.host)]),
    ...target.addresses.map((address) => route(isIP(address) === 4 ? 'A' : 'AAAA', address)),
  ]
}

/** At most this much of what is found is kept, because anyone can publish anything. */
const maxFound = 10
const maxText = 500
const shown = (texts: readonly string[]): string[] => texts.slice(0, maxFound).map((text) => text.slice(0, maxText))

const isProof = (text: string, token: string): boolean => text.trim() === token
export const proves = (texts: readonly string[], token: string): boolean => texts.some((text) => isProof(text, token))

/** Other texts may be there, too: those of another organization that claims the domain. */
export function ownershipOf(texts: readonly string[], token: string): Check {
  const proof = texts.filter((text) => isProof(text, token)).slice(0, 1)
  const others = texts.filter((text) => !isProof(text, token))
  return { status: proof.length > 0 ? 'VERIFIED' : texts.length > 0 ? 'FAILED' : 'PENDING', found: shown([...proof, ...others]) }
}

/** `expected` are all addresses of the router. A domain that also leads elsewhere is wrong: some of its visitors get there. */
export function routingOf(
  found: { aliases: readonly string[]; addresses: readonly string[] },
  host: string | null,
  expected: readonly string[],
): Check {
  const aliases = found.aliases.map((alias) => alias.toLowerCase().replace(/\.$/, ''))
  const isRight =
    (host !== null && aliases.includes(host)) ||
    (found.addresses.length > 0 && found.addresses.every((address) => expected.includes(address)))
  const texts = [...aliases, ...found.addresses]
  return { status: isRight ? 'VERIFIED' : texts.length > 0 ? 'FAILED' : 'PENDING', found: shown(texts) }
}
