/**
 * Tunnels through EGRESS_PROXY to the address that the guard has checked, with CONNECT (http://) or SOCKS 5 (socks5://).
 * The proxy is passed addresses, never names, which it could resolve differently. A failure of the proxy itself is a local fault.
 */
import { connect, isIP, type Socket } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Failure, localFault } from './failure.ts'

export type ProxyOptions = {
  /** http:// or socks5://, with user and password if the proxy requires them. */
  url: string
  /** Hosts, `.domain` suffixes, addresses and CIDRs to connect to directly. `*` means all. */
  except: readonly string[]
}

export type EgressProxy = {
  /** Whether to connect to a target through the proxy. */
  covers(host: string, addresses: readonly { address: string }[]): boolean
  /**
   * Opens a connection through the proxy. Rejects with a Failure if the proxy cannot reach the target, and with a PortError if the proxy
   * itself fails. Has no timeout; the signal aborts it.
   */
  connect(target: { address: string; port: number }, signal: AbortSignal): Promise<Socket>
}

const proxyFault = (message: string, cause?: unknown) => localFault('PROXY', message, cause)

export function createProxy({ url, except }: ProxyOptions): EgressProxy {
  const proxy = new URL(url)
  const open = proxy.protocol === 'socks5:' ? throughSocks : throughConnect
  return {
    covers: (host, addresses) => !except.some((entry) => isExcept(entry.trim().toLowerCase(), host.toLowerCase(), addresses)),
    async connect(target, signal) {
      const socket = await dial(proxy, signal)
      if (signal.aborted) socket.destroy()
      const destroy = () => socket.destroy()
      signal.addEventListener('abort', destroy, { once: true })
      try {
        await open(socket, proxy, target)
        return socket
      } catch (error) {
        socket.destroy()
        throw error
      } finally {
        signal.removeEventListener('abort', destroy)
      }
    },
  }
}

function isExcept(entry: string, host: string, addresses: readonly { address: string }[]): boolean {
  if (entry === '*' || entry === host) return true
  if (ipaddr.isValidCIDR(entry)) {
    const [network, bits] = ipaddr.parseCIDR(entry)
    return addresses.length > 0 && addresses.every(({ address }) => inside(ipaddr.process(address), network, bits))
  }
  if (isIP(entry) !== 0) return addresses.length > 0 && addresses.every(({ address }) => address === entry)
  const suffix = entry.replace(/^\*?\./, '.')
  return host.endsWith(suffix.startsWith('.') ? suffix : `.${suffix}`) || host === suffix.slice(1)
}

const inside = (address: ipaddr.IPv4 | ipaddr.IPv6, network: ipaddr.IPv4 | ipaddr.IPv6, bits: number) =>
  address.kind() === network.kind() && address.match(network, bits)

const defaultPorts: Record<string, number> = { 'http:': 80, 'socks5:': 1080 }

function dial(proxy: URL, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const host = proxy.hostname.replace(/^\[(.*)\]$/, '$1')
    const socket = connect({ host, port: Number(proxy.port) || (defaultPorts[proxy.protocol] ?? 80), noDelay: true })
    const destroy = () => socket.destroy(new Error('The request was aborted.'))
    signal.addEventListener('abort', destroy, { once: true })
    // Stays after connecting: each read has its own listener, but an error between two reads must not end the process.
    socket.on('error', (cause) => reject(proxyFault('The egress proxy cannot be reached.', cause)))
    socket.once('connect', () => {
      signal.removeEventListener('abort', destroy)
      resolve(socket)
    })
  })
}

const credentials = ({ username, password }: URL) => [decodeURIComponent(username), decodeURIComponent(password)] as const

async function throughConnect(socket: Socket, proxy: URL, { address, port }: { address: string; port: number }): Promise<void> {
  const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${port}`
  const [user, password] = credentials(proxy)
  const authorization = user ? `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n` : ''
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`)
  const head = await readUntil(socket, (bytes) => bytes.indexOf('\r\n\r\n') + 4, 3)
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1'))?.[1]
  if (status === undefined) throw proxyFault('The egress proxy did not answer with HTTP.')
  if (/^2/.test(status)) return
  // 502 to 504 concern the target. Anything else is a refusal of the proxy itself.
  if (['502', '503', '504'].includes(status))
    throw new Failure('refused', `A connection to ${authority} could not be established (proxy ${status}).`)
  throw proxyFault(`The egress proxy refused the connection with status ${status}.`)
}

/** RFC 1928 and 1929. */
async function throughSocks(socket: Socket, proxy: URL, { address, port }: { address: string; port: number }): Promise<void> {
  const [user, password] = credentials(proxy)
  socket.write(Buffer.from(user ? [5, 2, 0, 2] : [5, 1, 0]))
  const [version, method] = await readUntil(socket, () => 2)
  if (version !== 5) throw notSocks()
  if (method === 2 && user) {
    const [name, secret] = [Buffer.from(user), Buffer.from(password)]
    socket.write(Buffer.concat([Buffer.from([1, name.length]), name, Buffer.from([secret.length]), secret]))
    if ((await readUntil(socket, () => 2))[1] !== 0) throw proxyFault('The egress proxy rejected the user and password.')
  } else if (method !== 0) throw proxyFault('The egress proxy offers no supported authentication method.')

  const bytes = Buffer.from(ipaddr.parse(address).toByteArray())
  const portBytes = Buffer.alloc(2)
  portBytes.writeUInt16BE(port)
  socket.write(Buffer.concat([Buffer.from([5, 1, 0, bytes.length === 4 ? 1 : 4]), bytes, portBytes]))
  const reply = await readUntil(socket, (read) => (read.length < 5 ? 0 : 6 + boundAddressLength(read)))
  const code = reply[1]
  if (reply[0] !== 5) throw notSocks()
  if (code === 0) return
  const where = `${address}:${port}`
  // 3 to 6 mean that the target is unreachable, refuses or is too far. The others concern the proxy itself.
  if (code !== undefined && code >= 3 && code <= 6)
    throw new Failure('refused', `A connection to ${where} could not be established (proxy code ${code}).`)
  throw proxyFault(`The egress proxy refused the connection with code ${code}.`)
}

const notSocks = () => proxyFault('The egress proxy did not answer with SOCKS 5.')

/** Length of the bound address in a reply, including its length byte if it is a name. */
const boundAddressLength = (reply: Buffer): number => (reply[3] === 1 ? 4 : reply[3] === 4 ? 16 : 1 + (reply[4] ?? 0))

const maxResponseBytes = 16 * 1024

/** Reads the number of bytes that `lengthOf` returns, and puts back the rest. `least` or less means that the length is not known yet. */
function readUntil(socket: Socket, lengthOf: (read: Buffer) => number, least = 0): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let read = Buffer.alloc(0)
    const end = (settle: () => void) => {
      socket.off('data', take)
      socket.off('error', lost)
      socket.off('close', lost)
      socket.pause()
      settle()
    }
    const lost = () => end(() => reject(proxyFault('The egress proxy closed the connection.')))
    const take = (chunk: Buffer) => {
      read = Buffer.concat([read, chunk])
      const length = lengthOf(read)
      if (length > least && read.length >= length) {
        end(() => resolve(read.subarray(0, length)))
        // Only after the listener is removed, which would otherwise receive the same bytes again and again.
        if (read.length > length) socket.unshift(read.subarray(length))
      } else if (read.length > maxResponseBytes) end(() => reject(proxyFault('The egress proxy sent a response that is too long.')))
    }
    socket.on('data', take)
    socket.on('error', lost)
    socket.on('close', lost)
    socket.resume()
  })
}
