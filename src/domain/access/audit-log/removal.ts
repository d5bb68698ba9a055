import { run, sql } from '../../../platform/db/index.ts'
import type { OrganizationContents } from '../organization/index.ts'

const entriesPerStep = 2_000

export const auditLogOfOrganization: OrganizationContents = {
  name: 'audit log',
  phase: 'records',
  async remove({ tx, caller: { organizationId } }) {
    const removed = await run(
      tx,
      sql`delete from audit_entry where id in (
            select id from audit_entry where organization_id = ${organizationId}::uuid and position is not null
            order by organization_id, position limit ${entriesPerStep})`,
    )
    return removed < entriesPerStep ? 'done' : 'more'
  },
}
