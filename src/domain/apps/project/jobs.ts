import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { anyOf, run, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'
import { keptProjects } from './model.ts'

/** Removes deleted projects that nothing keeps any more. */
export const purgeProjects: Chore = {
  name: 'purge projects',
  topic: 'purge projects',
  everyMs: 30_000,
  run: (app) =>
    transact(app, systemCaller(nilId), {}, async (work) => {
      await run(work.tx, sql`delete from project p where p.deleting_at is not null and not ${anyOf(keptProjects.of(app))}`)
    }),
}
