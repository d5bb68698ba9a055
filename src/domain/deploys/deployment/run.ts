/**
 * A run of one deployment by one worker: its log, deadlines and cancellation, with every write fenced by the worker's epoch. It knows
 * nothing about what the steps do.
 */
import type { Deployment, DeploymentFailureCode, DeploymentPhase, DeploymentStatus, StepStatus } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { outageOf, row, run as runSql, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { createFailureLog, reportFailure } from '../../../platform/failure-log.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { pinnedSettings, repositoryCredential, type ServiceSettings, serviceOf } from '../../apps/web-service/index.ts'
import {
  activeStatuses,
  countRedactions,
  type LaunchFacts,
  lastOutput,
  launchFacts,
  platformCredentials,
  readSnapshot,
  secretValuesOf,
} from '../instance/index.ts'
import {
  countingRedactor,
  createRedactor,
  ensureDeploymentLog,
  type Hits,
  type LogWriter,
  openLogWriter,
  type SecretValue,
} from '../log/index.ts'
import { allDeploymentEvents } from './events.ts'
import type { Failure } from './model.ts'
import type { RepositoryRef } from './ports.ts'
import { compareAndSet, end } from './transition.ts'

/** Maximum time of a single health check, unless the deadline of the step is earlier. */
export const checkTimeoutMs = 5_000

class Cancelled extends Error {}
/** The deadline of the current step has passed. */
export class DeadlineExceeded extends Error {}

/** A failure of a step with a public reason. */
export class StepFailed extends PortError<DeploymentFailureCode> {}

export type Run = {
  app: App
  /** As it was last written. */
  deployment: Deployment
  /** As it was when this worker took the deployment. */
  repository: (Omit<RepositoryRef, 'sshKey'> & { sshKeyId: string | null }) | null
  log: LogWriter
  /** Aborts the current step: at its deadline, on cancellation, loss of the lease, or when the process stops. */
  signal: AbortSignal
  /** Moves the deadline of the current step. */
  extend(ms: number): void
  /** Maximum time of a single health check, within the deadline of the current step. */
  probeTimeoutMs(): number
  /** Whether a lost worker had already started this step. */
  resumed: boolean
  /** Slowest healthy response in VERIFY. 0 if another worker ran it. */
  slowestAnswerMs: number
  /** As pinned. Only after PREPARE. */
  settings(): ServiceSettings
  facts(): Promise<LaunchFacts>
  /** Redacts the secret values of the snapshot in the log from now on. */
  redactSnapshot(): Promise<void>
  /** Runs a change in its own transaction, if this worker still owns the deployment. */
  write(change: (work: Work) => Promise<Deployment | void>): Promise<void>
  /** Changes the row, fenced. */
  set(work: Work, set: ReturnType<typeof sql>): Promise<Deployment>
  step(phase: DeploymentPhase, work: (run: Run) => Promise<'done' | 'skipped'>): Promise<void>
  /** `putBack` restores what the deployment has changed so far. `failure`: null for a cancelled deployment. */
  undo(error: unknown, putBack: (run: Run, failure: Failure | null) => Promise<void>): Promise<void>
  close(): Promise<void>
}

export async function openRun(app: App, claimed: Deployment, lost: AbortSignal): Promise<Run> {
  const db = app.db
  const caller = systemCaller(claimed.organizationId)
  const service = await serviceOf(db, claimed)
  const credential = await repositoryCredential(app, db, service)
  const logRow = await ensureDeploymentLog(db, { ...claimed, deploymentId: claimed.id })
  const platform = [...(credential ? credentialValues(credential) : []), ...platformCredentials(app)]
  const hits: Hits = new Map()
  let present = createRedactor(platform)
  const log = openLogWriter(app, { logId: logRow.id, redact: countingRedactor(() => present, hits) })
  /** Called when PREPARE has taken the snapshot, and at the start for a worker that takes over a deployment. */
  const redactSnapshot = async () => {
    const pinned = await throughOutages(app, () => readSnapshot({ app, tx: db }, claimed.id), lost)
    if (pinned) present = createRedactor([...secretValuesOf(pinned), ...platform])
  }
  await redactSnapshot()

  const cancelled = new AbortController()
  const lookForCancel = async () => {
    const now = await row<{ status: string }>(db, sql`select status from deployment where id = ${claimed.id}::uuid`)
    if (now?.status === 'CANCELLING' && run.deployment.phase !== 'SWITCH') cancelled.abort(new Cancelled())
  }
  const checks = createFailureLog(
    app,
    { failed: 'a deployment could not be checked for cancellation', recovered: 'a deployment is checked for cancellation again' },
    'warn',
  )
  const check = () =>
    void lookForCancel().then(
      () => checks.succeeded(),
      (error) => void checks.failed(error, { deploymentId: claimed.id }),
    )
  const off = app.wake.on(`deployment:${claimed.id}`, check)
  const poll = setInterval(check, 1_000)

  let deadlineAt = Number.POSITIVE_INFINITY
  const run: Run = {
    app,
    deployment: claimed,
    repository: service.repositoryUrl ? { url: service.repositoryUrl, credential, sshKeyId: service.sshKeyId } : null,
    log,
    signal: lost,
    extend: () => undefined,
    probeTimeoutMs: () => Math.max(1, Math.min(checkTimeoutMs, Math.ceil(deadlineAt - performance.now()))),
    resumed: false,
    slowestAnswerMs: 0,
    settings: () => pinnedSettings(app, run.deployment.settings),
    facts: () => throughOutages(app, () => launchFacts(app, claimed.id), lost),
    redactSnapshot,
    write: async (change) => {
      // If an attempt succeeded and only its response was lost, the repeated change fails at the fence.
      const changed = await throughOutages(app, () => transact(app, caller, { emits: allDeploymentEvents }, change), lost)
      if (changed) run.deployment = changed
    },
    set: (work, set) => compareAndSet(work, claimed.id, ['RUNNING'], set, claimed.leaseEpoch),

    async step(phase, work) {
      lost.throwIfAborted()
      if (claimed.status === 'CANCELLING') throw new Cancelled()
      run.resumed = claimed.phase === phase
      await run.write(async (tx) => {
        await stepIs(tx, phase, 'RUNNING')
        return run.set(tx, sql`phase = ${phase}::deployment_phase`)
      })
      const deadline = new AbortController()
      let timer: NodeJS.Timeout | undefined
      deadlineAt = performance.now()
      run.extend = (ms) => {
        deadlineAt += ms
        clearTimeout(timer)
        timer = setTimeout(() => deadline.abort(new DeadlineExceeded()), Math.ceil(deadlineAt - performance.now()))
      }
      run.extend(deadlineOf(app, phase, run.deployment.settings === null ? null : run.settings()))
      run.signal = AbortSignal.any([lost, cancelled.signal, deadline.signal])
      try {
        const result = await work(run)
        await log.endLines()
        run.signal.throwIfAborted()
        // SWITCH ends its step itself, in the transaction in which the deployment goes live.
        if (phase === 'SWITCH') return
        await run.write(async (tx) => {
          await stepIs(tx, phase, result === 'skipped' ? 'SKIPPED' : 'SUCCEEDED')
          return run.set(tx, sql`phase = phase`)
        })
      } finally {
        clearTimeout(timer)
      }
    },

    async undo(error, putBack) {
      const look = () =>
        row<{ status: DeploymentStatus; leaseEpoch: number; deleted: boolean }>(
          db,
          sql`select d.status, d.lease_epoch, s.desired_state = 'DELETED' as deleted
              from deployment d join web_service s on s.id = d.web_service_id where d.id = ${claimed.id}::uuid`,
        )
      const now = await throughOutages(app, look, lost)
      const ours = now?.leaseEpoch === claimed.leaseEpoch && activeStatuses.has(now.status)
      // The lease was lost, the process is stopping, or the database was unavailable: the next worker continues.
      if (!now || !ours || lost.aborted || outageOf(error) === 'database') return release()
      const phase = run.deployment.phase ?? 'PREPARE'
      const failure = now.status === 'CANCELLING' ? null : failureOf(app, error, phase)
      await putBack(run, failure)
      await logEnd(phase, failure)
      const deleted: Failure = { code: 'SERVICE_DELETED', message: 'The service was deleted.', hint: null, exitCode: null }
      const told = failure ?? (now.deleted ? deleted : null)
      await run.write(async (work) => {
        const ended = await end(
          work,
          claimed.id,
          [now.status],
          { status: failure ? 'FAILED' : 'CANCELLED', failure: told ? { ...told, phase } : undefined },
          claimed.leaseEpoch,
        )
        const former: Deployment = { ...claimed, status: now.status }
        writeAudit(work, {
          action: failure ? 'deployment.fail' : 'deployment.cancel',
          outcome: failure ? 'FAILED' : 'SUCCEEDED',
          target: { type: 'Deployment', before: former, after: ended },
          details: failure ? { code: failure.code } : {},
        })
        return ended
      })
    },

    async close() {
      off()
      clearInterval(poll)
      await log.close().catch(() => {})
      await countRedactions(db, claimed.id, hits).catch((error) =>
        reportFailure(app, error, 'the redactions of a deployment log could not be counted', {}, 'warn'),
      )
    },
  }

  /** Copies the last output of the instances, which shows why they failed, to the log of the deployment. */
  const logLastOutput = async () => {
    const lines = await lastOutput(app, claimed)
    if (lines.length > 0) await log.say('Last output of the new instances:')
    for (const line of lines) await log.sink(line.instanceId)(line.stream, Buffer.from(`${line.message}\n`))
  }

  /** Writes the last lines of the log. A failure does not stop the deployment. */
  const logEnd = async (phase: DeploymentPhase, failure: Failure | null) => {
    try {
      await log.endLines()
      if (!failure) await log.say('The deployment was cancelled.')
      else {
        if (failure.code === 'START_FAILED' || failure.code === 'HEALTH_TIMEOUT') await logLastOutput()
        await log.say(`${phase} failed (${failure.code}): ${failure.message}`, 'ERROR')
        if (failure.hint) await log.say(failure.hint)
      }
      await log.close()
    } catch (error) {
      reportFailure(app, error, 'the last lines of a deployment log could not be written', { deploymentId: claimed.id }, 'warn')
    }
  }

  /** Releases the lease, so that another worker can take over at once. */
  const release = async () => {
    await throughOutages(app, () => releaseDeployment(app, claimed), lost)
    app.wake.notify('deployments')
  }

  const stepIs = (work: Work, phase: DeploymentPhase, status: StepStatus) =>
    runSql(
      work.tx,
      sql`update deployment_step set status = ${status}::step_status,
            started_at = case when ${status} = 'RUNNING' then app_now() else started_at end,
            finished_at = case when ${status} = 'RUNNING' then null else app_now() end,
            exit_code = case when ${status} = 'SUCCEEDED' and ${phase} in ('BUILD', 'RELEASE') then 0 end
          where deployment_id = ${claimed.id}::uuid and phase = ${phase}::deployment_phase`,
    )

  await lookForCancel()
  return run
}

/** Ends a worker's lease early. Does nothing if another worker has it. */
export const releaseDeployment = (app: App, { id, leaseEpoch }: Pick<Deployment, 'id' | 'leaseEpoch'>): Promise<number> =>
  runSql(
    app.db,
    sql`update deployment set lease_owner = null, lease_expires_at = null
        where id = ${id}::uuid and lease_epoch = ${leaseEpoch} and status in ${activeStatuses.list}`,
  )

const credentialValues = ({ password, username }: { password: string; username: string }): SecretValue[] =>
  [password, username].filter((value) => value.length >= 8).map((value) => ({ key: 'repository', value }))

function deadlineOf(app: App, phase: DeploymentPhase, settings: ServiceSettings | null): number {
  const { PREPARE_TIMEOUT_MS, BUILD_TIMEOUT_MS, RELEASE_TIMEOUT_MS, START_TIMEOUT_MS, VERIFY_TIMEOUT_MS, SWITCH_TIMEOUT_MS } = app.settings
  const limits: Record<DeploymentPhase, number> = {
    PREPARE: PREPARE_TIMEOUT_MS,
    BUILD: settings?.buildTimeoutMs ?? BUILD_TIMEOUT_MS,
    RELEASE: RELEASE_TIMEOUT_MS,
    START: START_TIMEOUT_MS,
    VERIFY: settings?.healthTimeoutMs ?? VERIFY_TIMEOUT_MS,
    SWITCH: SWITCH_TIMEOUT_MS,
  }
  return limits[phase]
}

/** The public failure for an error in a step. Only errors with a public text, PortErrors, are shown as they are. */
function failureOf(app: App, error: unknown, phase: DeploymentPhase): Failure {
  if (error instanceof PortError) {
    return { code: error.code as DeploymentFailureCode, message: error.message, hint: error.hint ?? null, exitCode: error.exitCode ?? null }
  }
  const plain = (code: DeploymentFailureCode, message: string, hint: string | null = null): Failure => ({
    code,
    message,
    hint,
    exitCode: null,
  })
  if (error instanceof DeadlineExceeded) {
    if (phase === 'BUILD')
      return plain(
        'BUILD_TIMEOUT',
        'The build did not finish before its deadline.',
        'To allow more time, increase buildTimeoutMs of the service.',
      )
    if (phase === 'VERIFY')
      return plain(
        'HEALTH_TIMEOUT',
        'The new release did not become healthy before its deadline.',
        'To allow more time, increase healthTimeoutMs of the service.',
      )
    if (phase === 'SWITCH') return plain('SWITCH_FAILED', 'The router did not serve the new release before the deadline.')
    return plain('PHASE_TIMEOUT', `Phase ${phase} did not finish before its deadline.`)
  }
  if (app.db.outages.note(error) === 'disk') {
    return plain(
      'NO_CAPACITY',
      'A disk of the server is full.',
      'Free space on the disks of the database and of DATA_DIR, then deploy again.',
    )
  }
  app.log.error({ err: error, phase }, 'a deployment step failed unexpectedly')
  return plain('INTERNAL', 'An internal error occurred.', 'See the server log for details.')
}
