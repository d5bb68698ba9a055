/** The steps of a deployment up to START; see verify.ts and switch.ts for the others. After a lost worker, a step runs again and continues where it can. */
import type { Deployment } from '../../../generated/prisma/client.ts'
import { empty, row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { openDeployKey } from '../../access/ssh-key/index.ts'
import { serviceOf } from '../../apps/web-service/index.ts'
import { addInstances, instancesOf, kindOf, recordRelease, runtimePort, type SourceWriter, startInstance } from '../instance/index.ts'
import { demandDiskSpace, stopFormerForDisks } from './aside.ts'
import { currentConfiguration, restoredConfiguration, saveConfiguration } from './configuration.ts'
import { kindReleaseOf } from './kind-release.ts'
import { type PinnedCommit, type RepositoryRef, sourcePort } from './ports.ts'
import { type Run, StepFailed } from './run.ts'
import { currentSettings } from './settings.ts'

type StepResult = 'done' | 'skipped'

/** Pins the settings, the commit and the variables. */
export async function prepare(run: Run): Promise<StepResult> {
  const { app, deployment, log, signal } = run
  await demandDiskSpace(run)
  if (deployment.kind === 'ROLLBACK') {
    await log.say(`Rolling back to release ${deployment.releaseDigest} of commit ${deployment.commitHash}.`)
    await takeSnapshot(run, (work) => run.set(work, sql`phase = phase`))
    return 'done'
  }
  const service = await serviceOf(app.db, deployment)
  const extension = kindOf(app, service.kind)
  const settings = await currentSettings({ app, tx: app.db }, service)
  settings.branch = deployment.branch ?? settings.branch
  const pinned = extension && !run.repository ? null : await pinCommit(run, settings.branch)
  if (extension && settings.extra) {
    const place = { serviceId: service.id, organizationId: service.organizationId }
    settings.extra = { ...settings.extra, ...(await extension.pin(app, place, settings.extra, { output: log.sink(), signal })) }
  }
  const commit = pinned
    ? sql`commit_hash = ${pinned.hash}, commit_message = ${pinned.message}, commit_author = ${pinned.author}, branch = ${pinned.branch},`
    : empty
  await takeSnapshot(run, (work) => run.set(work, sql`${commit} settings = ${JSON.stringify(settings)}::json`))
  return 'done'
}

async function pinCommit(run: Run, branch: string): Promise<PinnedCommit> {
  const { app, deployment, log, signal } = run
  const repository = await repositoryOf(run)
  const source = sourcePort.use(app)
  source.check(repository.url, branch)
  return source.pin({ repository, branch, commit: deployment.requestedCommit }, { output: log.sink(), signal })
}

/** The repository with the private key that opens it. */
async function repositoryOf({ app, deployment, repository }: Run): Promise<RepositoryRef> {
  if (!repository)
    throw new StepFailed('REPOSITORY_MISSING', 'The service no longer has a repository.', { hint: 'Set repositoryUrl, then deploy again.' })
  const { sshKeyId, ...rest } = repository
  const sshKey = sshKeyId === null ? null : await openDeployKey(app, deployment.organizationId, sshKeyId)
  if (sshKeyId !== null && sshKey === null)
    throw new StepFailed(
      'SOURCE_REJECTED',
      'The SSH key of the service was deleted, or its owner is no longer a member of the organization.',
      {
        hint: 'Set sshKeyId to a key of a member, then deploy again.',
      },
    )
  return { ...rest, sshKey }
}

/** Takes the snapshot in the transaction of `change`, and redacts its secret values in the log from then on. */
async function takeSnapshot(run: Run, change: (work: Work) => Promise<Deployment>): Promise<void> {
  let warnings: string[] = []
  await run.write(async (work) => {
    const deployment = await change(work)
    const revision = { deploymentId: deployment.id, commitHash: deployment.commitHash, branch: deployment.branch }
    const restores = deployment.kind === 'ROLLBACK' && deployment.rollbackConfig !== 'CURRENT' ? deployment.restoresId : null
    const configuration = restores
      ? await restoredConfiguration(work, { id: restores, webServiceId: deployment.webServiceId }, revision)
      : await currentConfiguration(work, deployment.webServiceId, revision)
    const problem = await saveConfiguration(work, deployment, configuration)
    if (problem) {
      const hint =
        configuration.unresolved.length > 0
          ? 'Set a value of the secret at that scope, or change the fallback settings of the project.'
          : 'Delete variables or shorten their values. Keep large values in files.'
      throw new StepFailed('CONFIG_UNRESOLVED', problem, { hint })
    }
    warnings = configuration.warnings
    return deployment
  })
  await run.redactSnapshot()
  for (const warning of warnings) await run.log.say(warning, 'WARN')
}

/** Builds a release of the pinned commit. A rollback uses the stored one. */
export async function build(run: Run): Promise<StepResult> {
  const { app, deployment, log, signal } = run
  const runtime = runtimePort.use(app)
  if (deployment.releaseDigest) {
    if (!(await runtime.hasRelease(deployment.releaseDigest))) {
      throw new StepFailed('ARTIFACT_MISSING', 'The release is no longer stored.', { hint: 'Deploy the commit again.' })
    }
    if (deployment.kind !== 'ROLLBACK') return 'done'
    await run.write((work) => pinKind(run, work, deployment.releaseDigest!))
    return 'skipped'
  }
  const settings = run.settings()
  const facts = await run.facts()
  const built = await runtime.build(
    {
      serviceId: deployment.webServiceId,
      deploymentId: deployment.id,
      kind: settings.kind === 'WORKER' ? 'worker' : settings.kind === 'STATIC_SITE' ? 'static_site' : 'web',
      source: await sourceOf(run),
      rootDirectory: settings.rootDirectory,
      buildCommand: settings.buildCommand,
      startCommand: settings.startCommand,
      publishDirectory: settings.publishDirectory,
      env: facts.buildEnv,
      clearCache: deployment.clearCache,
      ...kindOf(app, settings.kind)?.build(app, settings.extra ?? {}),
    },
    { output: log.sink(), signal },
  )
  await log.endLines()
  await run.write(async (work) => {
    await recordRelease(work.tx, { ...deployment, deploymentId: deployment.id }, built)
    return pinKind(run, work, built.digest)
  })
  await log.say(`Built release ${built.digest} (${built.detected}, ${Math.ceil(built.sizeBytes / 1024)} KiB).`)
  return 'done'
}

/** The tree of the pinned commit. Empty for a kind that was deployed without a repository. */
async function sourceOf(run: Run): Promise<SourceWriter> {
  const { commitHash: hash, branch } = run.deployment
  if (hash === null) return async () => {}
  return sourcePort.use(run.app).tree(await repositoryOf(run), { hash, branch: branch! })
}

/** Pins the release and the kind: a web service whose release has no start command is served as a static site. */
async function pinKind(run: Run, work: Parameters<Parameters<Run['write']>[0]>[0], digest: string): Promise<Deployment> {
  const settings = run.settings()
  const release = await row<{ startCommand: string | null }>(work.tx, sql`select start_command from release where digest = ${digest}`)
  const isFiles = settings.kind === 'WEB' && settings.startCommand === null && release?.startCommand === null
  const pinned = isFiles ? { ...settings, kind: 'STATIC_SITE' } : settings
  return run.set(work, sql`release_digest = ${digest}, settings = ${JSON.stringify(pinned)}::json`)
}

/** Runs the release command, or what the kind of the service does instead. */
export async function release(run: Run): Promise<StepResult> {
  const ofKind = kindReleaseOf(run.app, run.settings().kind)
  return ofKind ? ofKind.run(run) : runReleaseCommand(run)
}

/** Runs the release command once. It may not be repeatable, so the command of a lost worker is never run again. */
async function runReleaseCommand(run: Run): Promise<StepResult> {
  const facts = await run.facts()
  const { releaseCommand } = facts
  if (!releaseCommand) return 'skipped'
  if (run.resumed) {
    throw new StepFailed('WORKER_LOST', 'The worker was lost while the release command was running. The command is not run again.', {
      hint: 'Check what the command has already done, then deploy again.',
    })
  }
  const files = (await kindOf(run.app, facts.settings.kind)?.launch(run.app, facts))?.files
  await run.log.say(`Running the release command \`${releaseCommand}\`.`)
  await runtimePort.use(run.app).runReleaseCommand(
    {
      serviceId: facts.webServiceId,
      deploymentId: facts.deploymentId,
      digest: facts.releaseDigest,
      command: releaseCommand,
      env: facts.env,
      ...(files ? { files } : {}),
    },
    { output: run.log.sink(), signal: run.signal },
  )
  return 'done'
}

/** Starts as many instances as the service currently has, at least its minimum. They get no requests yet. Only one can have a disk. */
export async function start(run: Run): Promise<StepResult> {
  const { app, deployment, log } = run
  const settings = run.settings()
  if (settings.kind === 'STATIC_SITE') return 'skipped'
  await stopFormerForDisks(run)
  const { wanted } = (await row<{ wanted: number }>(
    app.db,
    sql`select least(greatest(rt.wanted, s.min_instances), s.max_instances) as wanted
        from web_service s join service_runtime rt on rt.web_service_id = s.id where s.id = ${deployment.webServiceId}::uuid`,
  ))!
  const known = await instancesOf(app.db, deployment.id)
  const missing = wanted - known.length
  const added = missing > 0 ? await addInstances(app.db, { ...deployment, deploymentId: deployment.id }, missing) : []
  const facts = await run.facts()
  await log.say(`Starting ${wanted} instance${wanted === 1 ? '' : 's'} with \`${facts.startCommand}\`.`)
  for (const instance of [...known, ...added]) {
    run.signal.throwIfAborted()
    await startInstance(app, instance.id, facts)
  }
  return 'done'
}
