/** How processes share the router: its port, the routes that each reads, and the load that each reports. */
import { expect, it, onTestFinished } from 'vitest'
import { dnsResolver } from '../../../src/domain/access/mail/index.ts'
import { addCustomDomain, deleteCustomDomain, verifyCustomDomain } from '../../../src/domain/apps/custom-domain/index.ts'
import { createWebService, deleteWebService, updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import { leaveRouter, openRouter, routerPort, routeTo, untilRouted } from '../../../src/domain/deploys/instance/index.ts'
import type { Route, RouteChange, Router, RouterLoad } from '../../../src/domain/deploys/instance/ports.ts'
import { keepRoutes, noteLoad } from '../../../src/domain/deploys/instance/route.ts'
import { takeRouter } from '../../../src/domain/deploys/instance/router-port.ts'
import { readInstances } from '../../../src/domain/deploys/instance/survey.ts'
import { createProxyRouter } from '../../../src/drivers/proxy/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { type App, transact } from '../../../src/platform/work.ts'
import { call } from '../../drivers/proxy-support.ts'
import { createTestApp } from '../../support/app.ts'
import { shiftClock } from '../../support/database.ts'
import { createDatabaseProxy } from '../../support/database-proxy.ts'
import { createTenant, createWorld, request, statementsOf, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

const { signal } = new AbortController()

function provideRouter(app: App): Router {
  const router = createProxyRouter({
    host: '127.0.0.1',
    port: app.settings.ROUTER_PORT,
    upstreams: { addressOf: () => null, staticFiles: () => null },
  })
  routerPort.provide(app, router)
  onTestFinished(() => router.close({ graceMs: 0 }))
  return router
}

async function twoProcesses(): Promise<{ world: World; apps: [App, App]; routers: [Router, Router] }> {
  const world = await createWorld({ ROUTER_PORT: '0' })
  onTestFinished(world.close)
  const apps: [App, App] = [world.app, await world.process()]
  return { world, apps, routers: [provideRouter(apps[0]), provideRouter(apps[1])] }
}

/** A router that only records its calls. */
function recorded(app: App) {
  const applied: Route[][] = []
  const changed: RouteChange[][] = []
  const state = { listens: false, load: [] as RouterLoad[] }
  routerPort.provide(app, {
    port: 4080,
    get listens() {
      return state.listens
    },
    listen: async () => state.listens,
    apply: (routes) => void applied.push(routes),
    change: (changes) => void changed.push(changes),
    load: () => state.load,
  } as Partial<Router> as Router)
  return { applied, changed, state }
}

const pass = (app: App) => keepRoutes.run(app, signal) as Promise<void>

it('with ROUTER_PORT=0, all processes listen on the port that the first one chose', async () => {
  const { apps, routers } = await twoProcesses()
  await openRouter(apps[0])
  await openRouter(apps[1])
  expect(routers.map(({ ready }) => ready)).toEqual([true, true])
  expect(routers[0].port).toBeGreaterThan(0)
  expect(routers[1].port).toBe(routers[0].port)
})

it('with ROUTER_PORT=0, a process keeps the port when the others have left', async () => {
  const { apps, routers } = await twoProcesses()
  await openRouter(apps[0])
  const { port } = routers[0]
  await routers[0].close({ graceMs: 0 })
  await leaveRouter(apps[0])
  await openRouter(apps[1])
  expect(routers[1]).toMatchObject({ port, ready: true })
  await openRouter(apps[0])
  expect(routers[0]).toMatchObject({ port, ready: true })
})

it('with ROUTER_PORT=0, all processes change to another port if another program has taken theirs', async () => {
  const { world, apps, routers } = await twoProcesses()
  await openRouter(apps[0])
  const { port } = routers[0]
  await shiftClock(world.url, 61_000)
  // The first process still has the port, but its registration has expired, so the second one treats it as another program.
  await openRouter(apps[1])
  expect(routers[1].port).not.toBe(port)
  await openRouter(apps[0])
  expect(routers[0].port).toBe(routers[1].port)
})

it('with ROUTER_PORT=0, the port stays the same across an outage that outlasts the registration', async () => {
  const { world, apps, routers } = await twoProcesses()
  const proxy = await createDatabaseProxy(world.url)
  const other = await createTestApp(proxy.url, { ROUTER_PORT: '0' })
  onTestFinished(async () => {
    await other.close()
    await proxy.close()
  })
  const router = provideRouter(other)
  await openRouter(apps[0])
  await openRouter(other)
  await proxy.refuse()
  await until('the outage is known', () => other.db.session.outage())
  await shiftClock(world.url, 61_000)
  await proxy.restore()
  await until('the outage is over', () => !other.db.session.outage())
  await openRouter(other)
  await openRouter(apps[0])
  expect(router.port).toBe(routers[0].port)
})

it('does not share a port with another installation', async () => {
  const [one, other] = [await createWorld({ ROUTER_PORT: '0' }), await createWorld()]
  onTestFinished(one.close)
  onTestFinished(other.close)
  const router = provideRouter(one.app)
  await openRouter(one.app)
  Object.assign(other.app.settings, { ROUTER_PORT: router.port })
  provideRouter(other.app)
  expect(await takeRouter(other.app)).toBe(false)
})

it('reads the routes periodically, and reports the load only when it has changed', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const { state } = recorded(app)
  await pass(app)
  expect(keepRoutes.dueInMs?.(app)).toBe(500)
  state.listens = true
  await pass(app)
  expect(keepRoutes.dueInMs?.(app)).toBeNull()
  expect(await statementsOf(app, () => pass(app))).toHaveLength(2)

  const note = async () => (await statementsOf(app, () => noteLoad.run(app, signal) as Promise<void>)).length
  expect(await note()).toBe(0)
  state.load = [{ instanceId: '0190a6c8-0000-7000-8000-000000000001', inFlight: 2 }]
  expect([await note(), await note()]).toEqual([1, 0])
  state.load = []
  expect([await note(), await note()]).toEqual([1, 0])
})

it('receives the changed services only, however many there are', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const { applied, changed, state } = recorded(app)
  state.listens = true
  const tenant = await createTenant(app)
  const create = async (name: string) => (await execute(request(app, tenant.owner), createWebService, { name })).webService.id
  const [one, other] = [await create('One'), await create('Other')]
  await multiply(app, one, 2_000)
  await pass(app)
  expect(applied.map((routes) => routes.length)).toEqual([2_002])

  await pass(app)
  expect(changed).toEqual([])
  await execute(request(app, tenant.owner), updateWebService, { id: encodeId('WebService', one), slug: 'renamed' })
  await pass(app)
  await execute(request(app, tenant.owner), updateWebService, { id: encodeId('WebService', one), name: 'Named' })
  await pass(app)
  await execute(request(app, tenant.owner), deleteWebService, { id: encodeId('WebService', other) })
  await pass(app)
  const third = await create('Third')
  await pass(app)
  expect(changed).toMatchObject([
    [{ serviceId: encodeId('WebService', one), route: { host: 'renamed.localhost' } }],
    [{ serviceId: encodeId('WebService', other), route: null }],
    [{ serviceId: encodeId('WebService', third), route: { host: 'third.localhost' } }],
  ])
  expect(applied).toHaveLength(1)
})

it('reads only the routes of the changed service', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  recorded(app).state.listens = true
  const tenant = await createTenant(app)
  const { webService } = await execute(request(app, tenant.owner), createWebService, { name: 'One' })
  await multiply(app, webService.id, 5_000)
  await run(app.db, sql`analyze`)
  await pass(app)
  /** Connections report their statistics with a delay, unless this is forced. */
  const flush = () => Promise.all(Array.from({ length: 20 }, () => run(app.db, sql`select pg_stat_force_next_flush(), pg_sleep(0.05)`)))
  const touched = async () => {
    await flush()
    return Number(
      (await row<{ n: string }>(
        app.db,
        sql`select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::text as n from pg_stat_user_tables where relname in ('web_service', 'service_runtime', 'instance', 'deployment')`,
      ))!.n,
    )
  }
  const counted = async (act: () => Promise<unknown>) => {
    const before = await touched()
    await act()
    return (await touched()) - before
  }
  await execute(request(app, tenant.owner), updateWebService, { id: encodeId('WebService', webService.id), slug: 'renamed' })
  expect(await counted(() => pass(app))).toBeLessThan(500)
})

it('misses no change that was committed after a later one', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const { changed, state } = recorded(app)
  state.listens = true
  const tenant = await createTenant(app)
  const ids: string[] = []
  for (const name of ['Slow', 'Quick']) ids.push((await execute(request(app, tenant.owner), createWebService, { name })).webService.id)
  await pass(app)
  const rename = (tx: Parameters<typeof run>[0], index: number, slug: string) =>
    run(tx, sql`update web_service set slug = ${slug} where id = ${ids[index]}::uuid`)
  await app.db.transaction(async (tx) => {
    await rename(tx, 0, 'slow-renamed')
    await rename(app.db, 1, 'quick-renamed')
    await pass(app)
  })
  await pass(app)
  expect(changed.map((changes) => changes.map(({ route }) => route?.host))).toEqual([
    ['quick-renamed.localhost'],
    ['slow-renamed.localhost'],
  ])
})

it('an instance is drained when the last router process has released it, without waiting for processes that have left', async () => {
  const world = await createWorld({ WORKER_LEASE_MS: '15000' })
  onTestFinished(world.close)
  const apps = [world.app, await world.process()] as const
  const routers = apps.map((app) => recorded(app))
  for (const { state } of routers) state.listens = true
  const instanceId = await drainingInstance(world.app, await createTenant(world.app))
  const isDrained = async () =>
    (await (await world.app.db.prismaClient()).instance.findUniqueOrThrow({ where: { id: instanceId } })).drainedAt !== null
  for (const { state } of routers) state.load = [{ instanceId, inFlight: 1 }]
  for (const app of apps) await pass(app)
  routers[0]!.state.load = []
  await pass(apps[0])
  expect(await isDrained()).toBe(false)
  await leaveRouter(apps[1])
  await pass(apps[0])
  expect(await isDrained()).toBe(true)
})

it('a switch waits until every router process has applied it', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const apps = [world.app, await world.process()] as const
  for (const app of apps) recorded(app).state.listens = true
  const tenant = await createTenant(world.app)
  const { webService } = await execute(request(world.app, tenant.owner), createWebService, { name: 'One' })
  for (const app of apps) await pass(app)
  const xid = await transact(world.app, tenant.owner, { emits: world.app.domain.eventTypes.all }, (work) =>
    routeTo(work, webService.id, null),
  )
  await pass(apps[0])
  const states: string[] = []
  const waiting = untilRouted(world.app, xid, signal).then(() => states.push('routed'))
  await pass(apps[0])
  states.push('second passes')
  await pass(apps[1])
  await waiting
  expect(states).toEqual(['second passes', 'routed'])
})

/** Copies a service with SQL alone. */
const multiply = (app: App, id: string, count: number) =>
  app.db.transaction(async (tx) => {
    await run(
      tx,
      sql`create temporary table copied on commit drop as
          select s.*, n, gen_random_uuid() as copy_id from web_service s, generate_series(1, ${count}) n where s.id = ${id}::uuid`,
    )
    await run(
      tx,
      sql`insert into web_service (id, organization_id, project_id, environment_id, name, slug, kind, branch, min_instances, max_instances, queue_policy,
            build_timeout_ms, health_timeout_ms, shutdown_grace_ms, desired_state)
          select copy_id, organization_id, project_id, environment_id, name, 'copy-' || n, kind, branch, min_instances, max_instances, queue_policy,
            build_timeout_ms, health_timeout_ms, shutdown_grace_ms, desired_state from copied`,
    )
    await run(
      tx,
      sql`insert into service_runtime (web_service_id, organization_id, status) select copy_id, organization_id, 'STOPPED' from copied`,
    )
  })

it('requests of a former instance have less time while others wait for the next one', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  await drainingInstance(world.app, await createTenant(world.app))
  const drainTimedOut = async () => (await readInstances(world.app)).map((instance) => instance.drainTimedOut)
  await shiftClock(world.url, 12_000)
  expect(await drainTimedOut()).toEqual([false])
  await run(world.app.db, sql`update service_runtime set held_since = app_now()`)
  expect(await drainTimedOut()).toEqual([true])
  await run(world.app.db, sql`update service_runtime set held_since = null`)
  await shiftClock(world.url, 31_000)
  expect(await drainTimedOut()).toEqual([true])
})

async function drainingInstance(app: App, tenant: Tenant): Promise<string> {
  const [deploymentId, instanceId] = [newId(), newId()]
  const { webService } = await execute(request(app, tenant.owner), createWebService, { name: 'Web' })
  const place = sql`${tenant.organizationId}::uuid, ${webService.id}::uuid`
  await run(
    app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, live_at, release_digest, created_by_type)
        values (${deploymentId}::uuid, ${place}, 1, 'DEPLOY', 'API', 'LIVE', now(), 'sha256:1', 'system')`,
  )
  await run(
    app.db,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status, draining_since)
        values (${instanceId}::uuid, ${place}, ${deploymentId}::uuid, 0, 'RUNNING', app_now())`,
  )
  return instanceId
}

it('the domains of a service are routed in every process once they are verified, and no longer once they are lost', async () => {
  const { world, apps, routers } = await twoProcesses()
  for (const app of apps) await openRouter(app)
  const tenant = await createTenant(world.app)
  const asOwner = request(world.app, tenant.owner)
  const { webService } = await execute(asOwner, createWebService, { name: 'One' })
  const { customDomain } = await execute(asOwner, addCustomDomain, { webServiceId: webService.id, domain: 'www.example.com' })
  const texts: string[] = []
  const none = async () => []
  dnsResolver.provide(world.app, { txt: async () => texts, mx: none, cname: none, addresses: none })

  /** What both routers answer for the host after they have been woken. */
  const answers = async (change: () => Promise<unknown>): Promise<unknown[]> => {
    const woken = apps.map((app) => app.wake.next('routes', 60_000, signal))
    await change()
    await Promise.all(woken)
    for (const app of apps) await pass(app)
    return Promise.all(routers.map(async (router) => (await call(router, 'www.example.com', '/')).headers['x-quayside-error']))
  }
  const routed = Array(2).fill('service_not_deployed')
  const unknown = Array(2).fill('unknown_host')
  texts.push(customDomain.token)
  expect(await answers(() => execute(asOwner, verifyCustomDomain, { id: customDomain.id }))).toEqual(routed)
  await run(world.app.db, sql`update custom_domain set dns_status = 'FAILED'`)
  expect(await answers(async () => apps[0].wake.notify('routes'))).toEqual(routed)
  expect(await answers(() => execute(asOwner, deleteCustomDomain, { id: customDomain.id }))).toEqual(unknown)
})
