/**
 * The phase RELEASE of Odoo instances. Modules are updated while the instance is stopped: a snapshot of database and files is taken first, and
 * comes back unless the deployment goes live. Each stage is recorded before what it allows, so that whoever continues after a lost worker knows
 * whether the data may have changed.
 */
import type { DeploymentFailureCode, ModuleUpdate } from '../../../generated/prisma/client.ts'
import { run as runSql, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import { type Failure, type KindRelease, type Run, StepFailed, stopFormer } from '../../deploys/deployment/index.ts'
import type { ModuleUpdateRequest } from '../../deploys/environment-action/index.ts'
import { kindOf, type LaunchFacts, runtimePort } from '../../deploys/instance/index.ts'
import { databaseEngine } from '../../resources/database/index.ts'
import { createJudge } from './judge.ts'
import { listingCommand, parseListing } from './listing.ts'
import { chooseUpdate, type DatabaseModules, describeChoice, type ReleaseModule, type UpdateChoice, updateCommand } from './model.ts'
import { type DatabaseSpec, insertUpdate, liveModules, removeSnapshots, type Stage, setStage, specOfDatabase, updateOf } from './store.ts'
import { updateWarnings } from './warnings.ts'

/** What is known of an instance. */
export type ModulePlaces = {
  /** Null for what was deleted. */
  placeOf(app: App, webServiceId: string): Promise<{ databaseId: string | null; diskId: string | null }>
  /** Directories of addons within a release, by the facts of its build. */
  addonsOf(releaseFacts: unknown): string[]
}

export const moduleRelease = (places: ModulePlaces): KindRelease => ({
  kind: 'ODOO',
  run: (run) => updateModules(run, places),
  resume,
  undo,
  warnings: updateWarnings,
})

type Place = { spec: DatabaseSpec; diskId: string | null }

async function updateModules(run: Run, places: ModulePlaces): Promise<'done' | 'skipped'> {
  const { app, deployment, log } = run
  const place = await placeOf(run, places)
  const update = (await updateOf(app.db, deployment.id)) ?? (await choose(run, place, places))
  const choice = update.choice as UpdateChoice
  if (choice.type === 'none') {
    await log.say('No module is updated.')
    return 'skipped'
  }
  if (update.stage === 'UPDATED') return 'done'
  run.extend(app.settings.MODULE_UPDATE_TIMEOUT_MS)
  await stopFormer(run)
  if (update.stage === 'UPDATING') {
    await log.say('The update was interrupted. It starts again from the snapshot.')
    // What the lost worker left running must not write any more.
    await runtimePort.use(app).sweep()
    await restoreSnapshots(run, place)
    await noteStage(run, 'CHOSEN')
  }
  await takeSnapshots(run, place)
  await noteStage(run, 'UPDATING')
  await log.say(describeChoice(choice))
  await runOdoo(run, place, choice)
  await noteStage(run, 'UPDATED')
  return 'done'
}

/** Decides what to do while the former release still runs. Throws StepFailed for what cannot be done. */
async function choose(run: Run, { spec, diskId }: Place, places: ModulePlaces): Promise<ModuleUpdate> {
  const { app, deployment } = run
  const { id: deploymentId, organizationId, webServiceId } = deployment
  const facts = await run.facts()
  const modules = await modulesOf(run, facts, places.addonsOf(facts.releaseFacts))
  const request = deployment.request as ModuleUpdateRequest | null
  const chosen = chooseUpdate(request, await modulesIn(run, spec), modules, await liveModules(app.db, webServiceId))
  if ('refused' in chosen) throw failed(chosen.refused, 'Correct the modules, then try again.')
  const fields = { deploymentId, organizationId, webServiceId, databaseId: spec.id, diskId, modules, choice: chosen }
  await fenced(run, (work) => insertUpdate(work.tx, fields))
  return (await updateOf(app.db, deploymentId))!
}

async function modulesOf(run: Run, facts: LaunchFacts, addons: string[]): Promise<ReleaseModule[]> {
  if (addons.length === 0) return []
  const printed: Buffer[] = []
  await runtimePort.use(run.app).runReleaseCommand(
    { ...commandOf(facts), command: listingCommand(addons), env: {} },
    {
      signal: run.signal,
      output: (stream, bytes) => (stream === 'stdout' ? void printed.push(Buffer.from(bytes)) : run.log.sink()(stream, bytes)),
    },
  )
  return parseListing(Buffer.concat(printed).toString())
}

const commandOf = ({ webServiceId: serviceId, deploymentId, releaseDigest: digest, env }: LaunchFacts) => ({
  serviceId,
  deploymentId,
  digest,
  env,
})

const mostModules = 5_000

async function modulesIn(run: Run, spec: DatabaseSpec): Promise<DatabaseModules> {
  const engine = databaseEngine.use(run.app)
  try {
    const [found] = await engine.query<{ isThere: boolean }>(spec, `select to_regclass('public.ir_module_module') is not null as "isThere"`)
    if (!found?.isThere) return null
    const text = `select name::text, state in ('installed', 'to upgrade') as "isInstalled" from public.ir_module_module limit ${mostModules}`
    const rows = await engine.query<{ name: string; isInstalled: boolean }>(spec, text)
    return {
      known: new Set(rows.map(({ name }) => name)),
      installed: new Set(rows.filter(({ isInstalled }) => isInstalled).map(({ name }) => name)),
    }
  } catch (error) {
    throw unreachable(error)
  }
}

/** Runs Odoo to its end, with the files and the disk of an instance. Throws StepFailed unless its exit code and its log are good. */
async function runOdoo(run: Run, { diskId }: Place, choice: Exclude<UpdateChoice, { type: 'none' }>): Promise<void> {
  const { app, log } = run
  const facts = await run.facts()
  const judge = createJudge()
  const sink = log.sink()
  const files = (await kindOf(app, 'ODOO')?.launch(app, facts))?.files
  const request = {
    ...commandOf(facts),
    command: updateCommand(facts.startCommand ?? '', choice),
    disks: facts.disks.filter((disk) => disk.diskId === diskId),
    ...(files ? { files } : {}),
  }
  let exitCode = 0
  try {
    await runtimePort.use(app).runReleaseCommand(request, {
      signal: run.signal,
      output(stream, bytes) {
        void judge.sink(stream, bytes)
        return sink(stream, bytes)
      },
    })
  } catch (error) {
    if (!(error instanceof PortError) || error.code !== 'RELEASE_COMMAND_FAILED') throw unreachable(error)
    exitCode = error.exitCode ?? 1
  }
  await log.endLines()
  const verdict = judge.verdict(exitCode)
  if (verdict.isGood) return log.say('Odoo finished without an error.')
  const what = choice.type === 'install' ? 'The installation' : 'The update'
  throw failed(
    `${what} of ${choice.modules.join(', ')} failed. ${verdict.reason}`,
    'See the log of the deployment for the cause.',
    exitCode,
  )
}

async function takeSnapshots(run: Run, { spec, diskId }: Place): Promise<void> {
  const { app, deployment, log } = run
  await log.say('Taking a snapshot of the database and the files.')
  await fenced(run, ({ tx }) => runSql(tx, sql`update module_update set has_snapshot = true where deployment_id = ${deployment.id}::uuid`))
  const begun = performance.now()
  try {
    await abortable(databaseEngine.use(app).takeSnapshot(spec, deployment.id), run.signal)
    if (diskId !== null) await runtimePort.use(app).snapshotDisk(diskId, deployment.id)
  } catch (error) {
    throw unreachable(error)
  }
  await log.say(`The snapshot took ${Math.ceil(performance.now() - begun)} ms.`)
}

/** Brings back what the snapshots contain. Those that were brought back already, or were never complete, change nothing. */
async function restoreSnapshots({ app, deployment }: Run, { spec, diskId }: Place): Promise<void> {
  await databaseEngine.use(app).restoreSnapshot(spec, deployment.id)
  if (diskId !== null) await runtimePort.use(app).restoreDisk(diskId, deployment.id)
}

/** The deployment was being undone, which only its end may follow. */
async function resume({ app, deployment }: Run): Promise<void> {
  const update = await updateOf(app.db, deployment.id)
  if (update?.stage !== 'RESTORING' && update?.stage !== 'RESTORED') return
  const { code, message, hint, exitCode } = update.failure as Failure
  throw new StepFailed(code, message, { hint: hint ?? undefined, exitCode: exitCode ?? undefined })
}

/** Without the snapshot, the former release would meet a database that fits the new one. */
async function undo(run: Run, failure: Failure | null): Promise<void> {
  const { app, deployment, log } = run
  const update = await updateOf(app.db, deployment.id)
  // The copy of an interrupted snapshot may still go on, and keep the former release out.
  if (update?.stage === 'CHOSEN' && update.hasSnapshot) await removeSnapshots(app, update)
  const isChanged = update?.stage === 'UPDATING' || update?.stage === 'UPDATED' || update?.stage === 'RESTORING'
  const spec = update && (await specOfDatabase(app, update.databaseId))
  if (!update || !isChanged || !spec) return
  const cancelled: Failure = { code: 'INTERNAL', message: 'The deployment was cancelled.', hint: null, exitCode: null }
  if (update.stage !== 'RESTORING') {
    await runSql(
      app.db,
      sql`update module_update set stage = 'RESTORING', failure = ${JSON.stringify(failure ?? cancelled)}::json
          where deployment_id = ${deployment.id}::uuid and exists (select 1 from deployment d
            where d.id = ${deployment.id}::uuid and d.lease_epoch = ${deployment.leaseEpoch})`,
    )
  }
  await log.say('Restoring the database and the files from the snapshot.')
  try {
    await runtimePort.use(app).sweep()
    await restoreSnapshots(run, { spec, diskId: update.diskId })
  } catch (error) {
    await log.say(`The snapshot could not be restored yet. ${(error as Error).message} Quayside tries again.`, 'ERROR')
    throw error
  }
  await setStage(app.db, deployment.id, 'RESTORED')
  await log.say('The database and the files are as they were before the update.')
}

async function placeOf({ app, deployment }: Run, places: ModulePlaces): Promise<Place> {
  const { databaseId, diskId } = await places.placeOf(app, deployment.webServiceId)
  const spec = databaseId === null ? null : await specOfDatabase(app, databaseId)
  if (spec === null) throw failed('The database of the instance was deleted.', 'Restore a backup into a new instance.')
  return { spec, diskId }
}

/** Writes, if this worker still owns the deployment. */
const fenced = (run: Run, change: (work: Parameters<Parameters<Run['write']>[0]>[0]) => Promise<unknown>): Promise<void> =>
  run.write(async (work) => {
    const deployment = await run.set(work, sql`phase = phase`)
    await change(work)
    return deployment
  })

const noteStage = (run: Run, stage: Stage) => fenced(run, ({ tx }) => setStage(tx, run.deployment.id, stage))

const failed = (message: string, hint: string, exitCode?: number) => new StepFailed('MODULE_UPDATE_FAILED', message, { hint, exitCode })

/** What the engine of the database or the runtime said, as the failure of a step. */
function unreachable(error: unknown): unknown {
  if (!(error instanceof PortError) || error.code === 'ARTIFACT_MISSING') return error
  const code: DeploymentFailureCode = error.code === 'NO_CAPACITY' ? 'NO_CAPACITY' : 'MODULE_UPDATE_FAILED'
  return new StepFailed(code, error.message, { hint: 'Check the database of the instance, then deploy again.', cause: error })
}

/** Rejects when the signal aborts, also if the work goes on. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  for (const promise of [work, aborted.promise]) promise.catch(() => {})
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
