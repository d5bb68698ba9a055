/** WEBHOOK_ENGINE=svix: keeps the endpoints and event types of the Svix server in step with ours. */
import { z } from 'zod'
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { dispatcherPort, newestSecret, type Recipient } from '../endpoint/index.ts'

const stateOf = perApp(() => ({ typesAreDeclared: false, underWay: new Map<string, Promise<void>>() }))

/** Declares the event types once per process and removes deleted endpoints. Does nothing with the embedded engine. */
export const keepMirror: Chore = {
  name: 'keep the Svix server in step',
  topic: null,
  everyMs: 60_000,
  async run(app) {
    if (app.settings.WEBHOOK_ENGINE !== 'svix') return
    const server = dispatcherPort.use(app)
    const state = stateOf(app)
    if (!state.typesAreDeclared) {
      await server.declareTypes(
        app.domain.eventTypes.all.map(({ type, description, version, schema, former = [], deprecatedAt }) => ({
          name: type,
          description,
          deprecated: deprecatedAt !== undefined,
          schemas: Object.fromEntries([{ version, schema }, ...former].map((each) => [String(each.version), z.toJSONSchema(each.schema)])),
        })),
      )
      state.typesAreDeclared = true
    }
    for (const id of await orphanedMirrors(app.db)) {
      await server.remove(encodeId('WebhookEndpoint', id))
      await run(app.db, sql`delete from webhook_lane where endpoint_id = ${id}::uuid`)
    }
  },
}

/** Endpoints that exist on the Svix server only. */
async function orphanedMirrors(tx: Tx): Promise<string[]> {
  const found = await rows<{ endpointId: string }>(
    tx,
    sql`select l.endpoint_id from webhook_lane l
        where l.mirrored_version is not null and not exists (select 1 from webhook_endpoint e where e.id = l.endpoint_id) limit 100`,
  )
  return found.map(({ endpointId }) => endpointId)
}

/** Brings an endpoint on the Svix server up to date. Concurrent calls for one version share one request. */
export async function mirrorEndpoint(app: App, recipient: Recipient): Promise<void> {
  const { underWay } = stateOf(app)
  const key = `${recipient.id}:${recipient.version}`
  const present = underWay.get(key)
  if (present) return present
  const work = mirrorIfChanged(app, recipient).finally(() => underWay.delete(key))
  underWay.set(key, work)
  return work
}

async function mirrorIfChanged(app: App, recipient: Recipient): Promise<void> {
  const { id: endpointId, version, url, description, headers, rateLimitPerSecond } = recipient
  const lane = await row<{ mirroredVersion: number | null }>(
    app.db,
    sql`select mirrored_version from webhook_lane where endpoint_id = ${endpointId}::uuid`,
  )
  if (lane?.mirroredVersion === version) return
  const secret = await newestSecret(app, recipient)
  const id = encodeId('WebhookEndpoint', endpointId)
  await dispatcherPort
    .use(app)
    .mirror({ id, url, description, secret, formerKeysSign: recipient.keys.length > 1, headers, rateLimitPerSecond })
  await run(
    app.db,
    sql`insert into webhook_lane (endpoint_id, mirrored_version) values (${endpointId}::uuid, ${version})
        on conflict (endpoint_id) do update set mirrored_version = excluded.mirrored_version`,
  )
}
