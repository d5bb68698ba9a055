import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'

/** Removes projects that are being deleted and contain no more environments. */
export const purgeProjects: Chore = {
  name: 'purge projects',
  topic: 'purge projects',
  everyMs: 30_000,
  run: (app) =>
    transact(app, systemCaller(nilId), {}, async (work) => {
      await run(
        work.tx,
        sql`delete from project p where p.deleting_at is not null and not exists (select 1 from environment e where e.project_id = p.id)`,
      )
    }),
}
