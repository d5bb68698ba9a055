import { rows, run, sql } from '../../../platform/db/index.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { removeMessages } from '../message/index.ts'

const messagesPerStep = 500

/** The messages of an organization that is being deleted, with their deliveries and attempts. Its endpoints are gone. */
export const messagesOfOrganization: OrganizationContents = {
  name: 'webhook messages',
  phase: 'records',
  async remove({ tx, caller }) {
    // Waits for a fan-out that began before the organization was marked. Later ones create no messages for it.
    await run(tx, sql`select 1 from webhook_fan_out where id = 1 for update`)
    const found = await rows<{ id: string }>(
      tx,
      sql`select id from webhook_message where organization_id = ${caller.organizationId}::uuid order by organization_id, id limit ${messagesPerStep}`,
    )
    const ids = found.map(({ id }) => id)
    // Deliveries first: whoever records an attempt has locked its delivery.
    await run(
      tx,
      sql`with held as (
            select message_id, endpoint_id from webhook_delivery where message_id = any(${ids}::uuid[])
            order by message_id, endpoint_id for update)
          delete from webhook_delivery d using held h where h.message_id = d.message_id and h.endpoint_id = d.endpoint_id`,
    )
    await removeMessages(tx, ids)
    return ids.length < messagesPerStep ? 'done' : 'more'
  },
}
