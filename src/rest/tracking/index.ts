/**
 * The addresses in tracked mails: `/e/o/<token>` is a pixel, `/e/c/<token>` redirects to the target that the token contains. Both need no
 * credential. A recipient gets the answer whether or not the event can be recorded.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { readTrackingToken, recordTracked, type Tracked, type TrackingKind } from '../../domain/access/mail/index.ts'
import { createFailureLog } from '../../platform/failure-log.ts'
import type { App } from '../../platform/work.ts'

/** A transparent GIF of one pixel. */
const pixel = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

type TokenRequest = FastifyRequest<{ Params: { token: string } }>

export function trackingPlugin(app: App): FastifyPluginAsync {
  const failures = createFailureLog(app, {
    failed: 'opened mails and clicked links could not be recorded',
    recovered: 'opened mails and clicked links can be recorded again',
  })
  const record = async (tracked: Tracked) => {
    try {
      await recordTracked(app, tracked)
      failures.succeeded()
    } catch (error) {
      failures.failed(error)
    }
  }
  const serve = (kind: TrackingKind, answer: (reply: FastifyReply, tracked: Tracked) => FastifyReply) => {
    return async (request: TokenRequest, reply: FastifyReply) => {
      const tracked = await readTrackingToken(app, app.db, kind, request.params.token)
      if (!tracked) return reply.callNotFound()
      // Scanners and previews look at the headers only.
      if (request.method === 'GET') await record(tracked)
      return answer(reply.headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-robots-tag': 'noindex' }), tracked)
    }
  }
  return async (server) => {
    server.get(
      '/e/o/:token',
      { config: { quiet: true } },
      serve('open', (reply) => reply.type('image/gif').send(pixel)),
    )
    server.get(
      '/e/c/:token',
      { config: { quiet: true } },
      serve('click', (reply, { url }) => reply.redirect(url!, 302)),
    )
  }
}
