/** Whether an instance answers HTTP as visitors will ask it: through the router, before the router sends anybody there. */
import type { App } from '../../../platform/work.ts'
import { type PrivateTarget, type ProbeResult, type RouterAnswer, routerProbePort, runtimePort } from './ports.ts'

export type HealthCheck = {
  host: string
  target: PrivateTarget
  /** Wants 2xx or 3xx there; null: any status at `/`. */
  path: string | null
  timeoutMs: number
}

export type HealthResult = {
  ok: boolean
  /** HTTP status, where one came. */
  status: number | null
  /** Why it isn't good, in words. */
  reason: string | null
  timedOut: boolean
} & Pick<RouterAnswer, 'routerAway'> &
  Pick<ProbeResult, 'otherPorts' | 'otherHosts'>

/** Asks one instance once; where it can't be reached, says where it listens instead. Never throws. */
export async function checkHealth(app: App, { host, target, path, timeoutMs }: HealthCheck): Promise<HealthResult> {
  const { status, error, failure, timedOut, routerAway } = await routerProbePort
    .use(app)
    .request({ host, path: path ?? '/', timeoutMs, target })
  const unwanted = failure === null && path !== null && status !== null && (status < 200 || status >= 400)
  const reason = unwanted ? `answered ${status}` : failure
  const look: HealthResult = {
    ok: reason === null,
    status: failure === null ? status : null,
    reason,
    timedOut,
    routerAway,
    otherPorts: [],
    otherHosts: [],
  }
  if (failure === null || routerAway || target.instanceId === null) return look
  const {
    ok,
    reason: directly,
    otherPorts,
    otherHosts,
  } = await runtimePort.use(app).probe({ instanceId: target.instanceId, path: null, timeoutMs: Math.min(timeoutMs, connectMs) })
  // The router takes a reset that comes with the connection for a refusal.
  if (error === 'no_healthy_instance' && directly !== reason) look.reason = 'the app closes each connection immediately'
  return ok ? look : { ...look, otherPorts, otherHosts }
}

/** Enough to connect on one machine. */
const connectMs = 1_000
