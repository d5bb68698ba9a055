/**
 * The pages for people with a browser. Each is a folder of plain HTML, CSS and modules, without a build step, and does everything through the
 * APIs: no rule of theirs belongs here.
 *
 * /login: sign in, and one's own account. /bridge: keys, guide and speed tests of the Odoo bridge; without a login, it leads to /login.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { callerOfCredential } from '../../domain/access/api-key/index.ts'
import { type Authenticated, credentialOfHeaders } from '../../platform/credential.ts'
import { withinDeadline } from '../../platform/outage.ts'
import { originSeenBy } from '../../platform/own-origin.ts'
import type { App } from '../../platform/work.ts'
import { readSite, type Site } from './site.ts'

/** Nothing inline, nothing from other hosts, and no frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

const documentHeaders = {
  'content-security-policy': policy,
  'cache-control': 'no-cache',
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
}

export const pagesPlugin =
  (app: App): FastifyPluginAsync =>
  async (server) => {
    let read: Promise<Site> | undefined
    const site = () => (read ??= readSite(['login', 'bridge']))
    const quiet = { config: { quiet: true } }

    const send = async (reply: FastifyReply, folder: string, values: Record<string, string>) =>
      reply
        .type('text/html; charset=utf-8')
        .headers(documentHeaders)
        .send((await site()).document(folder, values))

    server.get('/login', quiet, (_request, reply) =>
      send(reply, 'login', { signUp: app.settings.SIGN_UP, graphiql: String(app.settings.GRAPHIQL) }),
    )
    server.get('/bridge', quiet, async (request, reply) => {
      if (!(await withinDeadline(app, personOf(app, request.headers)))) return reply.redirect('/login?return=%2Fbridge')
      return send(reply, 'bridge', { origin: publicOrigin(app, request.raw) })
    })
    server.get<{ Params: Record<'hash' | 'folder' | 'name', string> }>('/page/:hash/:folder/:name', quiet, async (request, reply) => {
      const { hash, assets } = await site()
      const { params } = request
      const asset = params.hash === hash ? assets.get(`${params.folder}/${params.name}`) : undefined
      if (!asset) return reply.callNotFound()
      return reply
        .type(asset.type)
        .headers({ 'cache-control': 'public, max-age=31536000, immutable', 'x-content-type-options': 'nosniff' })
        .send(asset.content)
    })
  }

/** The person whose browser sends a request. */
const personOf = async (app: App, headers: IncomingHttpHeaders): Promise<Awaited<Authenticated>> => {
  const credential = credentialOfHeaders(headers)
  return credential?.fromCookie ? callerOfCredential(app, credential) : null
}

/** The origin at which clients reach this server. */
const publicOrigin = (app: App, request: IncomingMessage): string =>
  app.settings.PUBLIC_URL === undefined ? originSeenBy(app, request) : new URL(app.settings.PUBLIC_URL).origin
