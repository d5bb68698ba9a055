/** What each step of a deployment does. Each may be begun again after a worker was lost, and then goes on where it can. */
import type { Deployment, Instance } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { pause } from '../../../platform/clock.ts'
import { row, run as runSql, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { hostOf, setDesiredState } from '../../apps/web-service/index.ts'
import {
  addInstances,
  instancesOf,
  type ProbeResult,
  recordRelease,
  routerProbePort,
  routeTo,
  runtimePort,
  settle,
  startInstance,
} from '../instance/index.ts'
import { completeLog, ensureDeploymentLog } from '../log/index.ts'
import { pin, presentConfiguration, restoredConfiguration } from './configuration.ts'
import { deploymentEvents } from './events.ts'
import { settingsOf } from './model.ts'
import { sourcePort } from './provided.ts'
import { type Run, StepFailed } from './run.ts'
import { compareAndSet, end, tell } from './transition.ts'

type StepResult = 'done' | 'skipped'

/** Pins the settings, the commit and the variables. */
export async function prepare(run: Run): Promise<StepResult> {
  const { app, deployment, log, signal } = run
  if (deployment.kind === 'ROLLBACK') {
    await log.say(`Going back to release ${deployment.releaseDigest}, commit ${deployment.commitHash}.`)
    await configure(run, (work) => run.set(work, sql`phase = phase`))
    return 'done'
  }
  if (!run.repository) throw new StepFailed('REPOSITORY_MISSING', 'The service has no repository any more.')
  const service = await app.db.prisma.webService.findUniqueOrThrow({ where: { id: deployment.webServiceId } })
  const settings = { ...settingsOf(service), branch: deployment.branch ?? service.branch }
  const source = sourcePort.use(app)
  source.check(run.repository.url, settings.branch)
  const pinned = await source.pin(
    { repository: run.repository, branch: settings.branch, commit: deployment.requestedCommit },
    { output: log.sink(), signal },
  )
  await configure(run, (work) =>
    run.set(
      work,
      sql`commit_hash = ${pinned.hash}, commit_message = ${pinned.message}, branch = ${pinned.branch}, settings = ${JSON.stringify(settings)}::json`,
    ),
  )
  return 'done'
}

/** Pins the variables in the transaction of `change`, and hides the secret ones in the log from then on. */
async function configure(run: Run, change: (work: Work) => Promise<Deployment>): Promise<void> {
  let warnings: string[] = []
  await run.write(async (work) => {
    const deployment = await change(work)
    const revision = { deploymentId: deployment.id, commitHash: deployment.commitHash, branch: deployment.branch }
    const restores = deployment.kind === 'ROLLBACK' && deployment.rollbackConfig !== 'CURRENT' ? deployment.restoresId : null
    const configuration = restores
      ? await restoredConfiguration(work, await work.tx.deployment.findUniqueOrThrow({ where: { id: restores } }), revision)
      : await presentConfiguration(work, deployment.webServiceId, revision)
    const problem = await pin(work, deployment, configuration)
    if (problem) {
      const hint =
        configuration.unresolved.length > 0
          ? 'Give the secret a value at that scope, or change how the project falls back.'
          : 'Delete variables or shorten values; what is large belongs into a file.'
      throw new StepFailed('CONFIG_UNRESOLVED', problem, { hint })
    }
    warnings = configuration.warnings
    return deployment
  })
  await run.hideValues()
  for (const warning of warnings) await run.log.say(warning, 'WARN')
}

/** Makes a release of the pinned commit; a rollback takes the one that was kept. */
export async function build(run: Run): Promise<StepResult> {
  const { app, deployment, log, signal } = run
  const runtime = runtimePort.use(app)
  if (deployment.releaseDigest) {
    if (!(await runtime.hasRelease(deployment.releaseDigest))) {
      throw new StepFailed('ARTIFACT_MISSING', 'The release is no longer kept.', { hint: 'Deploy the commit again.' })
    }
    if (deployment.kind !== 'ROLLBACK') return 'done'
    await run.write((work) => pinKind(run, work, deployment.releaseDigest!))
    return 'skipped'
  }
  const settings = run.settings()
  const facts = await run.facts()
  const commit = { hash: deployment.commitHash!, message: deployment.commitMessage ?? '', branch: deployment.branch! }
  const built = await runtime.build(
    {
      serviceId: deployment.webServiceId,
      deploymentId: deployment.id,
      kind: settings.kind === 'WORKER' ? 'worker' : settings.kind === 'STATIC_SITE' ? 'static_site' : 'web',
      source: sourcePort.use(app).tree(run.repository!, commit),
      rootDirectory: settings.rootDirectory,
      buildCommand: settings.buildCommand,
      startCommand: settings.startCommand,
      publishDirectory: settings.publishDirectory,
      env: facts.buildEnv,
      clearCache: deployment.clearCache,
    },
    { output: log.sink(), signal },
  )
  await run.write(async (work) => {
    await recordRelease(work.tx, { ...deployment, deploymentId: deployment.id }, built)
    return pinKind(run, work, built.digest)
  })
  await log.say(`Built release ${built.digest} (${built.detected}, ${Math.ceil(built.sizeBytes / 1024)} KiB).`)
  return 'done'
}

/** Pins the release, and with it what it is: a web service whose release has nothing to start is served as files. */
async function pinKind(run: Run, work: Parameters<Parameters<Run['write']>[0]>[0], digest: string): Promise<Deployment> {
  const settings = run.settings()
  const release = await row<{ startCommand: string | null }>(work.tx, sql`select start_command from release where digest = ${digest}`)
  const isFiles = settings.kind === 'WEB' && settings.startCommand === null && release?.startCommand === null
  const pinned = isFiles ? { ...settings, kind: 'STATIC_SITE' } : settings
  return run.set(work, sql`release_digest = ${digest}, settings = ${JSON.stringify(pinned)}::json`)
}

/** Runs the release command once. It may not be repeatable, so a lost worker's command is never run again. */
export async function runReleaseCommand(run: Run): Promise<StepResult> {
  const facts = await run.facts()
  const { releaseCommand } = facts
  if (!releaseCommand) return 'skipped'
  if (run.resumed) {
    throw new StepFailed('WORKER_LOST', 'The worker was lost while the release command ran; it is not run twice.', {
      hint: 'See what the command has done, then deploy again.',
    })
  }
  await run.log.say(`Running the release command: ${releaseCommand}`)
  await runtimePort.use(run.app).runReleaseCommand(
    {
      serviceId: facts.webServiceId,
      deploymentId: facts.deploymentId,
      digest: facts.releaseDigest,
      command: releaseCommand,
      env: facts.env,
    },
    { output: run.log.sink(), signal: run.signal },
  )
  return 'done'
}

/** Starts as many instances as the service has now, at least its minimum. They take no requests yet. */
export async function start(run: Run): Promise<StepResult> {
  const { app, deployment, log } = run
  const settings = run.settings()
  if (settings.kind === 'STATIC_SITE') return 'skipped'
  const { wanted } = (await row<{ wanted: number }>(
    app.db.prisma,
    sql`select least(greatest(rt.wanted, s.min_instances), s.max_instances) as wanted
        from web_service s join service_runtime rt on rt.web_service_id = s.id where s.id = ${deployment.webServiceId}::uuid`,
  ))!
  const known = await instancesOf(app.db.prisma, deployment.id)
  const missing = wanted - known.length
  const added = missing > 0 ? await addInstances(app.db.prisma, { ...deployment, deploymentId: deployment.id }, missing) : []
  const facts = await run.facts()
  await log.say(`Starting ${wanted} instance${wanted === 1 ? '' : 's'}: ${facts.startCommand}`)
  for (const instance of [...known, ...added]) {
    run.signal.throwIfAborted()
    await startInstance(app, instance.id, facts)
  }
  return 'done'
}

const goodProbes = 3

/** Waits until every instance is seen to be well: three good probes in a row, or for a worker a while without an end. */
export async function verify(run: Run): Promise<StepResult> {
  const { app, deployment, log } = run
  const settings = run.settings()
  if (settings.kind === 'STATIC_SITE') return 'skipped'
  const instances = await instancesOf(app.db.prisma, deployment.id)
  await log.say(
    settings.kind === 'WORKER'
      ? `Watching ${instances.length} instance(s) for ${app.settings.WORKER_VERIFY_MS} ms.`
      : `Probing ${instances.length} instance(s) at ${settings.healthCheckPath ?? 'their port'}.`,
  )
  const stop = new AbortController()
  const signal = AbortSignal.any([run.signal, stop.signal])
  try {
    await Promise.all(
      instances.map((instance) => (settings.kind === 'WORKER' ? staysUp(run, instance, signal) : answers(run, instance, signal))),
    )
  } finally {
    stop.abort(run.signal.reason)
  }
  await log.say('All instances are well.')
  return 'done'
}

async function answers(run: Run, instance: Instance, signal: AbortSignal): Promise<void> {
  const runtime = runtimePort.use(run.app)
  const path = run.settings().healthCheckPath
  let last: ProbeResult | null = null
  let reported = ''
  for (let good = 0; good < goodProbes; ) {
    if (signal.aborted) throw deadlinePassed(run, signal.reason, last, path)
    await demandRunning(run, instance)
    last = await runtime.probe({ instanceId: instance.id, path, timeoutMs: run.probeTimeoutMs() })
    good = last.ok ? good + 1 : 0
    if (!last.ok && last.reason && last.reason !== reported) {
      reported = last.reason
      await run.log.say(`${encodeId('Instance', instance.id)}: ${last.reason}`)
    }
    if (good < goodProbes) await pause(run.app.settings.PROBE_INTERVAL_MS, signal)
  }
}

/** The deadline's own error, with what was seen last where that says more. */
function deadlinePassed(run: Run, reason: unknown, last: ProbeResult | null, path: string | null): unknown {
  if (!last || last.ok || reason?.constructor?.name !== 'DeadlineOver') return reason
  const where = path === null ? 'its port' : path
  const ports = last.otherPorts.join(', ')
  return new StepFailed(
    'HEALTH_TIMEOUT',
    `The new release did not become healthy within ${run.settings().healthTimeoutMs} ms: ${where}: ${last.reason}.`,
    {
      hint: ports
        ? `It listens on port ${ports} instead of the one given in the variable PORT. Let it listen on PORT.`
        : 'It must listen on the port given in the variable PORT, and answer 2xx or 3xx.',
    },
  )
}

async function staysUp(run: Run, instance: Instance, signal: AbortSignal): Promise<void> {
  const until = run.app.clock.now().getTime() + run.app.settings.WORKER_VERIFY_MS
  while (run.app.clock.now().getTime() < until) {
    if (signal.aborted) throw signal.reason
    await demandRunning(run, instance)
    await pause(Math.min(200, run.app.settings.WORKER_VERIFY_MS), signal)
  }
  await demandRunning(run, instance)
}

async function demandRunning(run: Run, instance: Instance): Promise<void> {
  const [seen] = await runtimePort.use(run.app).observe([instance.id])
  if (seen?.state === 'running') return
  const how =
    seen?.state === 'exited'
      ? seen.signal
        ? `was ended by ${seen.signal}`
        : `ended with exit code ${seen.exitCode ?? 'unknown'}`
      : 'is gone'
  throw new StepFailed('START_FAILED', `Instance ${encodeId('Instance', instance.id)} ${how} before it was well.`, {
    hint: "The service's log shows what it printed.",
    exitCode: seen?.state === 'exited' ? (seen.exitCode ?? undefined) : undefined,
  })
}

/** Turns the router to the new release, sees it answer there, and only then calls it live. */
export async function switchTraffic(run: Run): Promise<StepResult> {
  const { deployment, log } = run
  await run.write(async (work) => {
    await run.set(work, sql`phase = phase`)
    await runSql(
      work.tx,
      sql`update instance set status = 'RUNNING', failed_probes = 0 where deployment_id = ${deployment.id}::uuid and status = 'STARTING'`,
    )
    await routeTo(work, deployment.webServiceId, deployment.id)
  })
  if (run.settings().kind !== 'WORKER') await seeThroughRouter(run)
  await log.say('Live.')
  await log.close()
  await run.write((work) => goLive(run, work))
  return 'done'
}

async function seeThroughRouter(run: Run): Promise<void> {
  const { app, deployment } = run
  const service = await app.db.prisma.webService.findUniqueOrThrow({ where: { id: deployment.webServiceId } })
  const host = hostOf(service, app.settings.ROUTER_DOMAIN)
  const id = encodeId('Deployment', deployment.id)
  const instances = await instancesOf(app.db.prisma, deployment.id)
  for (;;) {
    run.signal.throwIfAborted()
    // One that ends now takes requests already: what served before has to come back at once.
    for (const instance of instances) await demandRunning(run, instance)
    const seen = await routerProbePort.use(app).request(host, run.settings().healthCheckPath ?? '/', run.probeTimeoutMs())
    // A static site without an index is served all the same.
    const isServed = seen.error === null || seen.error === 'not_found'
    if (isServed && seen.deployment === id && seen.release === deployment.releaseDigest) return
    await pause(50, run.signal)
  }
}

/** One transaction: the former release is superseded, this one is live, the service should run. */
async function goLive(run: Run, work: Parameters<Parameters<Run['write']>[0]>[0]): Promise<Deployment> {
  const { deployment } = run
  const service = await row<{ desiredState: string }>(
    work.tx,
    sql`select desired_state from web_service where id = ${deployment.webServiceId}::uuid for update`,
  )
  if (service?.desiredState === 'DELETED') throw new StepFailed('SERVICE_DELETED', 'The service was deleted.')
  const former = await row<{ id: string }>(
    work.tx,
    sql`select id from deployment where web_service_id = ${deployment.webServiceId}::uuid and status = 'LIVE' for update`,
  )
  if (former) await end(work, former.id, ['LIVE'], { status: 'SUPERSEDED' })
  const live = await compareAndSet(
    work,
    deployment.id,
    ['RUNNING'],
    sql`status = 'LIVE', live_at = app_now(), finished_at = app_now(), lease_owner = null, lease_expires_at = null`,
    deployment.leaseEpoch,
  )
  await runSql(
    work.tx,
    sql`update deployment_step set status = 'SUCCEEDED', finished_at = app_now() where deployment_id = ${deployment.id}::uuid and phase = 'SWITCH'`,
  )
  await setDesiredState(work, deployment.webServiceId, 'RUNNING')
  await settle(work, deployment.webServiceId)
  const log = await ensureDeploymentLog(work.tx, { ...deployment, deploymentId: deployment.id })
  await completeLog(work, log.id)
  await tell(work, deploymentEvents.succeeded as never, live)
  if (live.kind === 'ROLLBACK') await tell(work, deploymentEvents.rolledBack as never, live)
  await writeAudit(work, { action: 'deployment.succeed', targetType: 'Deployment', targetId: live.id, details: {} })
  work.wake('deployments', 'purge')
  return live
}

/** Undoes a switch that failed: the router goes back to what is live, if anything is. */
export async function takeTrafficBack(run: Run): Promise<void> {
  const { webServiceId } = run.deployment
  await run.write(async (work) => {
    const live = await row<{ id: string }>(
      work.tx,
      sql`select id from deployment where web_service_id = ${webServiceId}::uuid and status = 'LIVE'`,
    )
    await routeTo(work, webServiceId, live?.id ?? null)
  })
}
