/** What a request to a host with a certificate must satisfy: HTTPS, and the host that the connection was opened for. */
import type { TLSSocket } from 'node:tls'
import type { CertificateTable } from './certificate-table.ts'
import { isChallengePath } from './challenge.ts'
import { answer, type Exchange } from './exchange.ts'
import { isEncrypted } from './header.ts'
import { hostName } from './table.ts'

export type HttpsOptions = {
  certificates: CertificateTable
  ports: { http: number; https: number }
  /** Whether a trusted proxy says that the client uses HTTPS. */
  isForwarded: boolean
}

/**
 * Answers a request that must not be routed as it is, and returns whether it did. An encrypted request for another host than that of its
 * handshake could reach a service whose certificate the client has never seen.
 */
export function answersInPlace(exchange: Exchange, host: string, { certificates, ports, isForwarded }: HttpsOptions): boolean {
  const { request } = exchange
  const hasCertificate = certificates.has(host)
  if (isEncrypted(request)) {
    const { servername } = request.socket as TLSSocket & { servername?: string | false }
    if (hasCertificate && hostName(servername || undefined) === host) return false
    answer(exchange, 'misdirected')
    return true
  }
  if (!hasCertificate || isForwarded || exchange.path === '*' || isChallengePath(exchange.path)) return false
  redirect(exchange, `https://${host}${portOf(exchange.host, ports)}${exchange.path}`)
  return true
}

/** Behind a mapping of ports, which is there if the client used the standard port and this router has another, HTTPS has its standard port, too. */
export function portOf(hostHeader: string, { http, https }: { http: number; https: number }): string {
  const isMapped = http !== 80 && !/:\d+$/.test(hostHeader)
  return isMapped || https === 443 ? '' : `:${https}`
}

/** Not for ever: the domain may lose its certificate, or no longer be the primary one. */
export function redirect({ request, response }: Exchange, location: string): void {
  response.writeHead(308, { Location: location, 'Cache-Control': 'no-store', 'Content-Length': 0 })
  response.end()
  request.resume()
}
