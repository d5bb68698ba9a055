/** The dialect of signing in, and the keys with which access tokens can be verified; main mounts them. */
import type { FastifyPluginAsync } from 'fastify'
import { publishedKeys } from '../../domain/access/session/index.ts'
import { withinDeadline } from '../../platform/outage.ts'
import type { App } from '../../platform/work.ts'
import { printDocument } from '../core/index.ts'
import { authDialect } from './dialect.ts'

export { authDialect }

/** openapi.json, as it is committed. */
export const printOpenapi = (): string => printDocument(authDialect)

/** The JSON Web Key Set of the installation. */
export const keysPlugin =
  (app: App): FastifyPluginAsync =>
  async (server) => {
    server.get('/.well-known/jwks.json', { config: { quiet: true } }, async (_request, reply) =>
      reply.header('cache-control', 'public, max-age=300').send(await withinDeadline(app, publishedKeys(app))),
    )
  }
