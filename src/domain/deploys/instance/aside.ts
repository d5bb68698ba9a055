/**
 * Replacing an instance that must not run beside the next one. Two marks in the row of the service's runtime make it survive crashes: the
 * deployment for which the others stand aside, which counts as long as that deployment is in progress, and the hold of requests. The
 * reconciler does what follows from them: it stops the others, starts the live release again when the deployment has ended without going live,
 * and lifts the hold.
 */
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'

type Place = { webServiceId: string; id: string }

/** Has all instances of the service except those of a deployment stopped, and requests wait when no instance is left. */
export async function standAside(work: Work, { webServiceId, id }: Place): Promise<void> {
  await run(
    work.tx,
    sql`update service_runtime set aside_for_id = ${id}::uuid, held_since = app_now() where web_service_id = ${webServiceId}::uuid`,
  )
  work.wake('routes', 'instances')
}

/** Whether instances stand aside for a deployment in progress. */
export const isAside = async (tx: Tx, { webServiceId, id }: Place): Promise<boolean> =>
  (await row(
    tx,
    sql`select 1 as aside from service_runtime where web_service_id = ${webServiceId}::uuid and aside_for_id = ${id}::uuid`,
  )) !== null

/** Whether the service has no instances of other deployments: their processes have been observed to be gone. */
export const isAlone = async (tx: Tx, { webServiceId, id }: Place): Promise<boolean> =>
  (await row(
    tx,
    sql`select 1 as other from instance where web_service_id = ${webServiceId}::uuid and deployment_id <> ${id}::uuid limit 1`,
  )) === null

/** Resolves when the service has no instances of other deployments. */
export async function untilAlone(app: App, place: Place, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const changed = app.wake.next(`service:${place.webServiceId}`, 200, signal)
    if (await isAlone(app.db, place)) return
    await changed
  }
}

/** Has requests wait while the only instance of a service is replaced. Does nothing for a service that may have several. */
export const holdForReplacement = (work: Work, webServiceId: string): Promise<number> =>
  run(
    work.tx,
    sql`update service_runtime set held_since = app_now() where web_service_id = ${webServiceId}::uuid
          and exists (select 1 from disk k where k.web_service_id = ${webServiceId}::uuid)`,
  )

/** Ends a hold, unless another one has begun. */
export async function liftHold(app: App, webServiceId: string, since: Date): Promise<void> {
  await run(
    app.db,
    sql`update service_runtime set held_since = null where web_service_id = ${webServiceId}::uuid and held_since = ${since}::timestamptz`,
  )
  app.wake.notify('routes')
}
