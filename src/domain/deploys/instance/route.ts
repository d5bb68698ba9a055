/**
 * Keeps the router's table up to date, and publishes the state of this process's router to the others. Every process with jobs accepts
 * requests on the same port; each has the whole table and reads its changes.
 */
import type { DesiredState, WebServiceKind } from '../../../generated/prisma/client.ts'
import type { Chore } from '../../../platform/claim.ts'
import { empty, row, rows, run, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import { activeStatuses } from './deployment-status.ts'
import { kindOf } from './kind.ts'
import { type PathRule, type Route, routerPort } from './ports.ts'
import { type RouterState, registerRouter, takeRouter } from './router-port.ts'

type RouteRow = {
  id: string
  slug: string
  kind: WebServiceKind
  desiredState: DesiredState
  deploymentId: string | null
  digest: string | null
  singlePage: boolean
  /** Whether traffic is switching: the new target applies even if the service was stopped. */
  switching: boolean
  /** Whether requests wait if there is no instance. */
  held: boolean
  instanceIds: string[]
  /** Its custom domains. */
  domains: string[]
  /** The one that the others redirect to. A failed one is no longer worth it. */
  primary: string | null
}

/** What one process remembers as a router; all of it can be lost without harm. */
type Memory = {
  holds: boolean
  /** Whether instances are draining. */
  draining: boolean
  /** The snapshot of the last read; null before the first. */
  snapshot: string | null
  wholeAt: number
  /** State that was last published to the other processes. */
  published: string
  /** Instances that had requests in flight then. */
  busy: Set<string>
  publishedAt: number
  released: string[]
}

const memoryOf = perApp(
  (): Memory => ({
    holds: false,
    draining: false,
    snapshot: null,
    wholeAt: 0,
    published: '',
    busy: new Set(),
    publishedAt: 0,
    released: [],
  }),
)

const watchMs = 500
/** A whole read now and then finds what no trigger could record: rows that were written past them. */
const wholeEveryMs = 10 * 60_000
/** Records of changes are kept for longer than the table of any router is behind. */
const keptChangesMs = 10 * 60_000

export const keepRoutes: Chore = {
  name: 'keep routes',
  topic: 'routes',
  everyMs: 10_000,
  dueInMs: (app) => (memoryOf(app).holds && !memoryOf(app).draining ? null : watchMs),
  run: openRouter,
}

/** Listens as a router if possible, and updates its table. */
export async function openRouter(app: App): Promise<void> {
  const memory = memoryOf(app)
  const held = memory.holds && routerPort.use(app).listens
  memory.holds = await takeRouter(app)
  if (!memory.holds) return
  if (!held) memory.snapshot = null
  // Published before the table is read: from now on, an instance is drained only when this process has released it, too.
  if (!held) await publishState(app, true)
  const draining = await rows<{ id: string }>(app.db, sql`select id from instance where draining_since is not null and drained_at is null`)
  memory.draining = draining.length > 0
  const now = app.clock.elapsedMs()
  const isWhole = memory.snapshot === null || now - memory.wholeAt > wholeEveryMs
  const read = await readRoutes(app, isWhole ? null : memory.snapshot)
  const routes = read.services.map(({ id, service }) => ({
    serviceId: encodeId('WebService', id),
    route: service && routeOf(service, app.settings.ROUTER_DOMAIN, kindOf(app, service.kind)?.rules),
  }))
  if (isWhole) routerPort.use(app).apply(routes.flatMap(({ route }) => route ?? []))
  else if (routes.length > 0) routerPort.use(app).change(routes)
  if (isWhole) memory.wholeAt = now
  memory.snapshot = read.snapshot
  // They were draining before the table was read, so this process sends them no new requests.
  const busy = new Set(busyInstances(app).map((item) => item.instanceId))
  memory.released = draining.map(({ id }) => id).filter((id) => !busy.has(id))
  await publishState(app, routes.length > 0)
  if (memory.released.length > 0) await noteDrained(app, memory.released)
  if (isWhole) await run(app.db, sql`delete from route_change where created_at < app_now() - ${keptChangesMs} * interval '1 millisecond'`)
}

/** Publishes the requests in flight. Runs a statement only after a change, or to renew the registration. */
export const noteLoad: Chore = {
  name: 'note load',
  topic: null,
  everyMs: watchMs,
  async run(app) {
    if (memoryOf(app).holds) await publishState(app, false)
  },
}

/** `changed`: the table has changed, and a deployment may be waiting for it. */
async function publishState(app: App, changed: boolean): Promise<void> {
  const memory = memoryOf(app)
  const load = Object.fromEntries(busyInstances(app).map(({ instanceId, inFlight }) => [instanceId, inFlight]))
  const notes: RouterState = { snapshot: memory.snapshot, load, released: memory.released }
  const now = app.clock.elapsedMs()
  const published = JSON.stringify([load, memory.released])
  if (!changed && published === memory.published && now - memory.publishedAt < app.settings.WORKER_LEASE_MS / 5) return
  await registerRouter(app, notes)
  memory.published = published
  memory.publishedAt = now
  // The reconciler may have to add instances.
  if (Object.keys(load).some((id) => !memory.busy.has(id))) app.wake.notify('instances')
  memory.busy = new Set(Object.keys(load))
  if (changed) app.wake.notify('routed')
}

const busyInstances = (app: App) =>
  routerPort
    .use(app)
    .load()
    .filter((item) => item.inFlight > 0)

type Read = { snapshot: string; services: { id: string; service: RouteRow | null }[] }

/**
 * Services whose route may have changed since a snapshot (null: all services), with their current route or null. The rows are read after
 * the returned snapshot is taken, so a change may be read twice but is never missed.
 */
async function readRoutes(app: App, since: string | null): Promise<Read> {
  const { snapshot, ids } = (await row<{ snapshot: string; ids: string[] }>(
    app.db,
    since === null
      ? sql`select pg_current_snapshot()::text as snapshot, '{}'::text[] as ids`
      : sql`select pg_current_snapshot()::text as snapshot, array(
              select distinct web_service_id::text from route_change where xid >= pg_snapshot_xmin(${since}::pg_snapshot)::text::bigint
                and not pg_visible_in_snapshot(xid::text::xid8, ${since}::pg_snapshot)) as ids`,
  ))!
  if (since !== null && ids.length === 0) return { snapshot, services: [] }
  const found = await rows<RouteRow>(
    app.db,
    sql`select s.id, s.slug, coalesce(d.settings->>'kind', s.kind::text) as kind, s.desired_state, d.id as deployment_id, d.release_digest as digest,
               coalesce((d.settings->>'singlePage')::boolean, false) as single_page,
               coalesce(d.status in ${activeStatuses.list} and not d.leaves_stopped, false) as switching,
               rt.held_since is not null as held,
               coalesce((select array_agg(i.id::text order by i.id) from instance i where i.web_service_id = s.id and i.routed), '{}') as instance_ids,
               coalesce((select array_agg(c.domain order by c.domain) from custom_domain c where c.web_service_id = s.id and c.verified_at is not null),
                        '{}') as domains,
               (select c.domain from custom_domain c where c.web_service_id = s.id and c.is_primary and c.dns_status = 'VERIFIED') as "primary"
        from web_service s join service_runtime rt on rt.web_service_id = s.id left join deployment d on d.id = rt.routed_deployment_id
        where s.kind <> 'WORKER' and s.desired_state <> 'DELETED' ${since === null ? empty : sql`and s.id = any(${ids}::uuid[])`}`,
  )
  if (since === null) return { snapshot, services: found.map((service) => ({ id: service.id, service })) }
  const byId = new Map(found.map((service) => [service.id, service]))
  return { snapshot, services: ids.map((id) => ({ id, service: byId.get(id) ?? null })) }
}

export function routeOf(service: RouteRow, domain: string, rules: readonly PathRule[] = []): Route {
  const { domains, primary } = service
  const further = domains.length > 0 ? { domains, primary: primary ?? undefined } : {}
  const route = { host: hostOf(service, domain), ...further, serviceId: encodeId('WebService', service.id) }
  const nothing = { ...route, digest: null, deploymentId: null }
  if (service.deploymentId === null) return { ...nothing, target: { type: 'unavailable', error: 'service_not_deployed' } }
  const live = { ...route, digest: service.digest, deploymentId: encodeId('Deployment', service.deploymentId) }
  if (service.desiredState === 'STOPPED' && !service.switching)
    return { ...nothing, target: { type: 'unavailable', error: 'service_stopped' } }
  if (service.kind === 'STATIC_SITE') return { ...live, target: { type: 'static', singlePage: service.singlePage } }
  if (service.held && service.instanceIds.length === 0) return { ...live, target: { type: 'held' } }
  return { ...live, ...(rules.length > 0 ? { rules } : {}), target: { type: 'instances', instanceIds: service.instanceIds } }
}

/** Marks instances as drained that every router process has released. */
async function noteDrained(app: App, released: string[]): Promise<void> {
  const drained = await run(
    app.db,
    sql`update instance i set drained_at = app_now() where id = any(${released}::uuid[]) and drained_at is null and draining_since is not null
          and not exists (select 1 from router r where r.expires_at > app_now() and not (i.id = any(r.released)))`,
  )
  if (drained > 0) app.wake.notify('instances')
}
