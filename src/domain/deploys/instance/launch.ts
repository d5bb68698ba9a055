/** Creates instances: first their rows, then their processes. Used by deployments and the reconciler. */
import type { Instance } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App, Work } from '../../../platform/work.ts'
import { pinnedSettings, type ServiceSettings } from '../../apps/web-service/index.ts'
import { type DiskMount, mountsOf } from '../disk/index.ts'
import { kindOf } from './kind.ts'
import { runtimePort } from './ports.ts'
import { environmentOf, readSnapshot } from './snapshot.ts'

/** Everything required to start an instance, or to run a command in its release. */
export type LaunchFacts = {
  organizationId: string
  webServiceId: string
  deploymentId: string
  settings: ServiceSettings
  releaseDigest: string
  /** What the plan of the build found in the source. Null without a plan of the kind. */
  releaseFacts: unknown
  /** From the settings, or else detected by the build. */
  startCommand: string | null
  /** Likewise. */
  releaseCommand: string | null
  /** For the release command and instances. */
  env: Record<string, string>
  buildEnv: Record<string, string>
  /** For instances only. */
  disks: DiskMount[]
}

type FactsRow = {
  organizationId: string
  webServiceId: string
  settings: unknown
  releaseDigest: string | null
  releaseFacts: unknown
  startCommand: string | null
  releaseCommand: string | null
}

/** Reads the facts that a deployment has pinned. `releaseDigest` is empty before its build. */
export async function launchFacts(app: App, deploymentId: string): Promise<LaunchFacts> {
  const tx = app.db
  const facts = await row<FactsRow>(
    tx,
    sql`select d.organization_id, d.web_service_id, d.settings, d.release_digest, r.facts as release_facts, r.start_command, r.release_command
        from deployment d left join release r on r.digest = d.release_digest where d.id = ${deploymentId}::uuid`,
  )
  if (!facts) throw new Error(`deployment ${deploymentId} does not exist`)
  const snapshot = await readSnapshot({ app, tx }, deploymentId)
  if (!snapshot) throw new Error(`deployment ${deploymentId} has no snapshot`)
  const settings = pinnedSettings(app, facts.settings)
  return {
    organizationId: facts.organizationId,
    webServiceId: facts.webServiceId,
    deploymentId,
    settings,
    releaseDigest: facts.releaseDigest ?? '',
    releaseFacts: facts.releaseFacts,
    startCommand: settings.startCommand ?? facts.startCommand,
    releaseCommand: settings.releaseCommand ?? facts.releaseCommand,
    env: environmentOf(snapshot, 'runTime'),
    buildEnv: environmentOf(snapshot, 'buildTime'),
    disks: await mountsOf(tx, facts.webServiceId),
  }
}

/** Adds rows for instances to be started. Does not start them. */
export async function addInstances(
  tx: Tx,
  place: { organizationId: string; webServiceId: string; deploymentId: string },
  count: number,
): Promise<Instance[]> {
  const ids = Array.from({ length: count }, newId)
  return rows<Instance>(
    tx,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status)
        select n.id, ${place.organizationId}::uuid, ${place.webServiceId}::uuid, ${place.deploymentId}::uuid, s.generation, 'STARTING'
        from unnest(${ids}::uuid[]) as n(id) join web_service s on s.id = ${place.webServiceId}::uuid returning instance.*`,
  )
}

/** Starts an instance's process. Throws the runtime's PortError. */
export async function startInstance(app: App, instanceId: string, facts: LaunchFacts): Promise<void> {
  await runtimePort.use(app).start({
    instanceId,
    serviceId: facts.webServiceId,
    deploymentId: facts.deploymentId,
    digest: facts.releaseDigest,
    kind: facts.settings.kind === 'WORKER' ? 'worker' : 'web',
    startCommand: facts.startCommand ?? '',
    env: facts.env,
    disks: facts.disks,
    ...(await kindOf(app, facts.settings.kind)?.launch(app, facts)),
  })
  await run(app.db, sql`update instance set started_at = app_now() where id = ${instanceId}::uuid`)
  app.wake.notify('instances')
}

export const instancesOf = (tx: Tx, deploymentId: string): Promise<Instance[]> =>
  rows<Instance>(tx, sql`select * from instance where deployment_id = ${deploymentId}::uuid order by id`)

/** Marks the instances of a deployment as running: they have passed their health checks. */
export const markStarted = (tx: Tx, deploymentId: string): Promise<number> =>
  run(
    tx,
    sql`update instance set status = 'RUNNING', failed_probes = 0 where deployment_id = ${deploymentId}::uuid and status = 'STARTING'`,
  )

/**
 * Routes a service to a deployment: its instances get requests, other instances of the service no longer do. Stops nothing. Returns the id of
 * the transaction, for `untilRouted`.
 */
export async function routeTo(work: Work, webServiceId: string, deploymentId: string | null): Promise<string> {
  await run(
    work.tx,
    sql`update service_runtime set routed_deployment_id = ${deploymentId}::uuid where web_service_id = ${webServiceId}::uuid`,
  )
  await run(
    work.tx,
    sql`update instance set routed = (deployment_id is not distinct from ${deploymentId}::uuid and status = 'RUNNING' and draining_since is null)
        where web_service_id = ${webServiceId}::uuid`,
  )
  work.wake('routes')
  // Also without a change, because the caller waits for it.
  const noted = await row<{ xid: bigint }>(
    work.tx,
    sql`insert into route_change (web_service_id, xid) values (${webServiceId}::uuid, pg_current_xact_id()::text::bigint) returning xid`,
  )
  return String(noted!.xid)
}

/** Resets the load of a service with a new live deployment, whose instances the reconciler takes over. */
export async function resetLoad(work: Work, webServiceId: string): Promise<void> {
  await run(
    work.tx,
    sql`update service_runtime t set quiet_since = null,
          wanted = (select count(*) from instance i where i.web_service_id = t.web_service_id and i.deployment_id = t.routed_deployment_id)
        where web_service_id = ${webServiceId}::uuid`,
  )
  work.wake('instances', 'routes')
}
