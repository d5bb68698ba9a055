/**
 * Whether a request was caused by a page of this server. Browsers add cookies to requests of foreign pages too, so a cookie authorizes a
 * change only then.
 */
import type { IncomingMessage } from 'node:http'
import { errors } from './errors.ts'
import { forwardedOf, type Trust, trustOf } from './forwarded.ts'
import { perApp } from './per-app.ts'
import type { App } from './work.ts'

const trustFor = perApp((app): Trust => trustOf(app.settings.TRUST_PROXY))

/** The server's origin as the client of a request sees it, from the Host header or those of a trusted proxy. */
export function originSeenBy(app: App, request: IncomingMessage): string {
  const { proto, host } = forwardedOf(request, trustFor(app))
  const isEncrypted = 'encrypted' in request.socket && request.socket.encrypted === true
  return `${proto ?? (isEncrypted ? 'https' : 'http')}://${(host ?? request.headers.host ?? '').toLowerCase()}`
}

/** By `Origin`, or, if that is absent, by `Sec-Fetch-Site`. False if a request has neither. */
export function isFromOwnPage(app: App, request: IncomingMessage): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (origin === undefined) return site === 'same-origin'
  const { PUBLIC_URL } = app.settings
  return origin === originSeenBy(app, request) || (PUBLIC_URL !== undefined && origin === new URL(PUBLIC_URL).origin)
}

/** Throws `forbidden` unless the request was caused by a page of this server. */
export function demandOwnPage(app: App, request: IncomingMessage): void {
  if (isFromOwnPage(app, request)) return
  throw errors.forbidden({
    text: 'With a cookie, this request is accepted only from pages of this server. Its Origin header must be the address of this server (see PUBLIC_URL). Otherwise, send the token in the Authorization header.',
  })
}

/** The same for a request that changes something by itself, such as a login: one without a trace of any page comes from a program. */
export function demandNoForeignPage(app: App, request: IncomingMessage): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined || (site !== undefined && site !== 'none')) demandOwnPage(app, request)
}
