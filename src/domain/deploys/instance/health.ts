/** Health checks of instances over HTTP, through the router like visitors' requests, before the instances are routed. */
import type { App } from '../../../platform/work.ts'
import { type PrivateTarget, type ProbeResult, type RouterAnswer, routerProbePort, runtimePort } from './ports.ts'

/** A request that shows whether an instance is ready. */
export type Check = {
  /** Null to accept any status of `/`. */
  path: string | null
  /** Status that the answer must have. Omitted: 2xx or 3xx. */
  status?: number
  /** Whether a WebSocket is asked for, which the instance must accept. */
  upgrade?: true
}

export type HealthCheck = Check & { host: string; target: PrivateTarget; timeoutMs: number }

export type HealthResult = {
  /** What was asked. */
  check: Check
  ok: boolean
  /** HTTP status. Null without a response. */
  status: number | null
  /** Reason for the failure. */
  reason: string | null
  timedOut: boolean
} & Pick<RouterAnswer, 'routerAway'> &
  Pick<ProbeResult, 'otherPorts' | 'otherHosts'>

/** Checks one instance once. If it cannot be reached, reports where it listens instead. Never throws. */
export async function checkHealth(app: App, { host, target, timeoutMs, ...check }: HealthCheck): Promise<HealthResult> {
  const { status, error, failure, timedOut, routerAway } = await routerProbePort
    .use(app)
    .request({ host, path: check.path ?? '/', timeoutMs, target, ...(check.upgrade ? { upgrade: true } : {}) })
  const unwanted = failure === null && status !== null && !isWanted(check, status)
  const reason = unwanted ? `answered ${status}` : failure
  const look: HealthResult = {
    check,
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

function isWanted({ path, status: wanted, upgrade }: Check, status: number): boolean {
  if (upgrade) return status === 101
  return wanted === undefined ? path === null || (status >= 200 && status < 400) : status === wanted
}

/** A check as text, such as `GET /health`. */
export const nameOfCheck = ({ path, upgrade }: Check): string => `${upgrade ? 'WebSocket' : 'GET'} ${path ?? '/'}`

/** Timeout for connecting to an instance. */
const connectMs = 1_000
