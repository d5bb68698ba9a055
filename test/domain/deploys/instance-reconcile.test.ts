import { expect, it, onTestFinished } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import type { Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import { holdsInstances, reconcileInstances, settleReconciler } from '../../../src/domain/deploys/instance/reconcile.ts'
import { execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { createTenant, createWorld, request, statementsOf, type Tenant } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

/** A runtime without instances. */
const nothing = { observe: async () => [] } as Partial<Runtime> as Runtime
const pass = (app: App) => reconcileInstances.run(app, new AbortController().signal)

it('lets one process manage the instances, and the next one once that process has settled or its lease has expired', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const [first, second] = [world.app, await world.process()]
  for (const app of [first, second]) runtimePort.provide(app, nothing)
  await createRunning(first, await createTenant(first))
  await pass(first)
  await pass(second)
  expect(await holdsInstances(second)).toBe(false)
  await settleReconciler(first)
  expect(await holdsInstances(second)).toBe(true)
  // Releasing the lease of another process has no effect.
  await settleReconciler(first)
  expect(await holdsInstances(first)).toBe(false)
  await shiftClock(world.url, 16_000)
  expect(await holdsInstances(first)).toBe(true)
})

it('runs every half second while there are instances, and otherwise rarely, with one statement', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const observe: Runtime['observe'] = async (ids) => ids.map((instanceId) => ({ instanceId, state: 'running', startedAt: new Date() }))
  const probe: Runtime['probe'] = async () => ({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] })
  runtimePort.provide(app, { observe, probe } as Partial<Runtime> as Runtime)
  expect(await statementsOf(app, () => pass(app))).toHaveLength(1)
  expect(reconcileInstances.dueInMs?.(app)).toBeNull()
  expect(reconcileInstances.everyMs).toBe(5_000)
  const instanceId = await createRunning(app, await createTenant(app))
  await pass(app)
  expect(reconcileInstances.dueInMs?.(app)).toBe(500)
  await settleReconciler(app)
  await run(app.db, sql`delete from instance where id = ${instanceId}::uuid`)
  await run(app.db, sql`update web_service set desired_state = 'STOPPED'`)
  await pass(app)
  expect(reconcileInstances.dueInMs?.(app)).toBeNull()
})

it('runs no statement while all instances are running, until something happens to one, a wake-up, or a health check is due', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  let [now, exited, probes] = [0, false, 0]
  Object.assign(app, { clock: { ...app.clock, elapsedMs: () => now } })
  const observe: Runtime['observe'] = async (ids) =>
    ids.map((instanceId) =>
      exited
        ? { instanceId, state: 'exited', exitCode: 1, signal: null, exitedAt: null, cause: 'itself' }
        : { instanceId, state: 'running', startedAt: new Date() },
    )
  const probe: Runtime['probe'] = async () => {
    probes++
    return { ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] }
  }
  runtimePort.provide(app, { observe, probe } as Partial<Runtime> as Runtime)
  await createRunning(app, await createTenant(app))
  // The first pass finds that the service is running.
  await pass(app)
  const tick = () => statementsOf(app, () => pass(app))
  await until('the service is steady', async () => (await tick()).length === 0)

  app.wake.notify('instances')
  await until('the pass is not skipped', async () => (await tick()).length > 0)
  expect(await tick()).toEqual([])

  const before = probes
  now += app.settings.HEALTH_WATCH_MS
  expect((await tick()).length).toBeGreaterThan(0)
  expect(probes).toBe(before + 1)

  exited = true
  await pass(app)
  await settleReconciler(app)
  const [instance] = await (await app.db.prismaClient()).instance.findMany()
  expect(instance).toMatchObject({ status: 'CRASHED', crashes: 1 })
})

it('checks every half second whether the process that manages the instances has ended', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const [first, second] = [world.app, await world.process()]
  for (const app of [first, second]) runtimePort.provide(app, nothing)
  await createRunning(first, await createTenant(first))
  await pass(first)
  await pass(second)
  expect(reconcileInstances.dueInMs?.(second)).toBe(500)
})

it('manages the other instances if one of them cannot be observed', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  const tenant = await createTenant(app)
  const bad = await createRunning(app, tenant)
  const good = await createRunning(app, tenant)
  const observe: Runtime['observe'] = async (ids) => {
    if (ids.includes(bad)) throw new Error('a process that can not be killed')
    return ids.map((instanceId) => ({ instanceId, state: 'exited', exitCode: 3, signal: null, exitedAt: null, cause: 'itself' }))
  }
  const probe: Runtime['probe'] = async () => ({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] })
  runtimePort.provide(app, { observe, probe } as Partial<Runtime> as Runtime)
  await pass(app)
  await settleReconciler(app)
  const found = await (await app.db.prismaClient()).instance.findMany()
  expect(found.find(({ id }) => id === good)).toMatchObject({ status: 'CRASHED', lastExitCode: 3, crashes: 1 })
  expect(found.find(({ id }) => id === bad)).toMatchObject({ status: 'RUNNING', crashes: 0 })
})

/** Creates a live service with one instance that is recorded as running. Returns the instance's id. */
async function createRunning(app: App, tenant: Tenant): Promise<string> {
  const [deploymentId, instanceId] = [newId(), newId()]
  const { webService } = await execute(request(app, tenant.owner), createWebService, { name: 'Web' })
  await setDesired(app, webService.id)
  const place = sql`${tenant.organizationId}::uuid, ${webService.id}::uuid`
  await run(
    app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, live_at, release_digest, created_by_type)
        values (${deploymentId}::uuid, ${place}, 1, 'DEPLOY', 'API', 'LIVE', now(), 'sha256:1', 'system')`,
  )
  await run(
    app.db,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status, started_at)
        select ${instanceId}::uuid, ${place}, ${deploymentId}::uuid, generation, 'RUNNING', now() from web_service where id = ${webService.id}::uuid`,
  )
  return instanceId
}

const setDesired = (app: App, id: string) => run(app.db, sql`update web_service set desired_state = 'RUNNING' where id = ${id}::uuid`)
