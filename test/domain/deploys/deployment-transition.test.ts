/** Constraints of the database on deployments, and fencing of a worker that has lost its lease. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { cancelDeployment, deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import { compareAndSet, end, LostDeployment } from '../../../src/domain/deploys/deployment/transition.ts'
import '../../../src/domain/deploys/instance/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { codeOf, createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
let projectId: string

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'Shop' })
  projectId = project.id
})
afterAll(() => world.close())

const createService = async (queuePolicy: 'QUEUE_LATEST' | 'QUEUE_ALL' = 'QUEUE_ALL') => {
  const input = { projectId: encodeId('Project', projectId), name: 'Web', repositoryUrl: 'file:///shop', queuePolicy }
  return (await execute(request(world.app, tenant.owner), createWebService, input)).webService
}
const deploy = async (serviceId: string) =>
  (await execute(request(world.app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', serviceId) }))
    .deployment as Deployment
const set = (id: string, change: ReturnType<typeof sql>) => run(world.app.db, sql`update deployment set ${change} where id = ${id}::uuid`)
const read = async (id: string) => (await row<Deployment>(world.app.db, sql`select * from deployment where id = ${id}::uuid`))!
const claim = async (worker: string) => (await deploymentQueue.claim(world.app, worker, 100, [])).items as Deployment[]
const inWork = <T>(work: Parameters<typeof transact<T>>[3]) =>
  transact(world.app, tenant.owner, { emits: world.app.domain.eventTypes.all }, work)

describe('the database', () => {
  it('allows one running and one live deployment per service', async () => {
    const service = await createService()
    const [one, two] = [await deploy(service.id), await deploy(service.id)]
    await set(one.id, sql`status = 'RUNNING'`)
    await expect(set(two.id, sql`status = 'RUNNING'`)).rejects.toThrow('deployment_one_active_key')
    await expect(set(two.id, sql`status = 'CANCELLING'`)).rejects.toThrow('deployment_one_active_key')
    await set(one.id, sql`status = 'LIVE', live_at = now(), release_digest = 'sha256:1'`)
    await set(two.id, sql`status = 'RUNNING'`)
    await expect(set(two.id, sql`status = 'LIVE', live_at = now(), release_digest = 'sha256:2'`)).rejects.toThrow('deployment_one_live_key')
  })

  it('rejects a live deployment without a release, a failed one without a reason, and an ended one without an end time', async () => {
    const { id } = await deploy((await createService()).id)
    await expect(set(id, sql`status = 'LIVE', live_at = now()`)).rejects.toThrow('deployment_live_release_check')
    await expect(set(id, sql`status = 'FAILED', finished_at = now()`)).rejects.toThrow('deployment_failure_check')
    for (const status of ['CANCELLED', 'SKIPPED', 'SUPERSEDED'])
      await expect(set(id, sql`status = ${status}::deployment_status`)).rejects.toThrow('deployment_finished_check')
    expect((await read(id)).status).toBe('QUEUED')
  })

  it('assigns different numbers to concurrent deployments, and creates six steps for each', async () => {
    const service = await createService()
    const created = await Promise.all(Array.from({ length: 5 }, () => deploy(service.id)))
    expect(created.map(({ number }) => number).sort()).toEqual([1, 2, 3, 4, 5])
    const steps = await rows(world.app.db, sql`select * from deployment_step where deployment_id = ${created[0]!.id}::uuid`)
    expect(steps).toHaveLength(6)
  })

  it('rejects a deployment of another organization’s service', async () => {
    const service = await createService()
    const other = await createTenant(world.app)
    await expect(
      run(
        world.app.db,
        sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type)
            values (gen_random_uuid(), ${other.organizationId}::uuid, ${service.id}::uuid, 99, 'DEPLOY', 'API', 'QUEUED', 'system')`,
      ),
    ).rejects.toThrow('deployment_organization_id_web_service_id_fkey')
    expect(
      await codeOf(execute(request(world.app, other.owner), deployWebService, { webServiceId: encodeId('WebService', service.id) })),
    ).toBe('not_found')
  })
})

describe('a claim', () => {
  it('assigns each deployment to one worker, one deployment per service at a time, oldest first', async () => {
    const service = await createService()
    const [one, two] = [await deploy(service.id), await deploy(service.id)]
    const claimed = (await Promise.all([claim('a'), claim('b'), claim('c')])).flat().map(({ id }) => id)
    expect(claimed.filter((id) => id === one.id || id === two.id)).toEqual([one.id])
    expect(await read(one.id)).toMatchObject({ status: 'RUNNING', leaseEpoch: 1 })
    await inWork((work) => end(work, one.id, ['RUNNING'], { status: 'FAILED', failure: { ...failure, phase: 'BUILD' } }, 1))
    expect((await claim('a')).map(({ id }) => id)).toEqual([two.id])
  })

  it('fences a worker whose lease has expired: its later writes change nothing', async () => {
    const { id } = await deploy((await createService()).id)
    expect((await claim('lost')).map((claimed) => claimed.id)).toContain(id)
    await shiftClock(world.url, 20_000)
    const next = (await claim('next')).find((claimed) => claimed.id === id)!
    await shiftClock(world.url, 0)
    expect(next.leaseEpoch).toBe(2)
    const before = await read(id)
    await expect(inWork((work) => end(work, id, ['RUNNING'], { status: 'CANCELLED' }, 1))).rejects.toThrow('no deployment goes from')
    await expect(
      inWork((work) => end(work, id, ['RUNNING'], { status: 'FAILED', failure: { ...failure, phase: 'BUILD' } }, 1)),
    ).rejects.toThrow(LostDeployment)
    await expect(inWork((work) => compareAndSet(work, id, ['RUNNING'], sql`phase = 'BUILD'`, 1))).rejects.toThrow(LostDeployment)
    expect(await deploymentQueue.renew(world.app, { ...before, leaseEpoch: 1 })).toBe(false)
    expect(await deploymentQueue.renew(world.app, { ...before, leaseEpoch: 2 })).toBe(true)
    expect(await read(id)).toMatchObject({ status: 'RUNNING', phase: before.phase, version: before.version })
  })
})

const failure = { code: 'BUILD_FAILED', message: 'It failed.', hint: null, exitCode: 1 } as const

describe('ending a deployment', () => {
  it('writes the status, steps, log and event once, in one transaction', async () => {
    const { id } = await deploy((await createService()).id)
    await claim('worker')
    await run(
      world.app.db,
      sql`update deployment_step set status = 'RUNNING', started_at = now() where deployment_id = ${id}::uuid and phase = 'BUILD'`,
    )
    await inWork((work) => end(work, id, ['RUNNING'], { status: 'FAILED', failure: { ...failure, phase: 'BUILD' } }))
    expect(await read(id)).toMatchObject({ status: 'FAILED', failurePhase: 'BUILD', failureCode: 'BUILD_FAILED', leaseOwner: null })
    const steps = await rows<{ phase: string; status: string; exitCode: number | null }>(
      world.app.db,
      sql`select phase, status, exit_code from deployment_step where deployment_id = ${id}::uuid order by phase`,
    )
    expect(steps.find((step) => step.phase === 'BUILD')).toMatchObject({ status: 'FAILED', exitCode: 1 })
    expect(steps.filter((step) => step.status === 'SKIPPED')).toHaveLength(5)
    const log = await row<{ completedAt: Date | null }>(world.app.db, sql`select completed_at from log where deployment_id = ${id}::uuid`)
    expect(log!.completedAt).not.toBeNull()
    await expect(
      inWork((work) => end(work, id, ['RUNNING'], { status: 'FAILED', failure: { ...failure, phase: 'BUILD' } })),
    ).rejects.toThrow(LostDeployment)
    const published = await rows<{ type: string }>(
      world.app.db,
      sql`select type from event where subject_id = ${id}::uuid order by sequence`,
    )
    expect(published.map(({ type }) => type)).toEqual(['deployment.queued', 'deployment.started', 'deployment.failed'])
  })

  it('keeps the finish time of a live deployment that is superseded', async () => {
    const { id } = await deploy((await createService()).id)
    await set(id, sql`status = 'LIVE', live_at = '2026-01-01', finished_at = '2026-01-01', release_digest = 'sha256:1'`)
    await inWork((work) => end(work, id, ['LIVE'], { status: 'SUPERSEDED' }))
    expect(await read(id)).toMatchObject({ status: 'SUPERSEDED', finishedAt: (await read(id)).liveAt })
  })

  it('rejects a transition that is not allowed', async () => {
    const { id } = await deploy((await createService()).id)
    await expect(inWork((work) => end(work, id, ['QUEUED'], { status: 'SUPERSEDED' }))).rejects.toThrow(
      'no deployment goes from QUEUED to SUPERSEDED',
    )
    expect((await read(id)).status).toBe('QUEUED')
  })

  it('lets one of two concurrent cancellations succeed; the other fails with deployment_not_cancellable', async () => {
    const { id } = await deploy((await createService()).id)
    const cancel = () => codeOf(execute(request(world.app, tenant.owner), cancelDeployment, { id: encodeId('Deployment', id) }))
    expect((await Promise.all([cancel(), cancel()])).sort()).toEqual(['deployment_not_cancellable', 'done'])
    const published = await rows(world.app.db, sql`select 1 from event where subject_id = ${id}::uuid and type = 'deployment.cancelled'`)
    expect(published).toHaveLength(1)
  })
})
