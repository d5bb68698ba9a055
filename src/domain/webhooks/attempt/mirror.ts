/** WEBHOOK_ENGINE=svix: what the other side must know besides messages. */
import { z } from 'zod'
import type { Chore } from '../../../platform/claim.ts'
import { eventTypes } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { dispatcherPort } from '../endpoint/index.ts'
import { dropMirror, orphanedMirrors } from '../message/index.ts'

const declared = new WeakSet<App>()

/** Declares the event types once a process, and takes away what belongs to endpoints that are gone. Nothing with the embedded engine. */
export const keepMirror: Chore = {
  name: 'keep the Svix server in step',
  topic: null,
  everyMs: 60_000,
  async run(app) {
    if (app.settings.WEBHOOK_ENGINE !== 'svix') return
    const server = dispatcherPort.use(app)
    if (!declared.has(app)) {
      await server.declareTypes(
        eventTypes().map(({ type, description, version, schema, former = [], deprecatedAt }) => ({
          name: type,
          description,
          deprecated: deprecatedAt !== undefined,
          schemas: Object.fromEntries([{ version, schema }, ...former].map((each) => [String(each.version), z.toJSONSchema(each.schema)])),
        })),
      )
      declared.add(app)
    }
    for (const id of await orphanedMirrors(app.db.prisma)) {
      await server.forget(encodeId('WebhookEndpoint', id))
      await dropMirror(app.db.prisma, id)
    }
  },
}
