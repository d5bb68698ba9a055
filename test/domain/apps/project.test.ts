import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createEnvironment,
  deleteEnvironment,
  findEnvironment,
  listEnvironments,
  updateEnvironment,
} from '../../../src/domain/apps/environment/index.ts'
import { purgeEnvironments } from '../../../src/domain/apps/environment/jobs.ts'
import { createProject, deleteProject, findProject, listProjects, updateProject } from '../../../src/domain/apps/project/index.ts'
import { purgeProjects } from '../../../src/domain/apps/project/jobs.ts'
import { updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import { purgeWebServices } from '../../../src/domain/apps/web-service/jobs.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { codeOf, createTenant, createWorld, refusal, request, type Tenant, type World } from '../../support/tenant.ts'
import { environment, environmentsOf, exists, project, reread, toldOf, webService } from './support.ts'

let world: World
let tenant: Tenant
let other: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  other = await createTenant(world.app)
})
afterAll(() => world?.close())

const as = (caller = tenant.owner) => request(world.app, caller)
const signal = new AbortController().signal
/** Purges deleted rows like the jobs, dependents first. */
async function purge(): Promise<void> {
  for (const chore of [purgeWebServices, purgeEnvironments, purgeProjects]) await chore.run(world.app, signal)
}

describe('a project', () => {
  it('is created with a production environment, each with an event', async () => {
    const made = await project(world.app, tenant.owner, { name: 'My Shop!', description: 'Sells.' })
    expect(made).toMatchObject({ name: 'My Shop!', slug: 'my-shop', description: 'Sells.', version: 1, deletingAt: null })
    const [production, ...rest] = await environmentsOf(world.app, made.id)
    expect(rest).toEqual([])
    expect(production).toMatchObject({ name: 'Production', slug: 'production', type: 'PRODUCTION' })
    expect([await toldOf(world.app, made.id), await toldOf(world.app, production!.id)]).toEqual([
      ['project.created'],
      ['environment.created'],
    ])
  })

  it.each([
    ['My Shop!', /^my-shop$/],
    ['Ünïcödé Café', /^unicode-cafe$/],
    ['日本', /^project$/],
    ['---', /^project$/],
    ['x'.repeat(100), /^x{45}$/],
    [`${'x'.repeat(44)} y`, /^x{44}$/],
  ])('gets a slug from its name: %s', async (name, slug) => {
    const own = await createTenant(world.app)
    expect((await project(world.app, own.owner, { name })).slug).toMatch(slug)
    expect((await project(world.app, own.owner, { name })).slug).toMatch(new RegExp(`${slug.source.slice(0, -1)}-[a-z0-9]{4}$`))
  })

  it('has a slug that is unique in the organization, not in the installation', async () => {
    await project(world.app, tenant.owner, { slug: 'taken' })
    expect(await refusal(project(world.app, tenant.owner, { slug: 'taken' }))).toMatchObject({
      code: 'slug_taken',
      kind: 'conflict',
      field: 'slug',
      details: { slug: 'taken' },
    })
    expect((await project(world.app, other.owner, { slug: 'taken' })).slug).toBe('taken')
  })

  it('gets a slug of its own when many with the same name are created at once', async () => {
    const own = await createTenant(world.app)
    const made = await Promise.all(Array.from({ length: 6 }, () => project(world.app, own.owner, { name: 'same' })))
    expect(new Set(made.map(({ slug }) => slug)).size).toBe(6)
  })

  it('is updated: omitted fields are kept, null clears', async () => {
    const made = await project(world.app, tenant.owner, { description: 'old' })
    const change = (input: Record<string, unknown>) => execute(as(), updateProject, { id: made.id, ...input })
    expect((await change({ name: ' New ' })).project).toMatchObject({ name: 'New', description: 'old', slug: made.slug, version: 2 })
    expect((await change({ description: null })).project).toMatchObject({ name: 'New', description: null, version: 3 })
    expect(await toldOf(world.app, made.id)).toEqual(['project.created', 'project.updated', 'project.updated'])
  })

  it('is found within its organization by exactly one of id and slug', async () => {
    const made = await project(world.app, tenant.owner, { slug: 'findable' })
    const find = (input: Record<string, unknown>, caller = tenant.owner) => ask(as(caller), findProject, input)
    expect(await find({ id: encodeId('Project', made.id) })).toMatchObject({ id: made.id })
    expect(await find({ slug: 'findable' })).toMatchObject({ id: made.id })
    expect(await find({ id: made.id }, other.owner)).toBeNull()
    expect(await find({ slug: 'findable' }, other.owner)).toBeNull()
    expect(await find({ id: 'proj_x' })).toBeNull()
    expect(await codeOf(find({}))).toBe('invalid_input')
    expect(await codeOf(find({ id: made.id, slug: 'findable' }))).toBe('invalid_input')
  })

  it('is not found by a malformed slug', async () => {
    for (const slug of ['a\u0000b', '\ud800'])
      expect(await refusal(ask(as(), findProject, { slug }))).toMatchObject({ code: 'invalid_input', field: 'slug' })
    for (const slug of [' ', 'x'.repeat(10_000), "' or true --"]) expect(await ask(as(), findProject, { slug })).toBeNull()
  })
})

describe('names and slugs out of range are rejected, and nothing is created', () => {
  const wrong: [string, Record<string, unknown>, string][] = [
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of spaces', { name: '   ' }, 'name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, 'name'],
    ['a name with a line break', { name: 'a\nb' }, 'name'],
    ['a name with a NUL', { name: 'a\u0000b' }, 'name'],
    ['a name that is no text', { name: 5 }, 'name'],
    ['an empty slug', { name: 'x', slug: '' }, 'slug'],
    ['a slug of 51 characters', { name: 'x', slug: 'x'.repeat(51) }, 'slug'],
    ['a slug with an upper-case letter', { name: 'x', slug: 'Shop' }, 'slug'],
    ['a slug with a dot', { name: 'x', slug: 'a.b' }, 'slug'],
    ['a slug that begins with a hyphen', { name: 'x', slug: '-a' }, 'slug'],
    ['a slug that ends with a hyphen', { name: 'x', slug: 'a-' }, 'slug'],
    ['a slug with a line break', { name: 'x', slug: 'a\n' }, 'slug'],
    ['a description of 2001 characters', { name: 'x', description: 'x'.repeat(2_001) }, 'description'],
    ['a description with a NUL', { name: 'x', description: 'a\u0000' }, 'description'],
  ]
  it.each(wrong)('%s', async (_title, input, field) => {
    const own = await createTenant(world.app)
    expect(await refusal(execute(as(own.owner), createProject, input))).toMatchObject({ code: 'invalid_input', field })
    expect((await ask(as(own.owner), listProjects, {})).rows).toEqual([])
  })

  it('accepts names and slugs at their limits', async () => {
    const made = await project(world.app, tenant.owner, {
      name: '名'.repeat(100),
      slug: `a${'-'.repeat(48)}z`,
      description: 'x'.repeat(2_000),
    })
    expect(made.slug).toHaveLength(50)
  })
})

describe('an environment', () => {
  it('is created in a project, several of one type', async () => {
    const { id } = await project(world.app, tenant.owner)
    const types = ['STAGING', 'STAGING', 'DEVELOPMENT', 'PRODUCTION']
    for (const type of types) await environment(world.app, tenant.owner, id, { type, name: 'Same' })
    const environments = await environmentsOf(world.app, id)
    expect(environments.map(({ type }) => type)).toEqual(['PRODUCTION', ...types])
    expect(new Set(environments.map(({ slug }) => slug)).size).toBe(5)
  })

  it.each([
    ['no type', { type: undefined }, 'invalid_input', 'type'],
    ['an unknown type', { type: 'QA' }, 'invalid_input', 'type'],
    ['an empty name', { name: '' }, 'invalid_input', 'name'],
    ['an unknown project', { projectId: newId() }, 'not_found', 'projectId'],
    ['an unknown project and no name', { projectId: newId(), name: '' }, 'not_found', 'projectId'],
  ])('with %s is refused', async (_title, input, code, field) => {
    const { id } = await project(world.app, tenant.owner)
    expect(await refusal(environment(world.app, tenant.owner, id, input))).toMatchObject({ code, field })
  })

  it('is not created in a project of another organization or in one that is being deleted', async () => {
    const foreign = await project(world.app, other.owner)
    expect(await codeOf(execute(as(), createEnvironment, { projectId: foreign.id, name: 'x', type: 'STAGING' }))).toBe('not_found')
    const going = await project(world.app, tenant.owner)
    await webService(world.app, tenant.owner, { projectId: going.id })
    await execute(as(), deleteProject, { id: going.id, cascade: true })
    expect(await codeOf(execute(as(), createEnvironment, { projectId: going.id, name: 'x', type: 'STAGING' }))).toBe('not_found')
  })

  it('can be renamed, which keeps slug and type', async () => {
    const { id } = await project(world.app, tenant.owner)
    const made = await environment(world.app, tenant.owner, id)
    const { environment: renamed } = await execute(as(), updateEnvironment, { id: made.id, name: 'QA', ifVersion: 1 })
    expect(renamed).toMatchObject({ name: 'QA', slug: made.slug, type: 'STAGING', version: 2 })
    expect(await refusal(execute(as(), updateEnvironment, { id: made.id, name: '' }))).toMatchObject({
      code: 'invalid_input',
      field: 'name',
    })
  })

  it('is listed with or without its project, and found within its organization', async () => {
    const own = await createTenant(world.app)
    const [one, two] = [await project(world.app, own.owner), await project(world.app, own.owner)]
    const made = await environment(world.app, own.owner, one.id)
    const list = async (input: Record<string, unknown>, caller = own.owner) => (await ask(as(caller), listEnvironments, input)).rows.length
    expect(await Promise.all([list({}), list({ projectId: one.id }), list({ projectId: two.id })])).toEqual([3, 2, 1])
    expect(await Promise.all([list({ projectId: newId() }), list({ projectId: 'x' }), list({ projectId: one.id }, other.owner)])).toEqual([
      0, 0, 0,
    ])
    expect(await ask(as(own.owner), findEnvironment, { id: made.id })).toMatchObject({ id: made.id })
    expect(await ask(as(other.owner), findEnvironment, { id: made.id })).toBeNull()
  })

  it('is deleted immediately if it is empty, even the last production environment', async () => {
    const { id } = await project(world.app, tenant.owner)
    const [production] = await environmentsOf(world.app, id)
    expect(await execute(as(), deleteEnvironment, { id: production!.id })).toEqual({ deletedId: production!.id, environment: null })
    expect(await exists(world.app, 'environment', production!.id)).toBe(false)
    expect(await toldOf(world.app, production!.id)).toEqual(['environment.created', 'environment.deleted'])
  })

  it('is not deleted while it contains a service', async () => {
    const { id } = await project(world.app, tenant.owner)
    const service = await webService(world.app, tenant.owner, { projectId: id })
    for (const cascade of [undefined, null, false]) {
      expect(await refusal(execute(as(), deleteEnvironment, { id: service.environmentId, cascade }))).toMatchObject({
        code: 'not_empty',
        kind: 'conflict',
        field: 'id',
      })
    }
    expect(await ask(as(), findEnvironment, { id: service.environmentId })).toMatchObject({ deletingAt: null, version: 1 })
    expect(await toldOf(world.app, service.environmentId)).toEqual(['environment.created'])
    expect((await reread(world.app, service)).desiredState).toBe('STOPPED')
  })

  it('is deleted with its services by cascade, and its row is removed after theirs', async () => {
    const { id } = await project(world.app, tenant.owner)
    const services = [
      await webService(world.app, tenant.owner, { projectId: id }),
      await webService(world.app, tenant.owner, { projectId: id }),
    ]
    const { environmentId } = services[0]!
    const { deletedId, environment: going } = await execute(as(), deleteEnvironment, { id: environmentId, cascade: true })
    expect({ deletedId, going: going?.deletingAt instanceof Date }).toEqual({ deletedId: environmentId, going: true })
    for (const service of services) {
      expect((await reread(world.app, service)).desiredState).toBe('DELETED')
      expect(await toldOf(world.app, service.id)).toEqual(['web_service.created', 'web_service.deleted'])
    }
    expect(await codeOf(execute(as(), updateEnvironment, { id: environmentId, name: 'x' }))).toBe('not_found')
    expect(await codeOf(execute(as(), deleteEnvironment, { id: environmentId }))).toBe('not_found')
    expect(await refusal(webService(world.app, tenant.owner, { projectId: id, environmentId }))).toMatchObject({
      code: 'not_found',
      field: 'environmentId',
    })
    await purge()
    expect(await exists(world.app, 'environment', environmentId)).toBe(false)
    expect(await exists(world.app, 'project', id)).toBe(true)
  })
})

describe('deleting a project', () => {
  it('deletes its empty environments', async () => {
    const { id } = await project(world.app, tenant.owner)
    await environment(world.app, tenant.owner, id)
    const ids = (await environmentsOf(world.app, id)).map((found) => found.id)
    expect(await execute(as(), deleteProject, { id })).toEqual({ deletedId: id })
    expect(await exists(world.app, 'project', id)).toBe(false)
    expect(await environmentsOf(world.app, id)).toEqual([])
    for (const each of ids) expect(await toldOf(world.app, each)).toEqual(['environment.created', 'environment.deleted'])
    expect(await toldOf(world.app, id)).toEqual(['project.created', 'project.deleted'])
  })

  it('fails while it contains a service, and changes nothing', async () => {
    const { id } = await project(world.app, tenant.owner)
    const service = await webService(world.app, tenant.owner, { projectId: id })
    await environment(world.app, tenant.owner, id)
    expect(await refusal(execute(as(), deleteProject, { id }))).toMatchObject({ code: 'not_empty', field: 'id' })
    expect((await environmentsOf(world.app, id)).map(({ deletingAt }) => deletingAt)).toEqual([null, null])
    expect([await toldOf(world.app, id), (await reread(world.app, service)).desiredState]).toEqual([['project.created'], 'STOPPED'])
  })

  it('with cascade marks all contents as deleted, and removes services, environments and the project in this order', async () => {
    const { id } = await project(world.app, tenant.owner)
    const staging = await environment(world.app, tenant.owner, id)
    const services = [
      await webService(world.app, tenant.owner, { projectId: id }),
      await webService(world.app, tenant.owner, { projectId: id, environmentId: staging.id }),
    ]
    const sibling = await project(world.app, tenant.owner)
    const untouched = await webService(world.app, tenant.owner, { projectId: sibling.id })
    await execute(as(), deleteProject, { id, cascade: true })

    expect(await ask(as(), findProject, { id })).toMatchObject({ deletingAt: expect.any(Date), version: 2 })
    expect((await environmentsOf(world.app, id)).map(({ deletingAt }) => deletingAt)).toEqual([expect.any(Date), expect.any(Date)])
    for (const service of services) expect((await reread(world.app, service)).desiredState).toBe('DELETED')
    expect((await reread(world.app, untouched)).desiredState).toBe('STOPPED')
    const refused = [
      () => execute(as(), updateProject, { id, name: 'x' }),
      () => execute(as(), deleteProject, { id }),
      () => execute(as(), updateWebService, { id: services[0]!.id, name: 'x' }),
      () => webService(world.app, tenant.owner, { projectId: id }),
    ]
    for (const act of refused) expect(await codeOf(act())).toBe('not_found')

    // Dependents still exist, so neither row may be deleted.
    await purgeProjects.run(world.app, signal)
    await purgeEnvironments.run(world.app, signal)
    expect(await exists(world.app, 'project', id)).toBe(true)
    await holdBack(services[0]!)
    await purge()
    expect(await exists(world.app, 'web_service', services[0]!.id)).toBe(true)
    expect(await exists(world.app, 'web_service', services[1]!.id)).toBe(false)
    expect((await environmentsOf(world.app, id)).map((found) => found.id)).toEqual([services[0]!.environmentId])
    expect(await exists(world.app, 'project', id)).toBe(true)
    await run(world.app.db, sql`delete from release where web_service_id = ${services[0]!.id}::uuid`)
    await purge()
    expect(await exists(world.app, 'project', id)).toBe(false)
    expect(await exists(world.app, 'web_service', untouched.id)).toBe(true)
  })

  /** A stored release of a service, which must be deleted before the service. */
  async function holdBack({ id, organizationId }: { id: string; organizationId: string }): Promise<void> {
    await run(
      world.app.db,
      sql`insert into release (id, organization_id, web_service_id, deployment_id, digest, size_bytes)
          values (${newId()}::uuid, ${organizationId}::uuid, ${id}::uuid, ${newId()}::uuid, ${newId()}, 1)`,
    )
  }

  it('at the same time as the creation of a service leaves both or neither', async () => {
    for (let n = 0; n < 5; n++) {
      const { id } = await project(world.app, tenant.owner)
      const [deleted, made] = await Promise.all([
        codeOf(execute(as(), deleteProject, { id })),
        codeOf(webService(world.app, tenant.owner, { projectId: id })),
      ])
      expect([`${deleted} ${made}`]).toEqual([expect.stringMatching(/^(done not_found|not_empty done)$/)])
      expect(await exists(world.app, 'project', id)).toBe(deleted !== 'done')
    }
  })
})

it('a list is in the order of creation, and contains projects that are being deleted until they are removed', async () => {
  const own = await createTenant(world.app)
  const made = [await project(world.app, own.owner), await project(world.app, own.owner), await project(world.app, own.owner)]
  await execute(as(own.owner), deleteProject, { id: made[1]!.id, cascade: true })
  const list = async () => (await ask(as(own.owner), listProjects, {})).rows.map(({ id }) => id)
  expect(await list()).toEqual(made.map(({ id }) => id))
  await purge()
  expect(await list()).toEqual([made[0]!.id, made[2]!.id])
})
