/** What an idle server costs its database: the statements of its chores in a minute of a clock that the test moves. */
import { expect, it, onTestFinished } from 'vitest'
import { createWebService } from '../../src/domain/apps/web-service/index.ts'
import { sourcePort } from '../../src/domain/deploys/deployment/index.ts'
import type { Source } from '../../src/domain/deploys/deployment/ports.ts'
import { routerPort, runtimePort } from '../../src/domain/deploys/instance/index.ts'
import type { Router, Runtime } from '../../src/domain/deploys/instance/ports.ts'
import { backupEngine, backupStore } from '../../src/domain/resources/backup/index.ts'
import type { BackupEngine, BackupStore } from '../../src/domain/resources/backup/ports.ts'
import type { Chore } from '../../src/platform/claim.ts'
import { execute } from '../../src/platform/command.ts'
import { newRow, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import { createTenant, createWorld, request, statementsOf, type Tenant } from '../support/tenant.ts'

/** Instances that run, print nothing and are healthy. */
const runtime: Partial<Runtime> = {
  observe: async (ids) => ids.map((instanceId) => ({ instanceId, state: 'running', startedAt: new Date() })),
  probe: async () => ({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] }),
  readOutput: async (_id, position) => ({ chunks: [], position, droppedBytes: 0 }),
  measure: async (ids) => ({
    usage: ids.map((id) => ({ run: id, cpuMs: 0, memoryBytes: 1, uptimeMs: performance.now() })),
    capacity: null,
  }),
  kept: async () => ({ digests: [], serviceIds: [] }),
  list: async () => [],
  sweep: async () => {},
}
const source: Partial<Source> = { sweep: async () => {} }
const backups: Partial<BackupEngine> = { sweep: async (inUse) => void (await inUse()) }
const archives: Partial<BackupStore> = { sweep: async () => {} }
/** A router without requests. */
const router: Partial<Router> = { listens: true, ready: true, port: 4080, apply() {}, change() {}, load: () => [] }

/** Creates a live service with one running instance. */
async function createRunning(app: App, { organizationId, owner }: Tenant): Promise<void> {
  const { id: webServiceId } = (await execute(request(app, owner), createWebService, { name: 'Web' })).webService
  await run(app.db, sql`update web_service set desired_state = 'RUNNING' where id = ${webServiceId}::uuid`)
  await run(app.db, sql`update service_runtime set status = 'RUNNING' where web_service_id = ${webServiceId}::uuid`)
  const place = { organizationId, webServiceId }
  const deployment = { id: newId(), ...place, number: 1, kind: 'DEPLOY', trigger: 'API', status: 'LIVE', liveAt: new Date() }
  await run(app.db, sql`insert into deployment ${newRow({ ...deployment, releaseDigest: 'sha256:1', createdByType: 'system' })}`)
  await run(
    app.db,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status, routed, started_at)
        select ${newId()}::uuid, s.organization_id, s.id, ${deployment.id}::uuid, s.generation, 'RUNNING', true, now()
        from web_service s where s.id = ${webServiceId}::uuid`,
  )
}

const minuteMs = 60_000

/** Runs a chore for a minute or for one round, after a round that finds everything as it should be. Returns its statements per minute. */
async function statementsOfMinute(app: App, chore: Chore): Promise<number> {
  let now = app.clock.elapsedMs()
  Object.assign(app, { clock: { ...app.clock, elapsedMs: () => now } })
  const signal = new AbortController().signal
  const round = async () => {
    const statements = await statementsOf(app, () => chore.run(app, signal))
    now += chore.dueInMs?.(app) ?? chore.everyMs
    return statements.length
  }
  await round()
  let sum = 0
  const begin = now
  while (now < begin + minuteMs) sum += await round()
  return (sum * minuteMs) / (now - begin)
}

async function statementsByChore(app: App): Promise<Record<string, number>> {
  const statements: Record<string, number> = {}
  for (const chore of app.domain.chores) statements[chore.name] = await statementsOfMinute(app, chore)
  return statements
}

it('sends few statements a minute while its services run quietly, however many there are', async () => {
  const world = await createWorld()
  onTestFinished(world.close)
  const { app } = world
  runtimePort.provide(app, runtime as Runtime)
  sourcePort.provide(app, source as Source)
  routerPort.provide(app, router as Router)
  backupEngine.provide(app, backups as BackupEngine)
  backupStore.provide(app, archives as BackupStore)
  const tenant = await createTenant(app)
  await createRunning(app, tenant)
  const ofOne = await statementsByChore(app)
  for (let n = 1; n < 30; n++) await createRunning(app, tenant)
  const ofMany = await statementsByChore(app)
  const sumOf = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0)
  for (const counts of [ofOne, ofMany]) expect(sumOf(counts), JSON.stringify(counts)).toBeLessThanOrEqual(150)
  expect(ofMany['reconcile instances']).toBe(ofOne['reconcile instances'])
  expect(ofMany['reconcile instances']).toBeGreaterThan(0)
})
