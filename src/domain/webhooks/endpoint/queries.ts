import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defer, row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'
import type { App } from '../../../platform/work.ts'
import { webhookEndpointCreated } from './events.ts'
import { headersIdentity, keyIdentity } from './model.ts'
import { parseStoredSecret, type SigningKey } from './signature.ts'

export const webhookEndpointListing = defineListing({
  type: 'WebhookEndpoint',
  noun: 'webhook endpoint',
  permission: 'view:webhooks',
  order: 'oldest_first',
  nameColumn: 'url',
  audited: [
    'url',
    'description',
    'projectId',
    'emailServiceId',
    'eventTypes',
    'channels',
    'filter',
    'headerNames',
    'rateLimitPerSecond',
    'maxConcurrency',
    'ordered',
    'atMostOnce',
    'legacyHeaders',
    'schemaVersion',
    'timeoutMs',
    'format',
    'selection',
    'keyType',
    'publicKey',
    'retryScheduleMs',
    'disabledAt',
    'disabledReason',
  ],
})

export const listWebhookEndpoints = listQuery(webhookEndpointListing)
export const countWebhookEndpoints = countQuery(webhookEndpointListing)
export const sliceWebhookEndpoints = sliceQuery(webhookEndpointListing)
export const findWebhookEndpoint = findQuery(webhookEndpointListing)

/**
 * Condition on rows of the caller's organization: whether the caller may see what was sent to the endpoint that `column` names. The
 * project of a deleted endpoint is no longer known, so only callers that are not limited to projects see its rows.
 */
export const visibleByEndpoint = ({ projectIds }: Caller, column: Sql): Sql =>
  projectIds === null
    ? sql`true`
    : sql`exists (select 1 from webhook_endpoint e where e.id = ${column} and e.project_id = any(${projectIds}::uuid[]))`

/** The columns of an endpoint that a delivery needs, with its keys and headers decrypted. */
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
  /** Live keys, newest first. */
  keys: SigningKey[]
  /** Additional headers. */
  headers: Record<string, string>
}

/** An endpoint whose keys or headers cannot be decrypted now, with the error. */
export type UnreadableRecipient = Omit<Recipient, 'keys' | 'headers'> & { unreadable: unknown }

/** Reads the endpoints that still exist in one statement and decrypts their keys and headers. A failure affects only the endpoint concerned. */
export async function findRecipients(app: App, ids: readonly string[]): Promise<Map<string, Recipient | UnreadableRecipient>> {
  type Row = Omit<Recipient, 'keys' | 'headers'> & { sealedHeaders: Uint8Array | null; keyId: string; sealed: Uint8Array }
  const found = await rows<Row>(
    app.db,
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
      const key = parseStoredSecret(await app.keyring.open(app.db, organizationId, keyIdentity(keyId), sealed))
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
  return JSON.parse(await app.keyring.open(app.db, organizationId, headersIdentity(endpointId), sealed)) as Record<string, string>
}

/** The newest signing secret, to mirror an endpoint to another server. */
export async function newestSecret(app: App, { id, organizationId }: Pick<Recipient, 'id' | 'organizationId'>): Promise<string> {
  const key = await row<{ id: string; sealed: Uint8Array }>(
    app.db,
    sql`select id, sealed from webhook_key where endpoint_id = ${id}::uuid order by created_at desc, id desc limit 1`,
  )
  if (!key) throw new Error('The endpoint has no signing key.')
  return app.keyring.open(app.db, organizationId, keyIdentity(key.id), key.sealed)
}

/** Records the position of each endpoint's creation, if it is among these events. An endpoint does not receive earlier events. */
export const recordStartPositions = (tx: Tx, eventIds: readonly string[]): void =>
  defer(
    tx,
    sql`update webhook_endpoint e set since_position = v.position from event v
        where v.id = any(${eventIds}::uuid[]) and v.type = ${webhookEndpointCreated.type} and v.subject_id = e.id and e.since_position is null`,
  )
