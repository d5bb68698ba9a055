/** What endpoints show of their deliveries, for doors that list endpoints and deliveries by offset. */
import { z } from 'zod'
import type { WebhookDeliveryStatus } from '../../../generated/prisma/client.ts'
import { defineQuery, type Read, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { defaultPage, forwardInput, type Slice, sliceInput, windowOf } from '../../../platform/page.ts'
import { findWebhookEndpoint } from '../endpoint/index.ts'

/** Failures in a row are counted up to this number. */
const failuresMost = 100

export type EndpointOverview = { lastAttemptAt: Date | null; failuresInARow: number }

export const endpointOverviews = defineQuery({
  name: 'webhookEndpointOverviews',
  description: `Time of the last delivery attempt of several webhook endpoints, and number of attempts that failed since one succeeded, up to ${failuresMost}, by ID. Endpoints not visible to the caller are omitted.`,
  permission: 'view:webhooks',
  ids: { 'ids.*': 'WebhookEndpoint' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ caller, tx }, { ids }): Promise<Map<string, EndpointOverview>> {
    const found = await rows<EndpointOverview & { id: string }>(
      tx,
      sql`select e.id, a.last_attempt_at, a.failures_in_a_row
          from webhook_endpoint e cross join lateral (
            select max(r.started_at) as last_attempt_at, (coalesce(min(r.n) filter (where r.error_class is null), count(*) + 1) - 1)::int as failures_in_a_row
            from (select t.started_at, t.error_class, row_number() over (order by t.id desc) as n
                  from webhook_attempt t where t.endpoint_id = e.id order by t.id desc limit ${failuresMost}) r) a
          where e.id = any(${ids}::uuid[]) and ${visible(caller, sql`e`)}`,
    )
    return new Map(found.map(({ id, ...overview }) => [id, overview]))
  },
})

/** A delivery with its message and its newest attempt. */
export type EndpointDelivery = {
  endpointId: string
  messageId: string
  eventType: string
  status: WebhookDeliveryStatus
  reason: string | null
  attemptCount: number
  nextAttemptAt: Date | null
  createdAt: Date
  responseStatus: number | null
  durationMs: number | null
  lastAttemptAt: Date | null
}

/** Deliveries for which a condition on `d` holds, newest first. */
const readDeliveries = (tx: Tx, where: Sql, { limit, offset }: { limit: number | null; offset: number }): Promise<EndpointDelivery[]> =>
  rows(
    tx,
    sql`select d.endpoint_id, d.message_id, m.event_type, d.status, d.reason, d.attempt_count, d.next_attempt_at, d.created_at,
               a.response_status, a.duration_ms, a.started_at as last_attempt_at
        from webhook_delivery d join webhook_message m on m.id = d.message_id
          left join lateral (select t.response_status, t.duration_ms, t.started_at from webhook_attempt t
                             where t.message_id = d.message_id and t.endpoint_id = d.endpoint_id order by t.id desc limit 1) a on true
        where ${where} order by d.message_id desc limit ${limit}::bigint offset ${offset}::bigint`,
  )

const isVisible = async (read: Read, id: string) => (await findWebhookEndpoint.run({ ...read, columns: ['id'] }, { id })) !== null

export const sliceEndpointDeliveries = defineQuery({
  name: 'endpointDeliverySlice',
  description: 'Deliveries to a webhook endpoint by offset, newest first, with their total number. Null if the endpoint does not exist.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: z.object({ endpointId: z.string(), ...sliceInput }),
  async run(read, { endpointId, ...slice }): Promise<Slice<EndpointDelivery> | null> {
    if (!(await isVisible(read, endpointId))) return null
    const { limit, offset } = windowOf(slice)
    const found = await readDeliveries(read.tx, sql`d.endpoint_id = ${endpointId}::uuid`, { limit, offset })
    const { total } = (await row<{ total: number }>(
      read.tx,
      sql`select count(*)::int as total from webhook_delivery d where d.endpoint_id = ${endpointId}::uuid`,
    ))!
    return { rows: found, total, limit, offset }
  },
})

export const pageEndpointDeliveries = defineQuery({
  name: 'endpointDeliveryPage',
  description: 'Page of the deliveries to a webhook endpoint, newest first. Null if the endpoint does not exist.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: z.object({ endpointId: z.string(), ...forwardInput }),
  async run(read, { endpointId, first, afterId }): Promise<{ rows: EndpointDelivery[]; hasNextPage: boolean } | null> {
    if (!(await isVisible(read, endpointId))) return null
    const size = first ?? defaultPage
    const older = afterId ? sql`d.message_id < ${afterId}::uuid` : sql`true`
    const found = await readDeliveries(read.tx, sql`d.endpoint_id = ${endpointId}::uuid and ${older}`, { limit: size + 1, offset: 0 })
    return { rows: found.slice(0, size), hasNextPage: found.length > size }
  },
})
