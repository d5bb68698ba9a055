/** Removes data from the disk that no row refers to: releases and build caches of removed deployments and services, and leftovers of interrupted steps. */
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { runtimePort, usingReleaseStatuses } from '../instance/index.ts'
import { sourcePort } from './ports.ts'

export const sweepLeftovers: Chore = {
  name: 'sweep leftovers',
  topic: 'sweep',
  everyMs: 60_000,
  async run(app, signal) {
    const runtime = runtimePort.use(app)
    // The disk is read before the rows, so this pass does not affect what is stored from now on.
    const kept = await runtime.kept()
    for (const digest of await unknownReleases(app, kept.digests)) {
      if (signal.aborted) return
      if (!(await isNeeded(app, digest))) await runtime.removeRelease(digest)
    }
    for (const serviceId of await unknownServices(app, kept.serviceIds)) {
      if (signal.aborted) return
      await runtime.removeService(serviceId)
    }
    await runtime.sweep()
    await sourcePort.use(app).sweep()
  },
}

const unknownReleases = async (app: App, digests: string[]): Promise<string[]> => {
  const found = await rows<{ digest: string }>(
    app.db,
    sql`select k.digest from unnest(${digests}::text[]) as k(digest)
        where not exists (select 1 from release r where r.digest = k.digest and r.expired_at is null)`,
  )
  return found.map(({ digest }) => digest)
}

/** Whether a deployment needs a release: it stores the release before it records it. */
async function isNeeded(app: App, digest: string): Promise<boolean> {
  const release = await runtimePort.use(app).describeRelease(digest)
  if (release === null) return false
  const user = await row(
    app.db,
    sql`select 1 as one from deployment d
        where (d.id::text = ${release.deploymentId} or d.release_digest = ${digest}) and d.web_service_id::text = ${release.serviceId}
          and (d.status in ${usingReleaseStatuses.list} or exists (select 1 from instance i where i.deployment_id = d.id)) limit 1`,
  )
  return user !== undefined && user !== null
}

const unknownServices = async (app: App, serviceIds: string[]): Promise<string[]> => {
  const found = await rows<{ id: string }>(
    app.db,
    sql`select k.id from unnest(${serviceIds}::text[]) as k(id) where not exists (select 1 from web_service s where s.id::text = k.id)`,
  )
  return found.map(({ id }) => id)
}
