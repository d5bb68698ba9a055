/** Tells the router where requests go, and hears from it what is in flight. Every process tries to hold the port; one does. */
import type { DesiredState, WebServiceKind } from '../../../generated/prisma/client.ts'
import type { Chore } from '../../../platform/claim.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import type { Route } from './ports.ts'
import { routerPort } from './provided.ts'
import { takeRouter } from './router-port.ts'

type RouteRow = {
  id: string
  slug: string
  kind: WebServiceKind
  desiredState: DesiredState
  deploymentId: string | null
  digest: string | null
  singlePage: boolean
  /** A switch is under way: what it routes to counts, whatever the service was before. */
  switching: boolean
  instanceIds: string[]
}

/** What one process remembers as the router; all of it can be lost without harm. */
type Memory = {
  holds: boolean
  /** Instances wait for their last requests. */
  draining: boolean
  /** The load as it was last written. */
  noted: string | null
}

const memories = new WeakMap<App, Memory>()
const memoryOf = (app: App): Memory => {
  const memory = memories.get(app) ?? { holds: false, draining: false, noted: null }
  memories.set(app, memory)
  return memory
}

const watchMs = 500

export const keepRoutes: Chore = {
  name: 'keep routes',
  topic: 'routes',
  everyMs: 10_000,
  dueInMs: (app) => (memoryOf(app).holds && !memoryOf(app).draining ? null : watchMs),
  async run(app) {
    const memory = memoryOf(app)
    memory.holds = await takeRouter(app)
    if (!memory.holds) return
    const draining = await rows<{ id: string }>(
      app.db.prisma,
      sql`select id from instance where draining_since is not null and drained_at is null`,
    )
    memory.draining = draining.length > 0
    routerPort.use(app).apply((await readRoutes(app)).map((service) => routeOf(service, app.settings.ROUTER_DOMAIN)))
    await noteDrained(
      app,
      draining.map((instance) => instance.id),
    )
  },
}

/** Writes what is in flight at each instance, for the reconciler; costs no statement while that stays as it is. */
export const noteLoad: Chore = {
  name: 'note load',
  topic: null,
  everyMs: watchMs,
  async run(app) {
    const memory = memoryOf(app)
    const busy = memory.holds ? busyInstances(app) : []
    const load = memory.holds ? JSON.stringify(busy) : null
    if (load === memory.noted) return
    if (load !== null) await writeLoad(app, busy)
    memory.noted = load
  },
}

const writeLoad = (app: App, busy: { instanceId: string; inFlight: number }[]): Promise<number> =>
  run(
    app.db.prisma,
    sql`update instance i set in_flight = coalesce(l.in_flight, 0)
          from instance j left join unnest(${busy.map((item) => item.instanceId)}::uuid[], ${busy.map((item) => item.inFlight)}::int[]) as l(id, in_flight)
            on l.id = j.id
          where j.id = i.id and i.in_flight <> coalesce(l.in_flight, 0)`,
  )

const busyInstances = (app: App) =>
  routerPort
    .use(app)
    .load()
    .filter((item) => item.inFlight > 0)

const readRoutes = (app: App): Promise<RouteRow[]> =>
  rows<RouteRow>(
    app.db.prisma,
    sql`select s.id, s.slug, coalesce(d.settings->>'kind', s.kind::text) as kind, s.desired_state, d.id as deployment_id, d.release_digest as digest,
               coalesce((d.settings->>'singlePage')::boolean, false) as single_page,
               coalesce(d.status in ('RUNNING', 'CANCELLING'), false) as switching,
               coalesce((select array_agg(i.id::text order by i.id) from instance i where i.web_service_id = s.id and i.routed), '{}') as instance_ids
        from web_service s join service_runtime rt on rt.web_service_id = s.id left join deployment d on d.id = rt.routed_deployment_id
        where s.kind <> 'WORKER' and s.desired_state <> 'DELETED'`,
  )

export function routeOf(service: RouteRow, domain: string): Route {
  const route = { host: hostOf(service, domain), serviceId: encodeId('WebService', service.id) }
  const nothing = { ...route, digest: null, deploymentId: null }
  if (service.deploymentId === null) return { ...nothing, target: { type: 'unavailable', error: 'service_not_deployed' } }
  const live = { ...route, digest: service.digest, deploymentId: encodeId('Deployment', service.deploymentId) }
  if (service.desiredState === 'STOPPED' && !service.switching)
    return { ...nothing, target: { type: 'unavailable', error: 'service_stopped' } }
  if (service.kind === 'STATIC_SITE') return { ...live, target: { type: 'static', singlePage: service.singlePage } }
  return { ...live, target: { type: 'instances', instanceIds: service.instanceIds } }
}

/** `draining` were known before the table was applied, so no new request reaches them: those with nothing in flight are drained. */
async function noteDrained(app: App, draining: string[]): Promise<void> {
  const busy = new Set(busyInstances(app).map((item) => item.instanceId))
  const empty = draining.filter((id) => !busy.has(id))
  if (empty.length === 0) return
  await run(app.db.prisma, sql`update instance set drained_at = app_now() where id = any(${empty}::uuid[]) and drained_at is null`)
  app.wake.notify('instances')
}
