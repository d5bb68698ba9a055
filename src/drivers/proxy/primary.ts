/** Redirects from the domains of a service to its primary one. */
import type { Route } from '../../domain/deploys/instance/ports.ts'
import { isChallengePath } from './challenge.ts'
import type { Exchange } from './exchange.ts'
import { isEncrypted } from './header.ts'
import { type HttpsOptions, portOf, redirect } from './https.ts'

/**
 * Answers a request for a domain that is not the primary one, and returns whether it did. Clients of WebSockets follow no redirects, so those
 * are served. So is an encrypted request if it could only be sent on unencrypted.
 */
export function redirectsToPrimary(exchange: Exchange, host: string, { host: own, primary }: Route, https: HttpsOptions): boolean {
  const { request, path, upgrade } = exchange
  if (primary === undefined || host === primary || host === own) return false
  if (upgrade !== null || path === '*' || isChallengePath(path)) return false
  const hasCertificate = https.certificates.has(primary)
  if (isEncrypted(request) && !hasCertificate) return false
  redirect(exchange, `${originOf(primary, exchange.host, hasCertificate && !https.isForwarded, https)}${path}`)
  return true
}

/** Where Quayside has no certificate, the domain is reached as this one was: through the same proxy, or over plain HTTP. */
function originOf(primary: string, hostHeader: string, isOurs: boolean, { ports, isForwarded }: HttpsOptions): string {
  if (isOurs) return `https://${primary}${portOf(hostHeader, ports)}`
  return `${isForwarded ? 'https' : 'http'}://${primary}${/:\d+$/.exec(hostHeader)?.[0] ?? ''}`
}
