/** Health checks of instances over HTTP, through the router like visitors' requests, before the instances are routed. */
import type { App } from '../../../platform/work.ts'
import { type PrivateTarget, type ProbeResult, type RouterAnswer, routerProbePort, runtimePort } from './ports.ts'

export type HealthCheck = {
  host: string
  target: PrivateTarget
  /** Path that must return 2xx or 3xx. Null to accept any status of `/`. */
  path: string | null
  timeoutMs: number
}

export type HealthResult = {
  ok: boolean
  /** HTTP status. Null without a response. */
  status: number | null
  /** Reason for the failure. */
  reason: string | null
  timedOut: boolean
} & Pick<RouterAnswer, 'routerAway'> &
  Pick<ProbeResult, 'otherPorts' | 'otherHosts'>

/** Checks one instance once. If it cannot be reached, reports where it listens instead. Never throws. */
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
  // The router treats an immediate reset as a refused connection.
  if (error === 'no_healthy_instance' && directly !== reason) look.reason = 'the app closes each connection immediately'
  return ok ? look : { ...look, otherPorts, otherHosts }
}

/** Timeout for connecting to an instance. */
const connectMs = 1_000
