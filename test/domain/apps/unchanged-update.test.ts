/** An update that changes nothing returns the row as it is, without a new version or an event. It is audited. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { updateEnvironment } from '../../../src/domain/apps/environment/index.ts'
import { defaultFallback, updateProject } from '../../../src/domain/apps/project/index.ts'
import { repositoryCredential, updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import type { WebService } from '../../../src/generated/prisma/client.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { codeOf, createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'
import { environment, project, reread, toldOf, webService } from './support.ts'

let world: World
let tenant: Tenant
beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const as = () => request(world.app, tenant.owner)
const audited = async (action: string, id: string) =>
  (await row<{ n: number }>(
    world.app.db,
    sql`select count(*)::int as n from audit_entry where action = ${action} and target_id = ${id}::uuid`,
  ))!.n

it('of a project', async () => {
  const made = await project(world.app, tenant.owner, { name: 'Shop', description: 'Sells.' })
  const { PRODUCTION, STAGING } = defaultFallback
  const inputs: CommandInput[] = [
    {},
    { name: ' Shop ' },
    { name: 'Shop', description: 'Sells.' },
    { secretFallback: null },
    { secretFallback: [] },
    { secretFallback: [STAGING, PRODUCTION] },
  ]
  for (const input of inputs) expect((await execute(as(), updateProject, { id: made.id, ...input })).project).toEqual(made)
  expect(await toldOf(world.app, made.id)).toEqual(['project.created'])
  expect(await audited('updateProject', made.id)).toBe(inputs.length)
  expect(await codeOf(execute(as(), updateProject, { id: made.id, ifVersion: 2 }))).toBe('version_conflict')

  const strict = [{ ...STAGING, mode: 'STRICT' }]
  const changed = (await execute(as(), updateProject, { id: made.id, secretFallback: strict })).project
  expect(changed.version).toBe(2)
  expect((await execute(as(), updateProject, { id: made.id, secretFallback: strict })).project).toEqual(changed)
  expect((await execute(as(), updateProject, { id: made.id, secretFallback: null })).project.version).toBe(3)
})

it('of an environment', async () => {
  const { id: projectId } = await project(world.app, tenant.owner)
  const made = await environment(world.app, tenant.owner, projectId, { name: 'QA' })
  for (const input of [{}, { name: 'QA' }]) {
    expect((await execute(as(), updateEnvironment, { id: made.id, ...input })).environment).toEqual(made)
  }
  expect(await audited('updateEnvironment', made.id)).toBe(2)
})

it('of a service', async () => {
  const made = await webService(world.app, tenant.owner, { name: 'Web', port: 8080, buildCommand: 'make' })
  const again = { name: 'Web', slug: made.slug, port: 8080, buildCommand: 'make', branch: null, minInstances: 1, maxInstances: null }
  for (const input of [{}, { name: 'Web' }, again]) {
    expect((await execute(as(), updateWebService, { id: made.id, ...input })).webService).toEqual(made)
  }
  expect(await reread(world.app, made)).toEqual(made)
  expect(await toldOf(world.app, made.id)).toEqual(['web_service.created'])
  expect((await execute(as(), updateWebService, { id: made.id, port: null })).webService.version).toBe(2)
})

it('of a service whose repository has a credential, with or without the credential in the URL', async () => {
  const url = 'https://robot:token-of-robot@git.example.com/shop.git'
  const made = await webService(world.app, tenant.owner, { repositoryUrl: url })
  const update = async (repositoryUrl: string): Promise<WebService> =>
    (await execute(as(), updateWebService, { id: made.id, repositoryUrl })).webService
  expect(await update(url)).toEqual(made)
  expect(await update('https://git.example.com/shop.git')).toEqual(made)
  const changed = await update('https://robot:another-token@git.example.com/shop.git')
  expect(changed.version).toBe(2)
  expect(await repositoryCredential(world.app, world.app.db, changed)).toMatchObject({ password: 'another-token' })
})
