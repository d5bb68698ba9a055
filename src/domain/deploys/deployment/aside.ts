/**
 * Deployments that cannot start beside the running release: it stands aside first, while the router holds its requests. It comes back when
 * the deployment ends without going live, by the reconciler. The marks are in the database, so that it also happens without this process.
 */

import type { WebService } from '../../../generated/prisma/client.ts'
import { sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { disksOverLimit } from '../disk/index.ts'
import { instancesOf, isAlone, isAside, runtimePort, standAside, untilAlone } from '../instance/index.ts'
import { type Run, StepFailed } from './run.ts'

/** Stops all other instances of the service. Resolves when they are gone. Can be repeated. */
export async function stopFormer(run: Run): Promise<void> {
  const { app, deployment, log } = run
  const settings = run.settings()
  // Requests in flight finish first, then the former instance has its time to exit.
  run.extend(app.settings.DRAIN_TIMEOUT_MS + settings.shutdownGraceMs)
  if (!(await isAlone(app.db, deployment))) await log.say('Stopping the running release. Requests wait until the new one takes them.')
  await run.write(async (work) => {
    const changed = await run.set(work, sql`phase = phase`)
    await standAside(work, deployment)
    return changed
  })
  await untilAlone(app, deployment, run.signal)
}

/** The same for a service with a disk, which only one instance can have. */
export async function stopFormerForDisks(run: Run): Promise<void> {
  if ((await disksOverLimit(run.app.db, run.deployment.webServiceId)) !== null) await stopFormer(run)
}

/** Fails a deployment of a service with a disk that is over its limit, before anything is stopped. */
export async function demandDiskSpace(run: Run): Promise<void> {
  const over = await disksOverLimit(run.app.db, run.deployment.webServiceId)
  if (over === null || over.length === 0) return
  throw new StepFailed('NO_CAPACITY', `The disk ${over.join(', ')} is over its limit.`, {
    hint: 'Delete files on it, or increase its sizeBytes, then deploy again.',
  })
}

/** What a plan says of the disks of a service. */
export async function diskWarnings({ app, tx }: { app: App; tx: Tx }, { id, desiredState }: WebService): Promise<string[]> {
  const over = await disksOverLimit(tx, id)
  if (over === null) return []
  const limit = over.length > 0 ? [`The disk ${over.join(', ')} is over its limit, so the deployment will fail.`] : []
  if (desiredState !== 'RUNNING') return limit
  const seconds = Math.ceil(app.settings.DISK_SWITCH_HOLD_MS / 1_000)
  return [
    ...limit,
    `The service has a disk, so its instance is stopped before the new one starts. Requests wait meanwhile, each for up to ${seconds} s.`,
  ]
}

/**
 * Stops the instances of a deployment that has failed, if others stand aside for it. Their rows are removed by the reconciler. If it throws,
 * the deployment does not end, and another worker tries again.
 */
export async function stopNew(run: Run): Promise<void> {
  const { app, deployment, log } = run
  if (!(await isAside(app.db, deployment))) return
  await log.say('Stopping the new release. The former one is started again.')
  for (const { id } of await instancesOf(app.db, deployment.id)) {
    await runtimePort.use(app).stop(id, { graceMs: run.settings().shutdownGraceMs })
  }
}
