/** Removes the snapshots of deployments that have ended. */
import type { ModuleUpdate } from '../../../generated/prisma/client.ts'
import type { Chore } from '../../../platform/claim.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { reportFailure } from '../../../platform/failure-log.ts'
import { unfinishedStatuses } from '../../deploys/instance/index.ts'
import { removeSnapshots } from './store.ts'

export const sweepSnapshots: Chore = {
  name: 'sweep snapshots of module updates',
  // A deployment that goes live wakes it.
  topic: 'purge',
  everyMs: 60_000,
  async run(app, signal) {
    const ended = await rows<ModuleUpdate>(
      app.db,
      sql`select u.* from module_update u join deployment d on d.id = u.deployment_id
          where u.has_snapshot and d.status not in ${unfinishedStatuses.list}`,
    )
    for (const update of ended) {
      if (signal.aborted) return
      // A database that is stopped or away keeps its snapshot until it is back.
      await removeSnapshots(app, update).catch((error) =>
        reportFailure(app, error, 'the snapshot of a module update could not be removed', { deploymentId: update.deploymentId }, 'warn'),
      )
    }
  },
}
