/**
 * Decides where the program may connect to; webhooks and git call it before they open a socket. It resolves names, refuses non-public
 * ranges and applies the exceptions of EGRESS_ALLOW. It opens no connection: the caller must connect to the addresses it returns, never to
 * the name, or a second DNS answer would bypass the check.
 */

import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr, { type IPv4, type IPv6 } from 'ipaddr.js'

export type EgressGuard = {
  /**
   * Resolves a host name or address literal once, checks every address, and returns the addresses to connect to, at least one. Accepts every
   * literal that a URL parser accepts (decimal, octal, hex, brackets). Has no timeout. Throws EgressError.
   */
  resolve(hostname: string): Promise<{ address: string; family: 4 | 6 }[]>
  /** Whether EGRESS_ALLOW lists every address, so that plain http is allowed. False for an empty list. */
  isExempt(addresses: { address: string }[]): boolean
}

/** The message may be shown to users. It names EGRESS_ALLOW if that setting would allow the address. */
export class EgressError extends Error {
  override readonly name = 'EgressError'
  /**
   * `dns`: the name doesn't exist or has no address. `resolver`: our own resolver is unavailable, which says nothing about the name.
   * `blocked`: an address is not allowed.
   */
  readonly reason: 'dns' | 'resolver' | 'blocked'

  constructor(reason: EgressError['reason'], message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.reason = reason
  }
}

type Lookup = (hostname: string) => Promise<{ address: string; family: number }[]>

/**
 * `allow` lists CIDRs and addresses; throws an Error that names an entry which is neither. A CIDR also covers IPv4 addresses embedded in IPv6
 * (mapped, compatible, NAT64, 6to4, Teredo). The reverse doesn't hold: listing an embedding range allows the public addresses embedded in
 * it, not the private ones.
 */
export function createEgressGuard({ allow, lookup = systemLookupAll }: { allow: string[]; lookup?: Lookup }): EgressGuard {
  const allowed = allow.map((entry) => parseNetwork(entry, 'EGRESS_ALLOW'))

  const isListed = (address: IPv4 | IPv6) =>
    allowed.some(([network, bits]) => address.kind() === network.kind() && address.match(network, bits))

  const isNamed = (address: IPv4 | IPv6) => {
    const embedded = embeddedAddresses(address)
    if (embedded.length === 0) return isListed(address)
    return embedded.every(isListed) || (isListed(address) && embedded.every((inner) => isListed(inner) || isPublic(inner)))
  }

  return {
    async resolve(hostname) {
      const host = normaliseHost(hostname)
      const answers = isIP(host) === 0 ? await lookUp(lookup, host) : [{ address: host }]
      const refused = answers.find(({ address }) => {
        const parsed = parseAddress(address)
        return parsed === null || !(isNamed(parsed) || isPublic(parsed))
      })
      if (refused) throw new EgressError('blocked', blockedText(host, refused.address))
      return answers.map(({ address }) => ({ address, family: isIP(address) === 4 ? 4 : 6 }))
    },
    isExempt(addresses) {
      return (
        addresses.length > 0 &&
        addresses.every(({ address }) => {
          const parsed = parseAddress(address)
          return parsed !== null && isNamed(parsed)
        })
      )
    },
  }
}

function systemLookupAll(hostname: string) {
  return systemLookup(hostname, { all: true, order: 'verbatim' })
}

async function lookUp(lookup: Lookup, host: string): Promise<{ address: string }[]> {
  let answers: { address: string }[]
  try {
    answers = await lookup(host)
  } catch (cause) {
    if (resolverFaults.has((cause as NodeJS.ErrnoException).code ?? '')) {
      throw new EgressError('resolver', `The name ${host} could not be resolved at present: the DNS resolver does not answer.`, { cause })
    }
    throw new EgressError('dns', `The name ${host} could not be resolved.`, { cause })
  }
  if (answers.length === 0) throw new EgressError('dns', `The name ${host} has no address.`)
  return answers
}

/** Error codes of the system resolver and of c-ares that concern the resolver itself. All others concern the name. */
const resolverFaults = new Set([
  'EAI_AGAIN',
  'EAI_MEMORY',
  'EAI_SYSTEM',
  'ETIMEOUT',
  'ECONNREFUSED',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOBUFS',
])

/** Normalizes a host as a URL parser does: lower case, punycode, any IPv4 literal as four decimals, and IPv6 without brackets. */
function normaliseHost(hostname: string): string {
  const unbracketed = hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(unbracketed) === 6) return unbracketed.toLowerCase()
  // The URL parser would drop tabs and end the host at the other characters, and so check a different host.
  const isPlain = hostname !== '' && !/[\p{Cc}\s/\\?#@:[\]%]/u.test(hostname)
  if (!isPlain || !URL.canParse(`http://${hostname}/`)) throw new EgressError('dns', 'The host name is not valid.')
  return new URL(`http://${hostname}/`).hostname
}

function parseAddress(address: string): IPv4 | IPv6 | null {
  return isIP(address) === 0 ? null : ipaddr.parse(address)
}

/** Parses an address or CIDR into network and prefix length. Throws an Error that names the setting and the entry. */
export function parseNetwork(entry: string, setting: string): [IPv4 | IPv6, number] {
  const [, address = '', bits] = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(entry.trim()) ?? []
  const parsed = parseAddress(address)
  const width = parsed?.kind() === 'ipv4' ? 32 : 128
  const prefix = bits === undefined ? width : Number(bits)
  if (parsed === null || prefix > width) throw new Error(`${setting}: "${entry}" is not an IP address or a CIDR.`)
  // ::ffff:10.0.0.0/104 and 10.0.0.0/8 are the same network.
  if (isIPv6(parsed) && parsed.isIPv4MappedAddress() && prefix >= 96) return [parsed.toIPv4Address(), prefix - 96]
  return [parsed, prefix]
}

const globalUnicast: [IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]
/** Cloud metadata services use link-local, private or reserved addresses, except this one (Azure WireServer). */
const publicMetadata = new Set(['168.63.129.16'])

/** Whether the address is routed on the public internet. Embedded addresses are not considered. */
function isPublic(address: IPv4 | IPv6): boolean {
  if (address.range() !== 'unicast') return false
  return isIPv6(address) ? address.match(globalUnicast) : !publicMetadata.has(address.toString())
}

/** IPv4 addresses embedded in an IPv6 address. Not for 64:ff9b:1::/48, which has no fixed position for them. */
function embeddedAddresses(address: IPv4 | IPv6): IPv4[] {
  if (!isIPv6(address)) return []
  const bytes = address.toByteArray()
  const at = (start: number, mask = 0) => new ipaddr.IPv4(bytes.slice(start, start + 4).map((byte) => byte ^ mask))
  if (wrappedInLastBytes.some((range) => address.match(range)) && !plainInCompatible.has(address.toNormalizedString())) return [at(12)]
  if (address.match(sixToFour)) return [at(2)]
  if (address.match(teredo)) return [at(4), at(12, 0xff)]
  return []
}

const wrappedInLastBytes: [IPv6, number][] = ['::ffff:0:0', '::', '::ffff:0:0:0', '64:ff9b::'].map((base) => [ipaddr.IPv6.parse(base), 96])
const plainInCompatible = new Set(['0:0:0:0:0:0:0:0', '0:0:0:0:0:0:0:1'])
const sixToFour: [IPv6, number] = [ipaddr.IPv6.parse('2002::'), 16]
const teredo: [IPv6, number] = [ipaddr.IPv6.parse('2001::'), 32]

function isIPv6(address: IPv4 | IPv6): address is IPv6 {
  return address.kind() === 'ipv6'
}

function blockedText(host: string, address: string): string {
  const what = host === address ? `The address ${address}` : `The name ${host} resolves to ${address}, which`
  return `${what} is not a public address. To allow it, add the address or a CIDR to EGRESS_ALLOW.`
}
