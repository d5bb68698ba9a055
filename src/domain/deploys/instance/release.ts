/** Stored releases, and how long they are kept as rollback targets. */
import type { Release } from '../../../generated/prisma/client.ts'
import type { Chore } from '../../../platform/claim.ts'
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { unfinishedStatuses, usingReleaseStatuses } from './deployment-status.ts'
import { type BuiltRelease, runtimePort } from './ports.ts'

/** Records a built release. Does nothing if the digest is already recorded. */
export const recordRelease = (
  tx: Tx,
  place: { organizationId: string; webServiceId: string; deploymentId: string },
  built: BuiltRelease,
): Promise<number> =>
  run(
    tx,
    sql`insert into release (id, organization_id, web_service_id, deployment_id, digest, start_command, release_command, facts, size_bytes)
        values (${newId()}::uuid, ${place.organizationId}::uuid, ${place.webServiceId}::uuid, ${place.deploymentId}::uuid, ${built.digest},
                ${built.startCommand}, ${built.releaseCommand}, ${JSON.stringify(built.facts ?? null)}::json, ${built.sizeBytes})
        on conflict (digest) do nothing`,
  )

const keptSuccesses = 5
const keptDays = 30

/**
 * Releases that nothing needs any more: of deleted services, of deployments that ended without going live, and successful ones
 * that are neither live, nor in use, nor among the last five, nor were live within 30 days.
 */
const outdated = sql`
  select r.* from release r join web_service s on s.id = r.web_service_id
  where not exists (select 1 from instance i join deployment d on d.id = i.deployment_id where d.release_digest = r.digest)
    and not exists (select 1 from deployment d where d.release_digest = r.digest and d.status in ${unfinishedStatuses.list})
    and not exists (select 1 from deployment d where d.id = r.deployment_id and d.status in ${unfinishedStatuses.list})
    and (s.desired_state = 'DELETED' or r.expired_at is null and
      not exists (select 1 from deployment d where d.release_digest = r.digest and d.status = 'LIVE')
      and not exists (
        select 1 from (select d.release_digest, max(d.live_at) as live_at from deployment d
                       where d.web_service_id = r.web_service_id and d.live_at is not null group by 1 order by 2 desc limit ${keptSuccesses}) l
        where l.release_digest = r.digest)
      and not exists (select 1 from deployment d where d.release_digest = r.digest and d.live_at > app_now() - ${keptDays} * interval '1 day'))
  order by r.id limit 20`

/** The oldest releases that are neither live nor in use, when all together are over the quota. */
const overQuota = (quota: number) => sql`
  select r.* from (
    select r.*, sum(r.size_bytes) over (order by r.id desc)::float8 as total from release r where r.expired_at is null) r
  where r.total > ${quota}::bigint
    and not exists (select 1 from deployment d where d.release_digest = r.digest and d.status in ${usingReleaseStatuses.list})
    and not exists (select 1 from deployment d where d.id = r.deployment_id and d.status in ${unfinishedStatuses.list})
    and not exists (select 1 from instance i join deployment d on d.id = i.deployment_id where d.release_digest = r.digest)
  order by r.id limit 20`

/** Removes releases that are outdated or exceed the quota: first the artifact, then the row is marked. */
export const expireReleases: Chore = {
  name: 'expire releases',
  topic: 'purge',
  everyMs: 60_000,
  async run(app) {
    const found = [
      ...(await rows<Release>(app.db, outdated)),
      ...(await rows<Release>(app.db, overQuota(app.settings.ARTIFACT_QUOTA_BYTES))),
    ]
    for (const release of found) await expire(app, release)
    if (found.length > 0) app.wake.notify('purge')
  },
}

async function expire(app: App, release: Release): Promise<void> {
  const runtime = runtimePort.use(app)
  await runtime.removeRelease(release.digest)
  const deleted = await run(
    app.db,
    sql`delete from release r using web_service s where r.id = ${release.id}::uuid and s.id = r.web_service_id and s.desired_state = 'DELETED'`,
  )
  if (deleted > 0) await runtime.removeService(release.webServiceId)
  else await run(app.db, sql`update release set expired_at = app_now() where id = ${release.id}::uuid`)
}
