import { row, run, sql } from '../../../platform/db/index.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { purgeTopic } from './model.ts'

/** The bytes of an organization that is being deleted. When its buckets are gone, they are removed without waiting for readers and uploads. */
export const bytesOfOrganization: OrganizationContents = {
  name: 'objects',
  phase: 'objects',
  async remove({ tx, caller: { organizationId }, wake }) {
    if (await row(tx, sql`select 1 as one from bucket where organization_id = ${organizationId}::uuid limit 1`)) return 'waiting'
    await run(
      tx,
      sql`update object_blob set removable_at = app_now()
          where organization_id = ${organizationId}::uuid and (removable_at is null or removable_at > app_now())`,
    )
    if (!(await row(tx, sql`select 1 as one from object_blob where organization_id = ${organizationId}::uuid limit 1`))) return 'done'
    wake(purgeTopic)
    return 'waiting'
  },
}
