/** Payloads are removed by age or on request. Messages and their attempts stay. */
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { clearMessages } from '../message/index.ts'

const batch = 500

/** Removes the bodies of messages, those made for single endpoints, and the data of their events. Pending deliveries are cancelled. */
export async function removeBodies(tx: Tx, messageIds: readonly string[]): Promise<void> {
  await run(
    tx,
    sql`with held as (
          select message_id, endpoint_id from webhook_delivery where message_id = any(${[...messageIds]}::uuid[])
          order by message_id, endpoint_id for update)
        update webhook_delivery d
        set body = null,
            reason = case when d.status = 'PENDING' then 'The payload was removed before the message was delivered.' else d.reason end,
            next_attempt_at = null,
            status = case when d.status = 'PENDING' then 'CANCELLED'::webhook_delivery_status else d.status end
        from held h where h.message_id = d.message_id and h.endpoint_id = d.endpoint_id`,
  )
  await clearMessages(tx, messageIds)
}

/** Removes payloads older than WEBHOOK_RETENTION_MS without pending deliveries, and remains of removed ones. Returns their number, at most one batch. */
export async function expireBodies(app: App): Promise<number> {
  const old = await rows<{ id: string }>(
    app.db,
    sql`(select m.id from webhook_message m
         where m.body is not null and m.timestamp < app_now() - ${app.settings.WEBHOOK_RETENTION_MS} * interval '1 millisecond'
           and not exists (select 1 from webhook_delivery d where d.message_id = m.id and d.status = 'PENDING')
         order by m.timestamp limit ${batch})
        union
        (select m.id from webhook_delivery d join webhook_message m on m.id = d.message_id
         where d.body is not null and m.body is null limit ${batch})
        limit ${batch}`,
  )
  if (old.length === 0) return 0
  await app.db.transaction((tx) =>
    removeBodies(
      tx,
      old.map(({ id }) => id),
    ),
  )
  return old.length
}

export const expireBodiesBatch = batch
