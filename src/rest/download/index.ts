/** Downloads by signed links, which belong to no REST dialect. What a link may contain is decided by the concept that creates it. */
import { Readable } from 'node:stream'
import type { FastifyPluginAsync } from 'fastify'
import { exportPath, openExport } from '../../domain/access/audit-log/index.ts'
import { errors } from '../../platform/errors.ts'
import { withinDeadline } from '../../platform/outage.ts'
import type { App } from '../../platform/work.ts'

const types = {
  NDJSON: { contentType: 'application/x-ndjson; charset=utf-8', extension: 'ndjson' },
  CSV: { contentType: 'text/csv; charset=utf-8; header=present', extension: 'csv' },
}

export const downloadPlugin =
  (app: App): FastifyPluginAsync =>
  async (server) => {
    server.get<{ Querystring: { token?: unknown } }>(exportPath, { config: { door: 'download' } }, async (request, reply) => {
      reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
      const found = await withinDeadline(app, openExport(app, request.query.token))
      if (!found) {
        const { code, kind, message } = errors.unauthenticated({ text: 'The link is not valid or has expired. Create a new one.' })
        return reply.code(401).send({ error: { code, kind, message, requestId: request.id } })
      }
      const { contentType, extension } = types[found.format]
      const day = app.clock.now().toISOString().slice(0, 10)
      return reply
        .type(contentType)
        .header('content-disposition', `attachment; filename="audit-log-${day}.${extension}"`)
        .send(Readable.from(found.lines))
    })
  }
