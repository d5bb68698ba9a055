/** The client behind a proxy, from X-Forwarded-* headers. Only those of trusted proxies are used. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { parseNetwork } from './egress.ts'

export type Trust = (address: string) => boolean

/** Trusts proxies at these addresses and CIDRs. */
export function trustOf(networks: readonly string[]): Trust {
  const ranges = networks.map((entry) => parseNetwork(entry, 'TRUST_PROXY'))
  return (address) => {
    if (isIP(address) === 0) return false
    const parsed = ipaddr.process(address)
    return ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits))
  }
}

export type Forwarded = {
  /** Address of the client of the first trusted proxy, or of the peer if that is not trusted. */
  client: string
  /** Addresses from the client to the peer. */
  chain: string[]
  /** Scheme that the client used; null unless a trusted proxy names it. */
  proto: 'http' | 'https' | null
  host: string | null
}

type Headed = Pick<IncomingMessage, 'headers'>

/** Addresses to the left of the first untrusted one may be forged and are ignored. */
export function forwardedOf(request: Headed & { socket: { remoteAddress?: string | undefined } }, trust: Trust): Forwarded {
  const peer = plain(request.socket.remoteAddress ?? 'unknown')
  if (!trust(peer)) return { client: peer, chain: [peer], proto: null, host: null }
  const chain = [peer]
  for (const item of (headerOf(request, 'x-forwarded-for')?.split(',') ?? []).reverse()) {
    if (!trust(chain[0]!)) break
    const address = plain(item.trim())
    if (isIP(address) === 0) break
    chain.unshift(address)
  }
  const proto = headerOf(request, 'x-forwarded-proto')?.split(',')[0]?.trim().toLowerCase()
  const host = headerOf(request, 'x-forwarded-host')?.split(',')[0]?.trim()
  return { client: chain[0]!, chain, proto: proto === 'http' || proto === 'https' ? proto : null, host: host || null }
}

const headerOf = (request: Headed, name: string): string | undefined => [request.headers[name]].flat().join(',') || undefined

/** Normalizes `::ffff:10.0.0.1`, `10.0.0.1:4711` and `[::1]:4711` to the bare address. */
function plain(address: string): string {
  const bare = /^\[([^\]]+)\](:\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1] ?? address
  return isIP(bare) === 0 ? bare : ipaddr.process(bare).toString()
}

/** The address of a client, or its network with a prefix of 64 bits for IPv6, of which one client can have all addresses. */
export function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const parts = (parsed as ipaddr.IPv6).parts.slice(0, 4).map((part) => part.toString(16))
  return `${parts.join(':')}::/64`
}

/** Where a request comes from. */
export type Origin = {
  address: string
  userAgent: string | null
  /** The way in: graphql, websocket, or the name of a REST dialect. */
  door: string
}

const present = new AsyncLocalStorage<Origin>()

/** Runs `run` on behalf of a client, which `currentOrigin` then returns. */
export const onBehalfOf = <T>(origin: Origin, run: () => T): T => present.run(origin, run)

/** The client on whose behalf the present code runs; null for work that the control plane does by itself. */
export const currentOrigin = (): Origin | null => present.getStore() ?? null
