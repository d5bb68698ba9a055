/** Checks whether a new release is healthy, before and right after traffic switches to it. If it is not, reports the reason and a hint. */
import type { Instance } from '../../../generated/prisma/client.ts'
import { pause } from '../../../platform/clock.ts'
import { encodeId } from '../../../platform/id.ts'
import { hostOf, serviceOf } from '../../apps/web-service/index.ts'
import { type Check, checkHealth, type HealthResult, instancesOf, kindOf, nameOfCheck, runtimePort } from '../instance/index.ts'
import { checkTimeoutMs, DeadlineExceeded, type Run, StepFailed } from './run.ts'

const goodProbes = 3

/** Waits until every instance is healthy: three successful checks in a row, or for a worker, some time without an exit. */
export async function verify(run: Run): Promise<'done' | 'skipped'> {
  const { app, deployment, log } = run
  const settings = run.settings()
  if (settings.kind === 'STATIC_SITE') return 'skipped'
  const instances = await instancesOf(app.db, deployment.id)
  await log.say(
    settings.kind === 'WORKER'
      ? `Watching ${instances.length} instance(s) for ${app.settings.WORKER_VERIFY_MS} ms to verify that they keep running.`
      : `Checking the health of ${instances.length} instance(s) with GET ${settings.healthCheckPath ?? '/. Any response counts as healthy'}.`,
  )
  const ask = settings.kind === 'WORKER' ? null : await checkerOf(run)
  const stop = new AbortController()
  const signal = AbortSignal.any([run.signal, stop.signal])
  try {
    await Promise.all(instances.map((instance) => (ask ? answers(run, instance, ask, signal) : untilSettled(run, instance, signal))))
  } finally {
    stop.abort(run.signal.reason)
  }
  await log.say('All instances are healthy.')
  return 'done'
}

/**
 * Checks each instance, or the files of a static site, once, or as often as its kind allows a check to fail. Throws SWITCH_FAILED or
 * START_FAILED if one is not healthy.
 */
export async function requireHealthy(run: Run, instances: readonly Instance[], timeoutMs: number): Promise<void> {
  const ask = await checkerOf(run)
  const failuresAllowed = kindOf(run.app, run.settings().kind)?.failuresAllowed ?? 1
  await Promise.all(
    (instances.length > 0 ? instances : [null]).map(async (instance) => {
      if (instance) await requireRunning(run, instance)
      let look = await ask(instance?.id ?? null, timeoutMs)
      for (let failed = 1; !look.ok && (look.routerAway || failed < failuresAllowed); failed += look.routerAway ? 0 : 1) {
        if (instance) await requireRunning(run, instance)
        await pause(100, run.signal)
        run.signal.throwIfAborted()
        look = await ask(instance?.id ?? null, timeoutMs)
      }
      if (look.ok) return
      // If it has exited in the meantime, its exit says more.
      if (instance) await requireRunning(run, instance)
      throw new StepFailed('SWITCH_FAILED', `The new release stopped answering: ${nameOfCheck(look.check)}: ${look.reason}.`, {
        hint: hintFor(look),
      })
    }),
  )
}

type Ask = (instanceId: string | null, timeoutMs: number) => Promise<HealthResult>

async function checkerOf(run: Run): Promise<Ask> {
  const { app, deployment } = run
  const service = await serviceOf(app.db, deployment)
  const { kind, healthCheckPath, singlePage, extra = {} } = run.settings()
  const extension = kindOf(app, kind)
  const host = hostOf(service, app.settings.ROUTER_DOMAIN)
  const target = {
    serviceId: encodeId('WebService', service.id),
    deploymentId: encodeId('Deployment', deployment.id),
    digest: deployment.releaseDigest,
    singlePage,
    ...(extension ? { rules: extension.rules } : {}),
  }
  const others = extension?.checks(extra) ?? []
  return async (instanceId, timeoutMs) => {
    const ask = (check: Check) => checkHealth(app, { ...check, host, target: { ...target, instanceId }, timeoutMs })
    let look = await ask({ path: healthCheckPath })
    for (const check of others) if (look.ok) look = await ask(check)
    return look
  }
}

async function answers(run: Run, instance: Instance, ask: Ask, signal: AbortSignal): Promise<void> {
  const name = encodeId('Instance', instance.id)
  /** The last failed check. */
  let last: (HealthResult & { isCut: boolean }) | null = null
  let reported = ''
  for (let good = 0; good < goodProbes; ) {
    if (signal.aborted) throw deadlinePassed(run, name, signal.reason, last)
    await requireRunning(run, instance)
    const timeoutMs = run.probeTimeoutMs()
    const askedAt = performance.now()
    const look: HealthResult = await ask(instance.id, timeoutMs)
    if (look.ok) run.slowestAnswerMs = Math.max(run.slowestAnswerMs, performance.now() - askedAt)
    good = look.ok ? good + 1 : 0
    // A check that the deadline cut short says less than an earlier one.
    const isCut = look.timedOut && timeoutMs < checkTimeoutMs
    if (!look.ok && (!isCut || last === null)) last = { ...look, isCut }
    const seen = look.ok || isCut ? '' : `${name}: ${nameOfCheck(look.check)}: ${look.reason}${elsewhere(look)}`
    if (seen !== '' && seen !== reported) await run.log.say(seen)
    if (seen !== '') reported = seen
    if (good < goodProbes) await pause(run.app.settings.PROBE_INTERVAL_MS, signal)
  }
}

/** The error of the deadline, with the result of the last check if there is one. */
function deadlinePassed(run: Run, name: string, reason: unknown, last: (HealthResult & { isCut: boolean }) | null): unknown {
  if (!last || !(reason instanceof DeadlineExceeded)) return reason
  const { healthTimeoutMs } = run.settings()
  const seen = last.isCut ? 'no complete response before the deadline' : last.reason
  return new StepFailed(
    'HEALTH_TIMEOUT',
    `The new release did not become healthy within ${healthTimeoutMs} ms (healthTimeoutMs): ${name}: ${nameOfCheck(last.check)}: ${seen}.`,
    { hint: hintFor(last) },
  )
}

const elsewhere = ({ otherPorts, otherHosts }: HealthResult): string => {
  if (otherPorts.length > 0) return `; the app listens on port ${otherPorts.join(', ')} instead of the port in the variable PORT`
  return otherHosts.length > 0
    ? `; the app listens only on ${otherHosts.join(', ')}, but requests arrive at the address in the variable HOST`
    : ''
}

/** A hint for the result of a check. */
function hintFor({ check, status, otherPorts, otherHosts, timedOut, reason }: HealthResult): string {
  const { path } = check
  if (check.upgrade && status !== null) return `The app runs, but does not accept WebSockets at ${path} yet. See its log for the cause.`
  if (otherPorts.length > 0) {
    return `The app listens on port ${otherPorts.join(', ')} instead of the port in the variable PORT. Make it listen on PORT.`
  }
  if (otherHosts.length > 0) {
    return `The app listens only on ${otherHosts.join(', ')}. Make it listen on the address in the variable HOST, or on 0.0.0.0.`
  }
  if (status === 404 || status === 405 || status === 410) {
    return `The app runs, but has no page at ${path}. Set healthCheckPath to a path that answers with 2xx or 3xx. With null, any response at / counts as healthy.`
  }
  if (status === 401 || status === 403) {
    return `The app runs, but ${path} requires a login. Set healthCheckPath to a public page.`
  }
  if (status !== null)
    return `The app runs, but ${path} reports that it is not healthy: only 2xx and 3xx count as healthy. See its log for the cause.`
  if (timedOut && reason?.startsWith('the response did not end')) {
    return `The app begins its response to GET ${path ?? '/'}, but does not end it. Set healthCheckPath to a path whose response ends.`
  }
  if (timedOut) {
    return `The app accepts the connection, but does not answer GET ${path ?? '/'} in time. See its log for the cause. If it only needs more time to start, increase healthTimeoutMs.`
  }
  if (reason === 'connection refused') {
    return 'The app does not listen yet. It must listen on the port in the variable PORT. If it needs more time to start, increase healthTimeoutMs.'
  }
  return `The app accepts the connection, but does not send a complete HTTP response to GET ${path ?? '/'}. See its log for the cause.`
}

async function untilSettled(run: Run, instance: Instance, signal: AbortSignal): Promise<void> {
  const until = performance.now() + run.app.settings.WORKER_VERIFY_MS
  while (performance.now() < until) {
    if (signal.aborted) throw signal.reason
    await requireRunning(run, instance)
    await pause(Math.min(200, run.app.settings.WORKER_VERIFY_MS), signal)
  }
  await requireRunning(run, instance)
}

export async function requireRunning(run: Run, instance: Instance): Promise<void> {
  const [seen] = await runtimePort.use(run.app).observe([instance.id])
  if (seen?.state === 'running') return
  const how =
    seen?.state === 'exited'
      ? seen.signal
        ? `was terminated by ${seen.signal}`
        : `exited with code ${seen.exitCode ?? 'unknown'}`
      : 'no longer exists'
  throw new StepFailed('START_FAILED', `Instance ${encodeId('Instance', instance.id)} ${how} before it became healthy.`, {
    hint: 'See the service log for its output.',
    exitCode: seen?.state === 'exited' ? (seen.exitCode ?? undefined) : undefined,
  })
}
