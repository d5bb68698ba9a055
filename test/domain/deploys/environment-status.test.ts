/** Each change of an environment's derived status is reported exactly once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deleteEnvironment } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService, deleteWebService } from '../../../src/domain/apps/web-service/index.ts'
import { publishEnvironmentStatus } from '../../../src/domain/deploys/deployment/environment-status.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import '../../../src/domain/deploys/instance/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world.close())

const look = () => publishEnvironmentStatus.run(world.app, new AbortController().signal)
const changesOf = async (environmentId: string) =>
  (
    await rows<{ data: { status: string; formerStatus: string } }>(
      world.app.db,
      sql`select data from event where type = 'environment.status_changed' and subject_id = ${environmentId}::uuid order by ordinal`,
    )
  ).map(({ data }) => `${data.formerStatus} -> ${data.status}`)

async function createShop(): Promise<{ projectId: string; environmentId: string }> {
  const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'Shop' })
  const environment = await row<{ id: string }>(world.app.db, sql`select id from environment where project_id = ${project.id}::uuid`)
  return { projectId: project.id, environmentId: environment!.id }
}

describe('environment.status_changed', () => {
  it('is not sent for an environment without any deployment', async () => {
    const { environmentId } = await createShop()
    await look()
    expect(await changesOf(environmentId)).toEqual([])
  })

  it('is sent once when a deployment starts, even if several processes detect it', async () => {
    const { projectId, environmentId } = await createShop()
    const service = { projectId: encodeId('Project', projectId), name: 'Web', repositoryUrl: 'file:///shop' }
    const { webService } = await execute(request(world.app, tenant.owner), createWebService, service)
    await execute(request(world.app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
    await look()
    expect(await changesOf(environmentId)).toEqual([])
    await deploymentQueue.claim(world.app, 'worker', 10, [])
    await Promise.all([look(), look(), look()])
    await look()
    expect(await changesOf(environmentId)).toEqual(['PENDING -> DEPLOYING'])
  })

  it('is compared for the environments of a change only, until all are compared again', async () => {
    const [{ environmentId: other }, { projectId, environmentId }] = [await createShop(), await createShop()]
    await look()
    // Nothing notes this change.
    await run(world.app.db, sql`insert into environment_state (environment_id, status) values (${other}::uuid, 'RUNNING')`)
    const service = { projectId: encodeId('Project', projectId), name: 'Web', repositoryUrl: 'file:///shop' }
    const { webService } = await execute(request(world.app, tenant.owner), createWebService, service)
    await execute(request(world.app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
    await deploymentQueue.claim(world.app, 'worker', 10, [])
    await look()
    expect(await changesOf(environmentId)).toEqual(['PENDING -> DEPLOYING'])
    expect(await changesOf(other)).toEqual([])
    expect(await rows(world.app.db, sql`select id from environment_change`)).toEqual([])
    const restarted = { ...world.app }
    await publishEnvironmentStatus.run(restarted, new AbortController().signal)
    expect(await changesOf(other)).toEqual(['RUNNING -> PENDING'])
  })

  it('is checked immediately when a service or an environment is deleted', async () => {
    let woken = 0
    const off = world.app.wake.on('environments', () => woken++)
    const { projectId, environmentId } = await createShop()
    const service = { projectId: encodeId('Project', projectId), name: 'Going' }
    const { webService } = await execute(request(world.app, tenant.owner), createWebService, service)
    await execute(request(world.app, tenant.owner), deleteWebService, { id: encodeId('WebService', webService.id) })
    await until('it was woken', () => woken === 1)
    await execute(request(world.app, tenant.owner), deleteEnvironment, { id: encodeId('Environment', environmentId), cascade: true })
    await until('it was woken again', () => woken === 2)
    off()
    await look()
    expect(await changesOf(environmentId)).toEqual(['PENDING -> DELETING'])
  })
})
