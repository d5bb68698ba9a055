/** Which process is the router, and what it writes of the load. */
import { expect, it, onTestFinished } from 'vitest'
import { routerPort, takeRouter } from '../../../src/domain/deploys/instance/index.ts'
import type { Router, RouterLoad } from '../../../src/domain/deploys/instance/ports.ts'
import { keepRoutes, noteLoad } from '../../../src/domain/deploys/instance/route.ts'
import { createProxyRouter } from '../../../src/drivers/proxy/index.ts'
import type { App } from '../../../src/platform/work.ts'
import { createTestApp } from '../../support/app.ts'
import { shiftClock } from '../../support/database.ts'
import { createDatabaseProxy } from '../../support/database-proxy.ts'
import { createWorld, statementsOf, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

const { signal } = new AbortController()

function provideRouter(app: App): Router {
  const router = createProxyRouter({
    host: '127.0.0.1',
    port: app.settings.ROUTER_PORT,
    resolveInstance: () => null,
    staticRoot: () => null,
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

it('with ROUTER_PORT=0 one process listens, and the others know its port', async () => {
  const { apps, routers } = await twoProcesses()
  const held = await Promise.all(apps.map(takeRouter))
  expect(held.toSorted()).toEqual([false, true])
  expect(routers[0].port).toBeGreaterThan(0)
  expect(routers[1].port).toBe(routers[0].port)
  expect(await Promise.all(apps.map(takeRouter))).toEqual(held)
})

it('with ROUTER_PORT=0 the next process takes the same port over as soon as it is free', async () => {
  const { apps, routers } = await twoProcesses()
  expect(await takeRouter(apps[0])).toBe(true)
  expect(await takeRouter(apps[1])).toBe(false)
  const { port } = routers[0]
  await routers[0].close({ graceMs: 0 })
  expect(await takeRouter(apps[1])).toBe(true)
  expect(routers[1].port).toBe(port)
  expect(await takeRouter(apps[0])).toBe(false)
})

it('with ROUTER_PORT=0 a port that a stranger has by now is given up for another one, which all follow', async () => {
  const { world, apps, routers } = await twoProcesses()
  expect(await takeRouter(apps[0])).toBe(true)
  expect(await takeRouter(apps[1])).toBe(false)
  const { port } = routers[0]
  await shiftClock(world.url, 61_000)
  // The first one still has the port, but did not say so for long: to the second one it is a stranger.
  expect(await takeRouter(apps[1])).toBe(true)
  expect(routers[1].port).not.toBe(port)
  expect(await takeRouter(apps[0])).toBe(false)
  expect(routers[0].port).toBe(routers[1].port)
})

it('with ROUTER_PORT=0 an outage that outlasts the agreement moves nothing', async () => {
  const { world, apps, routers } = await twoProcesses()
  const proxy = await createDatabaseProxy(world.url)
  const other = await createTestApp(proxy.url, { ROUTER_PORT: '0' })
  onTestFinished(async () => {
    await other.close()
    await proxy.close()
  })
  const router = provideRouter(other)
  expect(await takeRouter(apps[0])).toBe(true)
  expect(await takeRouter(other)).toBe(false)
  await proxy.refuse()
  await until('the outage is known', () => other.db.session.outage())
  await shiftClock(world.url, 61_000)
  await proxy.restore()
  await until('the outage is over', () => !other.db.session.outage())
  expect(await takeRouter(other)).toBe(false)
  expect(await takeRouter(apps[0])).toBe(true)
  expect(router.port).toBe(routers[0].port)
})

it('reads the routes once in a while, and notes the load only where it changed', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  let listens = false
  let load: RouterLoad[] = []
  const router: Partial<Router> = { listen: async () => listens, apply: () => {}, load: () => load }
  routerPort.provide(app, router as Router)
  expect(await statementsOf(app, () => keepRoutes.run(app, signal) as Promise<void>)).toEqual([])
  expect(keepRoutes.dueInMs?.(app)).toBe(500)
  listens = true
  expect(await statementsOf(app, () => keepRoutes.run(app, signal) as Promise<void>)).toHaveLength(2)
  expect(keepRoutes.dueInMs?.(app)).toBeNull()

  const note = async () => (await statementsOf(app, () => noteLoad.run(app, signal) as Promise<void>)).length
  expect([await note(), await note()]).toEqual([1, 0])
  load = [{ instanceId: '0190a6c8-0000-7000-8000-000000000001', inFlight: 2 }]
  expect([await note(), await note()]).toEqual([1, 0])
  load = []
  expect([await note(), await note()]).toEqual([1, 0])
})
