import type { Chore } from '../../../platform/claim.ts'
import { run, sql } from '../../../platform/db/index.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'

const batch = 5_000

/** Removes the records of old calls. */
export const expireBridgeCalls: Chore = {
  name: 'expire records of calls of Odoo',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app) {
    const oldest = sql`app_now() - ${app.settings.ODOO_RETENTION_MS} * interval '1 millisecond'`
    const removed = await run(
      app.db,
      sql`delete from bridge_call where id in (select id from bridge_call where created_at < ${oldest} order by created_at limit ${batch})`,
    )
    return removed === batch ? 'again' : undefined
  },
}

export const callsOfOrganization: OrganizationContents = {
  name: 'records of calls of Odoo',
  phase: 'records',
  async remove({ tx, caller }) {
    const removed = await run(
      tx,
      sql`delete from bridge_call where id in (select id from bridge_call where organization_id = ${caller.organizationId}::uuid limit ${batch})`,
    )
    return removed === batch ? 'more' : 'done'
  },
}
