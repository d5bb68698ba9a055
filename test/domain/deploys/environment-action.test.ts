/** Actions on an environment: what they begin, that there is one at a time, and what becomes of them. The pipeline itself is not run here. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cancelOperation } from '../../../src/domain/access/operation/commands.ts'
import { findOperation } from '../../../src/domain/access/operation/index.ts'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { deleteWebService, startWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { runEnvironmentAction } from '../../../src/domain/deploys/environment-action/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { become, createShop, observe, type Shop } from '../../support/environment.ts'
import { createTenant, createWorld, operation, refusal, request, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let jobs: Jobs

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  jobs = startJobs(world.app, { queues: [operationQueue], chores: [], worker: 'one' })
})
afterAll(async () => {
  await jobs?.stop({ graceMs: 0 })
  await world?.close()
})

type Input = Record<string, unknown> & { action: string }

const act = ({ environmentId }: Pick<Shop, 'environmentId'>, input: Input, app: App = world.app, caller: Caller = tenant.owner) =>
  execute(request(app, caller), runEnvironmentAction, { environmentId: encodeId('Environment', environmentId), ...input })

const deploymentsOf = ({ services }: Shop) =>
  rows<Deployment>(
    world.app.db,
    sql`select * from deployment where web_service_id = any(${services.map(({ id }) => id)}::uuid[]) order by web_service_id, number`,
  )

const read = (id: string) => ask(request(world.app, tenant.owner), findOperation, { id })
const ended = (id: string) =>
  until('the action ends', async () => {
    const found = await read(id)
    return found?.finishedAt ? found : null
  })

async function createLiveShop(...names: string[]): Promise<Shop> {
  const shop = await createShop(world.app, tenant.owner, ...names)
  const { operation: deploying } = await act(shop, { action: 'DEPLOY' })
  await become(world.app, 'LIVE', ...shop.services.filter(({ name }) => !name.startsWith('empty')).map(({ id }) => id))
  await ended(deploying.id)
  return shop
}

describe('what is refused', () => {
  it('an environment without services, or without any that the action could concern', async () => {
    expect(await refusal(act(await createShop(world.app, tenant.owner), { action: 'DEPLOY' }))).toMatchObject({
      code: 'no_web_service',
      kind: 'unprocessable',
    })
    const shop = await createShop(world.app, tenant.owner, 'empty')
    expect(await refusal(act(shop, { action: 'DEPLOY' }))).toMatchObject({ code: 'nothing_to_deploy', kind: 'unprocessable' })
    expect(await refusal(act(shop, { action: 'REDEPLOY' }))).toMatchObject({ code: 'nothing_to_deploy' })
    expect(await refusal(act(shop, { action: 'START' }))).toMatchObject({ code: 'nothing_to_start', kind: 'unprocessable' })
    expect(await refusal(act(shop, { action: 'RESTART' }))).toMatchObject({ code: 'nothing_to_start' })
    const image = await createShop(world.app, tenant.owner, 'image')
    await run(world.app.db, sql`update web_service set source_type = 'IMAGE' where id = ${image.services[0]!.id}::uuid`)
    expect(await refusal(act(image, { action: 'DEPLOY' }))).toMatchObject({ code: 'nothing_to_deploy' })
  })

  it('updates of modules, because no service is an Odoo service; their input is checked first', async () => {
    const shop = await createShop(world.app, tenant.owner, 'web')
    const update = (input: object) => refusal(act(shop, { action: 'UPDATE_MODULES', ...input }))
    expect(await update({ mode: 'UPDATE_ALL' })).toMatchObject({ code: 'no_odoo_service', kind: 'unprocessable' })
    expect(await update({ mode: 'UPDATE_SPECIFIC', modules: ['sale'] })).toMatchObject({ code: 'no_odoo_service' })
    expect(await update({})).toMatchObject({ code: 'invalid_input', field: 'mode' })
    expect(await update({ mode: 'EVERYTHING' })).toMatchObject({ code: 'invalid_input', field: 'mode' })
    expect(await update({ mode: 'UPDATE_SPECIFIC' })).toMatchObject({ code: 'invalid_input', field: 'modules' })
    expect(await update({ mode: 'UPDATE_SPECIFIC', modules: ['; drop'] })).toMatchObject({ code: 'invalid_input', field: 'modules.0' })
  })

  it('a branch or a commit for what deploys none, an unknown action, and an environment of somebody else', async () => {
    const shop = await createShop(world.app, tenant.owner, 'web')
    expect(await refusal(act(shop, { action: 'STOP', branch: 'main' }))).toMatchObject({ code: 'invalid_input', field: 'branch' })
    expect(await refusal(act(shop, { action: 'REDEPLOY', commit: 'v1' }))).toMatchObject({ code: 'invalid_input', field: 'commit' })
    expect(await refusal(act(shop, { action: 'STOP', updateModules: true }))).toMatchObject({
      code: 'invalid_input',
      field: 'updateModules',
    })
    expect(await refusal(act(shop, { action: 'DEPLOY', branch: '--force' }))).toMatchObject({ code: 'invalid_input', field: 'branch' })
    expect(await refusal(act(shop, { action: 'EXPLODE' }))).toMatchObject({ code: 'invalid_input', field: 'action' })
    expect(await refusal(act({ environmentId: newId() }, { action: 'DEPLOY' }))).toMatchObject({
      code: 'not_found',
      field: 'environmentId',
    })
    const stranger = (await createTenant(world.app)).owner
    expect(await refusal(act(shop, { action: 'DEPLOY' }, world.app, stranger))).toMatchObject({ code: 'not_found' })
    expect(await deploymentsOf(shop)).toEqual([])
  })

  it('starting and stopping without manage:web_services, although the caller may deploy', async () => {
    const shop = await createLiveShop('web')
    const deployer = {
      ...tenant.owner,
      permissions: new Set([...tenant.owner.permissions].filter((name) => name !== 'manage:web_services')),
    }
    expect(await refusal(act(shop, { action: 'STOP' }, world.app, deployer))).toMatchObject({ code: 'forbidden' })
    await act(shop, { action: 'DEPLOY' }, world.app, deployer)
  })
})

describe('one at a time', () => {
  it('of many requests to two processes at once, one begins, and the others are told which one is in progress', async () => {
    const shop = await createShop(world.app, tenant.owner, 'web', 'worker')
    const other = await world.process()
    // Nothing deploys here, so none of these ends before the others have asked. A STOP could.
    const actions = ['DEPLOY', 'REDEPLOY', 'DEPLOY', 'REDEPLOY', 'DEPLOY', 'REDEPLOY']
    const outcomes = await Promise.allSettled(actions.map((action, index) => act(shop, { action }, index % 2 === 0 ? world.app : other)))
    const begun = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value.operation : []))
    expect(begun).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toMatchObject({
        code: 'task_in_progress',
        kind: 'conflict',
        details: { taskId: encodeId('Task', begun[0]!.id), operationId: encodeId('Operation', begun[0]!.id) },
      })
    }
  })

  it('a deployment that is in progress by itself refuses any action, and one of another environment does not', async () => {
    const [shop, other] = [await createShop(world.app, tenant.owner, 'web'), await createShop(world.app, tenant.owner, 'web')]
    const { deployment } = await execute(request(world.app, tenant.owner), deployWebService, {
      webServiceId: encodeId('WebService', shop.services[0]!.id),
    })
    for (const action of ['DEPLOY', 'STOP'])
      expect(await refusal(act(shop, { action }))).toMatchObject({
        code: 'task_in_progress',
        details: { taskId: encodeId('Task', deployment.id), deploymentId: encodeId('Deployment', deployment.id) },
      })
    await act(other, { action: 'DEPLOY' })
    await become(world.app, 'LIVE', shop.services[0]!.id)
    await act(shop, { action: 'DEPLOY' })
  })
})

describe('deploying', () => {
  it('queues a deployment of each service with a repository, reports progress and completes when all are live', async () => {
    const shop = await createShop(world.app, tenant.owner, 'api', 'web', 'empty one')
    const { operation: begun } = await act(shop, { action: 'DEPLOY', branch: 'next', commit: 'v1.2' })
    expect(begun).toMatchObject({ type: 'runEnvironmentAction', status: 'QUEUED', totalSteps: 12, stepsCompleted: 0 })
    const deployments = await deploymentsOf(shop)
    expect(deployments).toHaveLength(2)
    for (const deployment of deployments)
      expect(deployment).toMatchObject({
        kind: 'DEPLOY',
        trigger: 'API',
        branch: 'next',
        requestedCommit: 'v1.2',
        operationId: begun.id,
        createdById: tenant.owner.userId,
      })
    await until('it waits', async () => (await read(begun.id))?.currentStep === 'Waiting to deploy api')
    await become(world.app, 'RUNNING', shop.services[0]!.id)
    await until('the step is named', async () => (await read(begun.id))?.currentStep === 'Running the release command of api')
    expect(await read(begun.id)).toMatchObject({ status: 'RUNNING', stepsCompleted: 2, totalSteps: 12 })
    await become(world.app, 'LIVE', shop.services[0]!.id)
    await until('half is done', async () => (await read(begun.id))?.stepsCompleted === 6)
    await become(world.app, 'LIVE', shop.services[1]!.id)
    expect(await ended(begun.id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 12, currentStep: null, error: null })
  })

  it('fails when one part has failed and all have ended, and names the service and the reason', async () => {
    const shop = await createShop(world.app, tenant.owner, 'api', 'web')
    const { operation: begun } = await act(shop, { action: 'DEPLOY' })
    await become(world.app, 'FAILED', shop.services[0]!.id)
    await until('the other part is awaited', async () => (await read(begun.id))?.currentStep === 'Waiting to deploy web')
    await until('the phase before the failure is counted', async () => (await read(begun.id))?.stepsCompleted === 1)
    await become(world.app, 'LIVE', shop.services[1]!.id)
    expect(await ended(begun.id)).toMatchObject({ status: 'FAILED', error: 'api: The build command exited with code 1.' })
  })

  it('fails when a service is deleted meanwhile', async () => {
    const shop = await createShop(world.app, tenant.owner, 'api')
    const { operation: begun } = await act(shop, { action: 'DEPLOY' })
    await execute(request(world.app, tenant.owner), deleteWebService, { id: encodeId('WebService', shop.services[0]!.id) })
    await run(world.app.db, sql`delete from web_service where id = ${shop.services[0]!.id}::uuid`)
    expect(await ended(begun.id)).toMatchObject({ status: 'FAILED', error: 'api: The service was deleted.' })
  })

  it('redeploys the commit of the live deployment, else of the newest one, else the newest commit of the branch', async () => {
    const shop = await createLiveShop('live', 'ended', 'new')
    const [live, former, fresh] = shop.services as [Shop['services'][0], Shop['services'][0], Shop['services'][0]]
    const hash = async (char: string, where: string) =>
      run(world.app.db, sql`update deployment set commit_hash = repeat(${char}, 40), branch = 'old' where web_service_id = ${where}::uuid`)
    await hash('b', live.id)
    await hash('c', former.id)
    await run(world.app.db, sql`update deployment set status = 'CANCELLED', live_at = null where web_service_id = ${former.id}::uuid`)
    await run(world.app.db, sql`delete from deployment where web_service_id = ${fresh.id}::uuid`)
    await act(shop, { action: 'REDEPLOY' })
    const queued = (await deploymentsOf(shop)).filter(({ status }) => status === 'QUEUED')
    const wanted = new Map(
      queued.map(({ webServiceId, kind, branch, requestedCommit }) => [webServiceId, { kind, branch, requestedCommit }]),
    )
    expect(wanted.get(live.id)).toEqual({ kind: 'REDEPLOY', branch: 'old', requestedCommit: 'b'.repeat(40) })
    expect(wanted.get(former.id)).toEqual({ kind: 'REDEPLOY', branch: 'old', requestedCommit: 'c'.repeat(40) })
    expect(wanted.get(fresh.id)).toEqual({ kind: 'DEPLOY', branch: 'main', requestedCommit: null })
  })

  it('is cancelled with its deployments, if one of them can be', async () => {
    const shop = await createShop(world.app, tenant.owner, 'api', 'web')
    const { operation: begun } = await act(shop, { action: 'DEPLOY' })
    await become(world.app, 'LIVE', shop.services[0]!.id)
    const cancel = () => execute(request(world.app, tenant.owner), cancelOperation, { id: encodeId('Operation', begun.id) })
    expect((await cancel()).operation.status).not.toBe('CANCELLED')
    expect(await ended(begun.id)).toMatchObject({ status: 'CANCELLED', error: null })
    expect((await deploymentsOf(shop)).map(({ status }) => status)).toEqual(['LIVE', 'CANCELLED'])
    expect(await refusal(cancel())).toMatchObject({ code: 'operation_not_cancellable' })
    await act(shop, { action: 'DEPLOY' })
  })
})

describe('starting, stopping and restarting', () => {
  const desired = async ({ services }: Shop) =>
    (
      await rows<{ desiredState: string }>(
        world.app.db,
        sql`select desired_state from web_service where id = any(${services.map(({ id }) => id)}::uuid[]) order by id`,
      )
    ).map(({ desiredState }) => desiredState)

  it('start concerns the services with a live release, and completes when they are observed running', async () => {
    const shop = await createLiveShop('api', 'empty one')
    const { operation: begun } = await act(shop, { action: 'START' })
    expect(await desired(shop)).toEqual(['RUNNING', 'STOPPED'])
    await observe(world.app, 'STARTING', shop.services[0]!.id)
    await until('it is awaited', async () => (await read(begun.id))?.currentStep === 'Starting api')
    expect(await read(begun.id)).toMatchObject({ status: 'RUNNING', stepsCompleted: 0, totalSteps: 1 })
    await observe(world.app, 'RUNNING', shop.services[0]!.id)
    expect(await ended(begun.id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 1 })
  })

  it('stop completes when all are observed stopped, and fails when somebody starts one again', async () => {
    const shop = await createLiveShop('api')
    const id = shop.services[0]!.id
    await act(shop, { action: 'START' })
    await observe(world.app, 'RUNNING', id)
    const stop = async () => (await act(shop, { action: 'STOP' })).operation
    const first = await until('the start has ended', () => stop().catch(() => null))
    await until('it is awaited', async () => (await read(first.id))?.currentStep === 'Stopping api')
    await observe(world.app, 'STOPPED', id)
    expect(await ended(first.id)).toMatchObject({ status: 'COMPLETED' })
    await observe(world.app, 'STOPPING', id)
    const second = await stop()
    await execute(request(world.app, tenant.owner), startWebService, { id: encodeId('WebService', id) })
    expect(await ended(second.id)).toMatchObject({
      status: 'FAILED',
      error: 'api: Another request changed the desired state to RUNNING.',
    })
  })

  it('restart waits until no instance from before is left, and fails when a new one crashes', async () => {
    const shop = await createLiveShop('api')
    const id = shop.services[0]!.id
    const [{ id: deploymentId }] = (await deploymentsOf(shop)) as [Deployment]
    const addInstance = (generation: number, crashes = 0) =>
      run(
        world.app.db,
        sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status, crashes)
            values (${newId()}::uuid, ${tenant.organizationId}::uuid, ${id}::uuid, ${deploymentId}::uuid, ${generation}, 'RUNNING', ${crashes})`,
      )
    await addInstance(0)
    await observe(world.app, 'RUNNING', id)
    const { operation: first } = await act(shop, { action: 'RESTART' })
    await until('it is awaited', async () => (await read(first.id))?.currentStep === 'Restarting api')
    await run(world.app.db, sql`delete from instance where web_service_id = ${id}::uuid`)
    expect(await ended(first.id)).toMatchObject({ status: 'COMPLETED' })
    await observe(world.app, 'STARTING', id)
    const { operation: second } = await act(shop, { action: 'RESTART' })
    await addInstance(2, 1)
    expect(await ended(second.id)).toMatchObject({ status: 'FAILED', error: 'api: An instance crashed. See the log of the service.' })
  })
})

it('GraphQL runs an action, shows it at the environment and its deployments at the operation', async () => {
  const shop = await createShop(world.app, tenant.owner, 'api')
  const { data } = await operation(
    world.app,
    tenant.owner,
    `mutation ($id: ID!) { runEnvironmentAction(input: {environmentId: $id, action: DEPLOY}) { operation { id action } } }`,
    { id: encodeId('Environment', shop.environmentId) },
  )
  const begun = data!.runEnvironmentAction.operation
  expect(begun.action).toBe('DEPLOY')
  const shown = await operation(
    world.app,
    tenant.owner,
    `query ($id: ID!) { environment(id: $id) { operations(first: 5) { totalCount nodes { id action
       deployments { nodes { status operation { id } webService { name } } } } } } }`,
    { id: encodeId('Environment', shop.environmentId) },
  )
  expect(shown).toMatchObject({
    data: {
      environment: {
        operations: {
          totalCount: 1,
          nodes: [
            {
              id: begun.id,
              action: 'DEPLOY',
              deployments: { nodes: [{ status: 'QUEUED', operation: { id: begun.id }, webService: { name: 'api' } }] },
            },
          ],
        },
      },
    },
  })
})

it('starting can be cancelled, and fails when the services are not observed running in time', async () => {
  const shop = await createLiveShop('api')
  const { operation: begun } = await act(shop, { action: 'START' })
  const { operation: cancelled } = await execute(request(world.app, tenant.owner), cancelOperation, { id: encodeId('Operation', begun.id) })
  expect(cancelled).toMatchObject({ status: 'CANCELLED' })
  const { operation: late } = await act(shop, { action: 'START' })
  await shiftClock(world.url, 601_000)
  expect(await ended(late.id)).toMatchObject({ status: 'FAILED', error: 'api: The service was not observed as RUNNING within 600 s.' })
})
