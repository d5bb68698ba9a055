import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { anyOf, run, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'
import { keptEnvironments } from './model.ts'

/** Removes deleted environments that nothing keeps any more. */
export const purgeEnvironments: Chore = {
  name: 'purge environments',
  topic: 'purge environments',
  everyMs: 30_000,
  run: (app) =>
    transact(app, systemCaller(nilId), {}, async (work) => {
      const removed = await run(
        work.tx,
        sql`delete from environment e where e.deleting_at is not null and not ${anyOf(keptEnvironments.of(app))}`,
      )
      if (removed > 0) work.wake('purge projects')
    }),
}
