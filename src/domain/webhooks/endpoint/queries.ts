import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { row, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'
import type { App } from '../../../platform/work.ts'
import { webhookEndpointCreated } from './events.ts'
import { headersIdentity, keyIdentity } from './model.ts'
import { parseSecret, type SigningKey } from './signature.ts'

export const webhookEndpointListing = defineListing({
  type: 'WebhookEndpoint',
  noun: 'webhook endpoint',
  permission: 'view:webhooks',
  order: 'oldest_first',
})

export const listWebhookEndpoints = listQuery(webhookEndpointListing)
export const countWebhookEndpoints = countQuery(webhookEndpointListing)
export const findWebhookEndpoint = findQuery(webhookEndpointListing)

/**
 * Whether a caller may see what was sent to the endpoint that a column names, within rows of its organization. Whose project an
 * endpoint was that is gone nobody knows any more: that is for callers without a project.
 */
export const visibleByEndpoint = ({ projectId }: Caller, column: Sql): Sql =>
  projectId === null
    ? sql`true`
    : sql`exists (select 1 from webhook_endpoint seen where seen.id = ${column} and seen.project_id = ${projectId}::uuid)`

/** An endpoint as a delivery needs it. */
export type Recipient = Pick<
  WebhookEndpoint,
  | 'id'
  | 'organizationId'
  | 'projectId'
  | 'url'
  | 'description'
  | 'version'
  | 'disabledAt'
  | 'hasOwnSchedule'
  | 'retryScheduleMs'
  | 'atMostOnce'
  | 'rateLimitPerSecond'
  | 'legacyHeaders'
  | 'schemaVersion'
  | 'timeoutMs'
  | 'format'
  | 'selection'
  | 'selectionRights'
> & {
  /** The live ones, newest first. */
  keys: SigningKey[]
  /** Its own headers. */
  headers: Record<string, string>
}

/** An endpoint whose keys or headers can't be opened at present, and why. */
export type UnreadableRecipient = Omit<Recipient, 'keys' | 'headers'> & { unreadable: unknown }

/** The endpoints that still exist, with their keys and headers opened; one statement for all of them. One that can't be opened fails alone. */
export async function findRecipients(app: App, ids: readonly string[]): Promise<Map<string, Recipient | UnreadableRecipient>> {
  type Row = Omit<Recipient, 'keys' | 'headers'> & { sealedHeaders: Uint8Array | null; keyId: string; sealed: Uint8Array }
  const found = await rows<Row>(
    app.db.prisma,
    sql`select e.id, e.organization_id, e.project_id, e.url, e.description, e.version, e.disabled_at, e.has_own_schedule, e.retry_schedule_ms,
               e.at_most_once, e.rate_limit_per_second, e.legacy_headers, e.schema_version, e.timeout_ms, e.format, e.selection, e.selection_rights, e.sealed_headers,
               k.id as key_id, k.sealed
        from webhook_endpoint e join webhook_key k on k.endpoint_id = e.id and (k.expires_at is null or k.expires_at > app_now())
        where e.id = any(${[...new Set(ids)]}::uuid[]) order by k.created_at desc, k.id desc`,
  )
  const recipients = new Map<string, Recipient | UnreadableRecipient>()
  for (const { keyId, sealed, sealedHeaders, ...endpoint } of found) {
    const { organizationId } = endpoint
    const known = recipients.get(endpoint.id)
    if (known && 'unreadable' in known) continue
    try {
      const key = parseSecret(await app.keyring.open(app.db.prisma, organizationId, keyIdentity(keyId), sealed))
      if (known) known.keys.push(key)
      else
        recipients.set(endpoint.id, {
          ...endpoint,
          keys: [key],
          headers: await openHeaders(app, endpoint.id, organizationId, sealedHeaders),
        })
    } catch (unreadable) {
      recipients.set(endpoint.id, { ...endpoint, unreadable })
    }
  }
  return recipients
}

export async function openHeaders(
  app: App,
  endpointId: string,
  organizationId: string,
  sealed: Uint8Array | null,
): Promise<Record<string, string>> {
  if (sealed === null) return {}
  return JSON.parse(await app.keyring.open(app.db.prisma, organizationId, headersIdentity(endpointId), sealed)) as Record<string, string>
}

/** The newest key's secret in its printed form; for mirroring an endpoint to another server. */
export async function newestSecret(app: App, { id, organizationId }: Pick<Recipient, 'id' | 'organizationId'>): Promise<string> {
  const key = await row<{ id: string; sealed: Uint8Array }>(
    app.db.prisma,
    sql`select id, sealed from webhook_key where endpoint_id = ${id}::uuid order by created_at desc, id desc limit 1`,
  )
  if (!key) throw new Error('an endpoint has no key')
  return app.keyring.open(app.db.prisma, organizationId, keyIdentity(key.id), key.sealed)
}

/** Notes where the events of endpoints begin, when the event of their making is among these: an earlier event is none of theirs. */
export const openEndpoints = (tx: Tx, eventIds: readonly string[]): Promise<number> =>
  run(
    tx,
    sql`update webhook_endpoint e set since_position = v.position from event v
        where v.id = any(${eventIds}::uuid[]) and v.type = ${webhookEndpointCreated.type} and v.subject_id = e.id and e.since_position is null`,
  )
