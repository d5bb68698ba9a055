/**
 * The pages for people with a browser. Each is a folder of plain HTML, CSS and modules, without a build step, and does everything through the
 * APIs: no rule of theirs belongs here.
 *
 * /login: sign in, and one's own account.
 */
import type { FastifyPluginAsync } from 'fastify'
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
    const site = () => (read ??= readSite(['login']))
    const quiet = { config: { quiet: true } }

    server.get('/login', quiet, async (_request, reply) => {
      const { SIGN_UP, GRAPHIQL } = app.settings
      const html = (await site()).document('login', { signUp: SIGN_UP, graphiql: String(GRAPHIQL) })
      return reply.type('text/html; charset=utf-8').headers(documentHeaders).send(html)
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
