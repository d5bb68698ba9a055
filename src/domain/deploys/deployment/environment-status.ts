/** Publishes changes of the derived status of environments. */
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import { environmentStatusChanged } from '../../apps/environment/index.ts'
import { environmentChangesAtOnce, environmentTopic, forgetEnvironmentChanges, readEnvironmentChanges } from '../instance/index.ts'
import { type EnvironmentStatus, environmentStatuses } from './queries.ts'

type ChangedStatus = {
  id: string
  organizationId: string
  projectId: string
  name: string
  type: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  published: EnvironmentStatus
  status: EnvironmentStatus
}

const changesAtOnce = 500
const sweepEveryMs = 5 * 60_000

/** When this process last compared all environments. */
const sweptAt = perApp(() => ({ ms: Number.NEGATIVE_INFINITY }))

/**
 * Compares the status of environments with what was published last: of those that have changed, and now and then of all. The status is
 * derived, so a missed pass loses nothing.
 */
export const publishEnvironmentStatus: Chore = {
  name: 'publish environment status',
  emits: [environmentStatusChanged],
  topic: environmentTopic,
  everyMs: sweepEveryMs,
  async run(app, signal) {
    const changes = await readEnvironmentChanges(app.db)
    const swept = sweptAt(app)
    const now = app.clock.elapsedMs()
    const isSweep = now - swept.ms >= sweepEveryMs
    if (!isSweep && changes.length === 0) return
    const ids = [...new Set(changes.map(({ environmentId }) => environmentId))]
    const changed = await findChanged(app, isSweep ? sql`true` : sql`e.id = any(${ids}::uuid[])`)
    for (const environment of changed) {
      if (signal.aborted) return
      await publishChange(app, environment)
    }
    await forgetEnvironmentChanges(app.db, changes)
    if (changed.length === changesAtOnce) return 'again'
    if (isSweep) swept.ms = now
    if (changes.length === environmentChangesAtOnce) return 'again'
  },
}

/** Environments that match a condition and whose status differs from the published one. */
const findChanged = (app: App, where: Sql): Promise<ChangedStatus[]> =>
  rows<ChangedStatus>(
    app.db,
    sql`select e.id, e.organization_id, e.project_id, e.name, e.type::text as type, coalesce(t.status, 'PENDING') as published, n.status
        from (${environmentStatuses(where)}) n join environment e on e.id = n.id left join environment_state t on t.environment_id = e.id
        where n.status <> coalesce(t.status, 'PENDING') order by e.id limit ${changesAtOnce}`,
  )

/** If several processes see a change at once, only the one that records it publishes it. */
const publishChange = (app: App, { status, ...environment }: ChangedStatus): Promise<void> =>
  transact(app, systemCaller(environment.organizationId), { emits: [environmentStatusChanged] }, async (work) => {
    const changed = await run(
      work.tx,
      sql`insert into environment_state as t (environment_id, status) select e.id, ${status} from environment e where e.id = ${environment.id}::uuid
          on conflict (environment_id) do update set status = excluded.status where t.status = ${environment.published}`,
    )
    if (changed === 0) return
    await publish(work, environmentStatusChanged, {
      subjectId: environment.id,
      projectId: environment.projectId,
      data: {
        environmentId: encodeId('Environment', environment.id),
        projectId: encodeId('Project', environment.projectId),
        name: environment.name,
        type: environment.type,
        status,
        formerStatus: environment.published,
      },
    })
  })
