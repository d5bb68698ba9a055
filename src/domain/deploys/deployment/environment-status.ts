/** Publishes changes of the derived status of environments. */
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, nilId } from '../../../platform/id.ts'
import { type App, transact } from '../../../platform/work.ts'
import { environmentStatusChanged } from '../../apps/environment/index.ts'
import { type EnvironmentStatus, statusByEnvironment } from './queries.ts'

type PublishedStatus = {
  id: string
  organizationId: string
  projectId: string
  name: string
  type: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  published: EnvironmentStatus
}

const batch = 500

/** Compares the status of all environments with what was published last. The status is derived, so a missed pass loses nothing. */
export const publishEnvironmentStatus: Chore = {
  name: 'publishChange environment status',
  emits: [environmentStatusChanged],
  topic: 'environments',
  everyMs: 30_000,
  async run(app, signal) {
    for (let after = nilId; !signal.aborted; ) {
      const known = await rows<PublishedStatus>(
        app.db.prisma,
        sql`select e.id, e.organization_id, e.project_id, e.name, e.type::text as type, coalesce(t.status, 'PENDING') as published
            from environment e left join environment_state t on t.environment_id = e.id where e.id > ${after}::uuid order by e.id limit ${batch}`,
      )
      const now = await statusByEnvironment(
        app.db.prisma,
        known.map((environment) => environment.id),
      )
      for (const [index, environment] of known.entries()) {
        if (now[index] !== environment.published) await publishChange(app, environment, now[index]!)
      }
      if (known.length < batch) return
      after = known.at(-1)!.id
    }
  },
}

/** If several processes see a change at once, only the one that records it publishes it. */
const publishChange = (app: App, environment: PublishedStatus, status: EnvironmentStatus): Promise<void> =>
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
