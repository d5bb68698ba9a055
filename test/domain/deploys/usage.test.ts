/** How the use of CPU and memory becomes metrics: measured by the process that holds the instances, stored, and read by any process. */
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import type { Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import { reconcileInstances, settleReconciler } from '../../../src/domain/deploys/instance/reconcile.ts'
import { findMetrics, findMetricsHistory } from '../../../src/domain/deploys/usage/index.ts'
import { expireUsage, sampleUsage } from '../../../src/domain/deploys/usage/jobs.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import type { Usage } from '../../../src/platform/usage.ts'
import type { App } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { codeOf, createTenant, createWorld, operation, request, statementsOf, type Tenant, type World } from '../../support/tenant.ts'

const signal = new AbortController().signal
const capacity = { millicores: 4_000, memoryBytes: 1_000_000_000 }

let world: World
let tenant: Tenant
let app: App
let second: App
/** Time on the monotonic clock of both processes. */
let now = 0
/** What each instance uses. An instance that is not listed cannot be measured. */
const usages = new Map<string, Usage>()
let measurements = 0
const measure: Runtime['measure'] = async (ids) => {
  measurements++
  return { usage: ids.map((id) => usages.get(id) ?? null), capacity }
}
let measured = measure

const runtime: Partial<Runtime> = {
  observe: async (ids) => ids.map((instanceId) => ({ instanceId, state: 'running', startedAt: new Date() })),
  probe: async () => ({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] }),
  measure: (ids) => measured(ids),
}

async function join(process: App): Promise<App> {
  runtimePort.provide(process, runtime as Runtime)
  Object.assign(process, { clock: { ...process.clock, elapsedMs: () => now } })
  return process
}

beforeEach(async () => {
  await world?.close()
  world = await createWorld()
  app = await join(world.app)
  second = await join(await world.process())
  tenant = await createTenant(app)
  usages.clear()
  measured = measure
})
afterAll(() => world?.close())

/** A service with running instances, which have used nothing since their start a day ago. */
async function createRunning(count = 1): Promise<{ id: string; instances: string[] }> {
  const { id } = (await execute(request(app, tenant.owner), createWebService, { name: 'Web' })).webService
  const deploymentId = newId()
  const instances = Array.from({ length: count }, newId)
  const place = sql`${tenant.organizationId}::uuid, ${id}::uuid`
  await run(app.db, sql`update web_service set desired_state = 'RUNNING', min_instances = 1 where id = ${id}::uuid`)
  await run(
    app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, live_at, release_digest, created_by_type)
        values (${deploymentId}::uuid, ${place}, 1, 'DEPLOY', 'API', 'LIVE', now(), 'sha256:1', 'system')`,
  )
  await run(
    app.db,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status, started_at)
        select n.id, ${place}, ${deploymentId}::uuid, s.generation, 'RUNNING', now()
        from unnest(${instances}::uuid[]) as n(id) join web_service s on s.id = ${id}::uuid`,
  )
  for (const instance of instances) usages.set(instance, { run: instance, cpuMs: 0, memoryBytes: 100, uptimeMs: 86_400_000 })
  return { id, instances }
}

const hold = (process = app) => reconcileInstances.run(process, signal)
const sample = (process = app) => sampleUsage.run(process, signal)

/** Ten seconds in which each of these instances uses CPU time. */
function use(cpuMs: number, ids: Iterable<string> = usages.keys()): void {
  now += 10_000
  const busy = new Set(ids)
  for (const [id, usage] of usages)
    usages.set(id, { ...usage, cpuMs: usage.cpuMs + (busy.has(id) ? cpuMs : 0), uptimeMs: usage.uptimeMs + 10_000 })
}

/** Measures for minutes, in which each instance uses 1000 millicores. */
async function measureFor(minutes: number): Promise<void> {
  await sample()
  for (let n = 0; n < minutes * 6; n++) {
    use(10_000)
    await sample()
  }
}

const metrics = (id: string, process = app) =>
  ask(request(process, tenant.owner), findMetrics, { webServiceId: encodeId('WebService', id) })
const history = async (id: string, process = app, periodSeconds?: number) =>
  (await ask(request(process, tenant.owner), findMetricsHistory, { webServiceId: encodeId('WebService', id), periodSeconds })).points

const nothing = { at: null, millicores: null, cpuPercent: null, memoryBytes: null, memoryPercent: null }

describe('the metrics of a service', () => {
  it('are the sum of its instances, from the second measurement on, and percentages of what the machine has', async () => {
    const { id, instances } = await createRunning(2)
    await hold()
    expect(await metrics(id)).toMatchObject({ ...nothing, instances: 2 })
    await sample()
    expect(await metrics(id)).toMatchObject({ ...nothing, instances: 2 })
    use(5_000)
    usages.get(instances[0]!)!.memoryBytes = 250_000_000
    await sample()
    expect(await metrics(id)).toMatchObject({
      millicores: 1_000,
      cpuPercent: 25,
      memoryBytes: 250_000_100,
      memoryPercent: 25,
      instances: 2,
    })
    use(0)
    await sample()
    expect(await metrics(id)).toMatchObject({ millicores: 0, cpuPercent: 0 })
  })

  it('are stored at once and then every minute, as averages, and read by another process', async () => {
    const { id } = await createRunning()
    await hold()
    await sample()
    use(10_000)
    await sample()
    expect(await history(id, second)).toMatchObject([{ millicores: 1_000, memoryBytes: 100, instances: 1, memoryPercent: 0 }])
    expect(await metrics(id, second)).toMatchObject({ millicores: 1_000 })
    for (const cpuMs of [0, 0, 0, 6_000, 0]) {
      use(cpuMs)
      await sample()
    }
    expect(await history(id)).toHaveLength(1)
    expect(await metrics(id, second)).toMatchObject({ millicores: 1_000 })
    use(0)
    await sample()
    expect((await history(id, second)).map(({ millicores }) => millicores)).toEqual([1_000, 100])
    expect(await metrics(id, second)).toMatchObject({ millicores: 100 })
  })

  it('are kept by a restart of the control plane, and continue with the process that takes over', async () => {
    const { id } = await createRunning()
    await hold()
    await measureFor(1)
    const before = await history(id)
    await settleReconciler(app)
    await hold(second)
    await hold()
    await sample(second)
    expect(await history(id, second)).toEqual(before)
    use(2_000)
    for (const process of [app, second]) await sample(process)
    expect((await history(id)).map(({ millicores }) => millicores)).toEqual([1_000, 1_000, 200])
    expect(await metrics(id)).toMatchObject({ millicores: 200 })
  })

  it('are never negative or a part of the whole when an instance is restarted or disappears during a measurement', async () => {
    const { id, instances } = await createRunning(3)
    await hold()
    await measureFor(1)
    use(1_000)
    usages.set(instances[0]!, { run: 'again', cpuMs: 600, memoryBytes: 100, uptimeMs: 3_000 })
    usages.delete(instances[1]!)
    await sample()
    expect(await metrics(id)).toMatchObject({ millicores: 300, memoryBytes: 200, instances: 2 })
    use(0)
    usages.set(instances[0]!, { run: 'long ago', cpuMs: 50, memoryBytes: 100, uptimeMs: 70_000 })
    await sample()
    // What one of them uses is not known now, so the last point is shown: the average of five rounds and the one before this.
    expect(await metrics(id)).toMatchObject({ millicores: 2_550, instances: 2 })
    use(0)
    usages.set(instances[2]!, { ...usages.get(instances[2]!)!, cpuMs: 1 })
    await sample()
    for (const { millicores } of await history(id)) expect(millicores).toBeGreaterThanOrEqual(0)
  })

  it('are null once no instance runs, and nothing more is measured', async () => {
    const { id } = await createRunning()
    await hold()
    await measureFor(1)
    expect(sampleUsage.dueInMs!(app)).toBe(10_000)
    await run(app.db, sql`delete from instance`)
    await run(app.db, sql`update web_service set desired_state = 'STOPPED'`)
    for (const process of [app, second]) expect(await metrics(id, process)).toMatchObject({ ...nothing, instances: 0 })
    now += 60_000
    await hold()
    const before = measurements
    await sample()
    expect(measurements).toBe(before)
    expect(sampleUsage.dueInMs!(app)).toBeNull()
    expect(await statementsOf(app, sample)).toEqual([])
    expect(await history(id)).toHaveLength(2)
  })

  it('are null if they are old, and if the runtime cannot measure', async () => {
    const { id } = await createRunning()
    await hold()
    await measureFor(1)
    await shiftClock(world.url, 200_000)
    expect(await metrics(id)).toMatchObject({ millicores: 1_000 })
    expect(await metrics(id, second)).toMatchObject({ ...nothing, instances: 1 })
    measured = async () => null
    await sample()
    expect(await metrics(id)).toMatchObject({ ...nothing, instances: 1 })
  })

  it('are kept for a day, in a bounded number of bytes', async () => {
    const { id } = await createRunning()
    await hold()
    await measureFor(60)
    const sizes = await rows<{ bytes: number }>(app.db, sql`select pg_column_size(u.*) as bytes from service_usage u`)
    for (const { bytes } of sizes) expect(bytes).toBeLessThan(1_300)
    await shiftClock(world.url, 12 * 3_600_000)
    expect(await history(id)).toEqual([])
    expect((await history(id, app, 86_400)).length).toBe(60)
    await expireUsage.run(app, signal)
    expect((await history(id, app, 86_400)).length).toBe(60)
    await shiftClock(world.url, 26 * 3_600_000)
    await expireUsage.run(app, signal)
    expect(await rows(app.db, sql`select 1 as found from service_usage`)).toEqual([])
  })

  it('are deleted with the service, also if that happens between a measurement and its storage', async () => {
    const [kept, deleted] = [await createRunning(), await createRunning()]
    await hold()
    await measureFor(1)
    use(10_000)
    measured = async (ids) => {
      await run(app.db, sql`delete from instance where web_service_id = ${deleted.id}::uuid`)
      await run(app.db, sql`delete from deployment where web_service_id = ${deleted.id}::uuid`)
      await run(app.db, sql`delete from web_service where id = ${deleted.id}::uuid`)
      return measure(ids)
    }
    now += 60_000
    await sample()
    expect(await history(kept.id)).toHaveLength(2)
    expect(await rows(app.db, sql`select distinct web_service_id from service_usage`)).toEqual([{ webServiceId: kept.id }])
  })

  it('cost one measurement every ten seconds and one statement a minute, also for 1,000 instances', async () => {
    const services = await Promise.all(Array.from({ length: 20 }, () => createRunning(50)))
    await hold()
    await measureFor(1)
    measurements = 0
    const statements = await statementsOf(app, async () => {
      for (let n = 0; n < 6; n++) {
        use(10)
        await sample()
      }
    })
    expect(measurements).toBe(6)
    expect(statements).toHaveLength(1)
    const ids = services.map(({ id }) => encodeId('WebService', id))
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on WebService { metrics { cpuUsageMillicores instanceCount } } } }'
    const read = await statementsOf(app, async () => {
      const { data } = await operation(app, tenant.owner, query, { ids })
      expect(data!.nodes).toEqual(ids.map(() => ({ metrics: { cpuUsageMillicores: 50, instanceCount: 50 } })))
    })
    expect(read.length).toBeLessThanOrEqual(2)
  })

  it('are offered by GraphQL with their history, within bounds, and not to other organizations', async () => {
    const { id } = await createRunning()
    await hold()
    await measureFor(2)
    const query = `query ($id: ID!, $period: Int) { webService(id: $id) { metrics {
      timestamp cpuUsageMillicores cpuUsagePercent memoryUsageBytes memoryUsagePercent instanceCount
      history(periodSeconds: $period) { timestamp cpuUsageMillicores cpuUsagePercent memoryUsageBytes memoryUsagePercent instanceCount } } } }`
    const variables = { id: encodeId('WebService', id), period: 600 }
    const { data } = await operation(app, tenant.owner, query, variables)
    const point = { cpuUsageMillicores: 1_000, cpuUsagePercent: 25, memoryUsageBytes: 100, memoryUsagePercent: 0, instanceCount: 1 }
    expect(data!.webService.metrics).toMatchObject({ ...point, timestamp: expect.any(String), history: [point, point] })
    for (const period of [59, 86_401, -1]) {
      const { errors } = await operation(app, tenant.owner, query, { ...variables, period })
      expect(errors?.[0]).toMatchObject({ code: 'invalid_input', field: 'periodSeconds' })
    }
    const stranger = await createTenant(app)
    const asked = { webServiceId: variables.id }
    expect(await codeOf(ask(request(app, stranger.owner), findMetrics, asked))).toBe('not_found')
    expect(await codeOf(ask(request(app, stranger.owner), findMetricsHistory, asked))).toBe('not_found')
  })
})
