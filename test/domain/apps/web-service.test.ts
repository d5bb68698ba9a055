import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createWebService,
  deleteWebService,
  findWebService,
  listWebServices,
  repositoryCredential,
  restartWebService,
  startWebService,
  stopWebService,
  updateWebService,
} from '../../../src/domain/apps/web-service/index.ts'
import { purgeWebServices } from '../../../src/domain/apps/web-service/jobs.ts'
import type { WebService } from '../../../src/generated/prisma/client.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { codeOf, createTenant, createWorld, refusal, request, type Tenant, type World } from '../../support/tenant.ts'
import { environment, environmentsOf, exists, liveDeployment, project, reread, toldOf, webService } from './support.ts'

let world: World
let tenant: Tenant
let other: Tenant
let projectId: string

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  other = await createTenant(world.app)
  projectId = (await project(world.app, tenant.owner)).id
})
afterAll(() => world?.close())

const as = (caller = tenant.owner) => request(world.app, caller)
const create = (input: CommandInput = {}, caller = tenant.owner) => webService(world.app, caller, { projectId, ...input })
const update = async (service: WebService, input: CommandInput) =>
  (await execute(as(), updateWebService, { id: service.id, ...input })).webService

describe('a new service', () => {
  it('is stopped, has the defaults and emits an event; nothing is deployed', async () => {
    const own = await createTenant(world.app)
    const made = await create({ projectId: (await project(world.app, own.owner)).id, name: 'My Web' }, own.owner)
    expect(made).toMatchObject({
      name: 'My Web',
      slug: 'my-web',
      kind: 'WEB',
      repositoryUrl: null,
      repositoryCredential: null,
      branch: 'main',
      rootDirectory: null,
      port: null,
      minInstances: 1,
      maxInstances: 1,
      queuePolicy: 'QUEUE_LATEST',
      buildTimeoutMs: world.app.settings.BUILD_TIMEOUT_MS,
      healthTimeoutMs: world.app.settings.VERIFY_TIMEOUT_MS,
      shutdownGraceMs: world.app.settings.SHUTDOWN_GRACE_MS,
      desiredState: 'STOPPED',
      generation: 0,
      version: 1,
    })
    expect(await toldOf(world.app, made.id)).toEqual(['web_service.created'])
    expect(await rows(world.app.db, sql`select 1 from deployment where web_service_id = ${made.id}::uuid`)).toEqual([])
  })

  it('belongs to the production environment of its project, or to the given environment', async () => {
    const staging = await environment(world.app, tenant.owner, projectId)
    const [production] = await environmentsOf(world.app, projectId)
    expect((await create()).environmentId).toBe(production!.id)
    expect((await create({ environmentId: encodeId('Environment', staging.id) })).environmentId).toBe(staging.id)
    expect(await create({ projectId: undefined, environmentId: staging.id })).toMatchObject({ environmentId: staging.id, projectId })
  })

  it('requires an environment if the project has no production environment', async () => {
    const { id } = await project(world.app, tenant.owner)
    const staging = await environment(world.app, tenant.owner, id)
    await (await world.app.db.prismaClient()).environment.deleteMany({ where: { projectId: id, type: 'PRODUCTION' } })
    expect(await refusal(create({ projectId: id }))).toMatchObject({ code: 'invalid_input', field: 'environmentId' })
    expect((await create({ projectId: id, environmentId: staging.id })).environmentId).toBe(staging.id)
  })

  it.each([
    ["another organization's project", async () => ({ projectId: (await project(world.app, other.owner)).id }), 'projectId'],
    ['an unknown project', async () => ({ projectId: newId() }), 'projectId'],
    ['a malformed project', async () => ({ projectId: 'proj_' }), 'projectId'],
    [
      "another organization's environment",
      async () => ({ environmentId: (await environmentsOf(world.app, (await project(world.app, other.owner)).id))[0]!.id }),
      'environmentId',
    ],
    [
      "another project's environment",
      async () => ({ environmentId: (await environmentsOf(world.app, (await project(world.app, tenant.owner)).id))[0]!.id }),
      'environmentId',
    ],
    ['an unknown environment', async () => ({ environmentId: newId() }), 'environmentId'],
    ['an unknown environment and no project', async () => ({ projectId: undefined, environmentId: newId() }), 'environmentId'],
    ['a malformed environment and no project', async () => ({ projectId: undefined, environmentId: 'x' }), 'environmentId'],
  ] as const)('in %s is not created', async (_title, input, field) => {
    const before = (await ask(as(), listWebServices, {})).rows.length
    expect(await refusal(create(await input()))).toMatchObject({ code: 'not_found', field })
    expect((await ask(as(), listWebServices, {})).rows.length).toBe(before)
  })

  it('belongs to the project `default` if none is given, which several concurrent commands create only once', async () => {
    const own = await createTenant(world.app)
    const made = await Promise.all(Array.from({ length: 6 }, () => create({ projectId: undefined }, own.owner)))
    const projects = await rows<{ id: string; slug: string }>(
      world.app.db,
      sql`select id, slug from project where organization_id = ${own.organizationId}::uuid`,
    )
    expect(projects).toMatchObject([{ slug: 'default' }])
    expect(new Set(made.map((service) => service.projectId))).toEqual(new Set([projects[0]!.id]))
    expect((await environmentsOf(world.app, projects[0]!.id)).map(({ type }) => type)).toEqual(['PRODUCTION'])
    expect(await toldOf(world.app, projects[0]!.id)).toEqual(['project.created'])
  })

  it('creates a missing environment of the given type, only once for concurrent commands, and only with the permission for it', async () => {
    const { id } = await project(world.app, tenant.owner)
    const may = tenant.key('WRITE')
    const made = await Promise.all(Array.from({ length: 6 }, () => create({ projectId: id, environmentType: 'STAGING' }, may)))
    expect(new Set(made.map((service) => service.environmentId)).size).toBe(1)
    expect((await environmentsOf(world.app, id)).map(({ type, name }) => [type, name])).toEqual([
      ['PRODUCTION', 'Production'],
      ['STAGING', 'Staging'],
    ])
    const mayNot = { ...may, permissions: new Set([...may.permissions].filter((permission) => permission !== 'manage:environments')) }
    expect(await codeOf(create({ projectId: id, environmentType: 'DEVELOPMENT' }, mayNot))).toBe('forbidden')
    expect(await codeOf(create({ projectId: id, environmentType: 'STAGING' }, mayNot))).toBe('done')
  })

  it('belongs to the project that the key is restricted to', async () => {
    expect((await create({ projectId: undefined }, tenant.key('WRITE', projectId))).projectId).toBe(projectId)
    const sibling = await project(world.app, tenant.owner)
    expect(await codeOf(create({ projectId: sibling.id }, tenant.key('WRITE', projectId)))).toBe('not_found')
  })

  it('has a slug that is unique in the installation', async () => {
    const slug = `one-${newId().slice(-8)}`
    await create({ slug })
    const theirs = (await project(world.app, other.owner)).id
    expect(await refusal(create({ slug, projectId: theirs }, other.owner))).toMatchObject({
      code: 'slug_taken',
      field: 'slug',
      details: { slug },
    })
    const made = await create({ name: slug, projectId: theirs }, other.owner)
    expect(made.slug).toMatch(new RegExp(`^${slug}-[a-z0-9]{4}$`))
  })
})

const outOfBounds: [string, Record<string, unknown>, string][] = [
  ['no instance', { minInstances: 0 }, 'minInstances'],
  ['21 instances', { minInstances: 1, maxInstances: 21 }, 'maxInstances'],
  ['21 instances at least', { minInstances: 21, maxInstances: 21 }, 'minInstances'],
  ['half an instance', { minInstances: 1.5 }, 'minInstances'],
  ['more instances at least than at most', { minInstances: 3, maxInstances: 2 }, 'maxInstances'],
  ['port 0', { port: 0 }, 'port'],
  ['port 65536', { port: 65_536 }, 'port'],
  ['a queue policy that is none', { queuePolicy: 'LIFO' }, 'queuePolicy'],
  ['a build of no time', { buildTimeoutMs: 0 }, 'buildTimeoutMs'],
  ['a build of days', { buildTimeoutMs: 5 * 3_600_000 }, 'buildTimeoutMs'],
  ['a grace of hours', { shutdownGraceMs: 3_600_001 }, 'shutdownGraceMs'],
  ['a health path without a slash', { healthCheckPath: 'health' }, 'healthCheckPath'],
  ['a health path with a line break', { healthCheckPath: '/a\r\nx: y' }, 'healthCheckPath'],
  ['a root directory out of the repository', { rootDirectory: 'a/../../etc' }, 'rootDirectory'],
  ['an absolute root directory', { rootDirectory: '/etc' }, 'rootDirectory'],
  ['a root directory with a backslash', { rootDirectory: '..\\x' }, 'rootDirectory'],
  ['a publish directory out of the repository', { publishDirectory: '..' }, 'publishDirectory'],
  ['an empty command', { startCommand: '' }, 'startCommand'],
  ['a command of 4097 characters', { buildCommand: 'x'.repeat(4_097) }, 'buildCommand'],
  ['a command with a NUL', { releaseCommand: 'a\u0000b' }, 'releaseCommand'],
  ['a branch that is an option', { branch: '--upload-pack=x' }, 'branch'],
  ['a repository that is an option', { repositoryUrl: '--upload-pack=x' }, 'repositoryUrl'],
  ['a helper transport', { repositoryUrl: 'ext::sh -c true' }, 'repositoryUrl'],
  ['an empty name', { name: '' }, 'name'],
  ['a name of 101 characters', { name: 'x'.repeat(101) }, 'name'],
  ['a slug with a dot', { slug: 'a.b' }, 'slug'],
  ['a slug of 51 characters', { slug: 'x'.repeat(51) }, 'slug'],
  ['a slug with a hyphen at its end', { slug: 'a-' }, 'slug'],
]

describe('settings out of range are rejected', () => {
  it.each(outOfBounds)('for a new service: %s', async (_title, input, field) => {
    expect(await refusal(create(input))).toMatchObject({ code: 'invalid_input', field })
  })

  it('for an existing service, which stays unchanged', async () => {
    const service = await create()
    for (const [title, input, field] of outOfBounds) {
      const error = await refusal(update(service, input))
      expect({ title, code: error.code, field: error.field }).toEqual({ title, code: 'invalid_input', field })
    }
    expect(await reread(world.app, service)).toEqual(service)
  })

  it('rejects an unknown kind, and one that has a command of its own', async () => {
    for (const kind of ['ODOO', 'CRON', 5]) expect(await refusal(create({ kind }))).toMatchObject({ code: 'invalid_input', field: 'kind' })
  })

  it('accepts settings at their limits', async () => {
    const made = await create({
      minInstances: 20,
      maxInstances: 20,
      port: 65_535,
      shutdownGraceMs: 0,
      buildTimeoutMs: 100,
      name: 'x'.repeat(100),
      slug: `s${newId()}`.slice(0, 50),
    })
    expect(made).toMatchObject({ minInstances: 20, maxInstances: 20, port: 65_535, shutdownGraceMs: 0, buildTimeoutMs: 100 })
  })
})

describe('an update', () => {
  it('keeps omitted settings and restores the default of those that are null', async () => {
    const service = await create({
      port: 8080,
      buildCommand: 'make',
      branch: 'trunk',
      minInstances: 2,
      maxInstances: 5,
      queuePolicy: 'REJECT',
      buildTimeoutMs: 5_000,
    })
    const changed = await update(service, { name: 'Renamed', buildCommand: null })
    expect(changed).toMatchObject({
      name: 'Renamed',
      slug: service.slug,
      buildCommand: null,
      port: 8080,
      branch: 'trunk',
      minInstances: 2,
      maxInstances: 5,
      queuePolicy: 'REJECT',
      version: 2,
    })
    expect(
      await update(service, { branch: null, queuePolicy: null, buildTimeoutMs: null, minInstances: null, maxInstances: null, port: null }),
    ).toMatchObject({
      branch: 'main',
      queuePolicy: 'QUEUE_LATEST',
      buildTimeoutMs: world.app.settings.BUILD_TIMEOUT_MS,
      minInstances: 1,
      maxInstances: 1,
      port: null,
      version: 3,
    })
    expect(await toldOf(world.app, service.id)).toEqual(['web_service.created', 'web_service.updated', 'web_service.updated'])
  })

  it('of one limit is checked against the stored other limit', async () => {
    const service = await create({ minInstances: 2, maxInstances: 3 })
    expect(await refusal(update(service, { minInstances: 4 }))).toMatchObject({ code: 'invalid_input', field: 'maxInstances' })
    expect(await refusal(update(service, { maxInstances: 1 }))).toMatchObject({ code: 'invalid_input', field: 'maxInstances' })
    expect(await update(service, { minInstances: 3 })).toMatchObject({ minInstances: 3, maxInstances: 3 })
  })

  it('of the slug requires a free one; its own slug is free', async () => {
    const [one, two] = [await create(), await create()]
    expect(await refusal(update(one, { slug: two.slug }))).toMatchObject({ code: 'slug_taken', field: 'slug', details: { slug: two.slug } })
    expect(await update(one, { slug: one.slug })).toMatchObject({ slug: one.slug })
  })

  it('of two services to one slug at the same time succeeds for one of them', async () => {
    for (let n = 0; n < 5; n++) {
      const services = [await create(), await create()]
      const slug = `race-${newId().slice(-12)}`
      const outcomes = await Promise.all(services.map((service) => codeOf(update(service, { slug }))))
      expect(outcomes.toSorted()).toEqual(['done', 'slug_taken'])
    }
  })
})

describe('a credential in the URL of a repository', () => {
  const secret = 'p%40ss-w0rd-of-mine'
  const url = `https://robot:${secret}@git.example.com/shop.git`

  it('is removed and sealed, and appears in no row, event, audit row or stored response', async () => {
    const service = await create({ repositoryUrl: url, idempotencyKey: 'credential' })
    await create({ repositoryUrl: url, idempotencyKey: 'credential' })
    expect(service.repositoryUrl).toBe('https://git.example.com/shop.git')
    expect(await repositoryCredential(world.app, world.app.db, service)).toEqual({
      username: 'robot',
      password: 'p@ss-w0rd-of-mine',
    })
    for (const text of [secret, 'p@ss-w0rd-of-mine', Buffer.from('p@ss-w0rd').toString('base64')]) {
      for (const table of ['web_service', 'event', 'audit_entry', 'idempotency']) {
        const bytes = Buffer.from(text).toString('hex')
        const found = await world.app.db.pool.query(
          `select 1 from ${table} t where position($1 in row_to_json(t)::text) > 0 or position($2 in row_to_json(t)::text) > 0`,
          [text, bytes],
        )
        expect({ table, found: found.rowCount }).toEqual({ table, found: 0 })
      }
    }
  })

  it('is kept by an update of other settings, and removed by an update of the URL', async () => {
    const service = await create({ repositoryUrl: url })
    const kept = await update(service, { name: 'Renamed' })
    expect(await repositoryCredential(world.app, world.app.db, kept)).toMatchObject({ username: 'robot' })
    const moved = await update(service, { repositoryUrl: 'https://git.example.com/other.git' })
    expect(moved).toMatchObject({ repositoryUrl: 'https://git.example.com/other.git', repositoryCredential: null })
    expect(await update(service, { repositoryUrl: null })).toMatchObject({ repositoryUrl: null, repositoryCredential: null })
  })

  it("does not open in another service's row", async () => {
    const [one, two] = [await create({ repositoryUrl: url }), await create()]
    await expect(repositoryCredential(world.app, world.app.db, { ...two, repositoryCredential: one.repositoryCredential })).rejects.toThrow(
      'unable to authenticate data',
    )
  })
})

describe('the kind of a service', () => {
  it('can be changed while no deployment is live or in progress', async () => {
    const service = await create()
    expect(await update(service, { kind: 'STATIC_SITE', publishDirectory: 'www', singlePage: true })).toMatchObject({
      kind: 'STATIC_SITE',
      publishDirectory: 'www',
      singlePage: true,
    })
    expect(await toldOf(world.app, service.id)).toEqual(['web_service.created', 'web_service.updated'])
    expect(await update(service, { name: 'Still a site' })).toMatchObject({ kind: 'STATIC_SITE', singlePage: true })
    expect(await update(service, { singlePage: null })).toMatchObject({ singlePage: false })
    for (const kind of ['ODOO', 'CRON', null]) {
      expect(await refusal(update(service, { kind }))).toMatchObject({ code: 'invalid_input', field: 'kind' })
    }
  })

  it.each(['LIVE', 'RUNNING', 'CANCELLING'] as const)('cannot be changed while a deployment is %s', async (status) => {
    const service = await create()
    const id = await liveDeployment(world.app, service)
    await (await world.app.db.prismaClient()).deployment.update({ where: { id }, data: { status } })
    expect(await refusal(update(service, { kind: 'WORKER' }))).toMatchObject({ code: 'kind_in_use', kind: 'conflict', field: 'kind' })
    expect(await update(service, { kind: 'WEB', name: 'The same kind' })).toMatchObject({ kind: 'WEB', name: 'The same kind' })
    expect(await reread(world.app, service)).toMatchObject({ kind: 'WEB' })
  })
})

describe('the desired state of a service', () => {
  const start = (id: string) => execute(as(), startWebService, { id })
  const stop = (id: string) => execute(as(), stopWebService, { id })
  const restart = (id: string) => execute(as(), restartWebService, { id })

  it('cannot be RUNNING without a live deployment', async () => {
    const { id } = await create()
    expect(await refusal(start(id))).toMatchObject({ code: 'no_live_deployment', kind: 'conflict', field: 'id' })
    expect(await refusal(restart(id))).toMatchObject({ code: 'no_live_deployment' })
    expect(await toldOf(world.app, id)).toEqual(['web_service.created'])
  })

  it('is set by start and stop; a repetition returns the same row and emits no event', async () => {
    const service = await create()
    expect(await stop(service.id)).toEqual({ webService: service })
    await liveDeployment(world.app, service)
    const started = await start(service.id)
    expect(started.webService).toMatchObject({ desiredState: 'RUNNING', version: 2 })
    expect(await start(service.id)).toEqual(started)
    const stopped = await stop(service.id)
    expect(stopped.webService).toMatchObject({ desiredState: 'STOPPED', version: 3 })
    expect(await stop(service.id)).toEqual(stopped)
    expect(await toldOf(world.app, service.id)).toEqual(['web_service.created', 'web_service.started', 'web_service.stopped'])
  })

  it('requires new instances after every restart, of a stopped service too', async () => {
    const service = await create()
    await liveDeployment(world.app, service)
    expect((await restart(service.id)).webService).toMatchObject({ desiredState: 'RUNNING', generation: 1 })
    expect((await restart(service.id)).webService).toMatchObject({ desiredState: 'RUNNING', generation: 2 })
  })

  it('cannot be changed once the service is deleted, which can only be read and deleted again', async () => {
    const service = await create()
    await liveDeployment(world.app, service)
    const { webService: going } = await execute(as(), deleteWebService, { id: service.id })
    expect(going).toMatchObject({ id: service.id, desiredState: 'DELETED' })
    expect(await execute(as(), deleteWebService, { id: service.id })).toEqual({ deletedId: service.id, webService: going })
    for (const act of [start, stop, restart, (id: string) => execute(as(), updateWebService, { id, name: 'x' })]) {
      expect(await codeOf(act(service.id))).toBe('not_found')
    }
    expect(await ask(as(), findWebService, { id: service.id })).toMatchObject({ desiredState: 'DELETED' })
    expect(await toldOf(world.app, service.id)).toEqual(['web_service.created', 'web_service.deleted'])
    await purgeWebServices.run(world.app, new AbortController().signal)
    expect(await exists(world.app, 'web_service', service.id)).toBe(false)
    expect(await codeOf(execute(as(), deleteWebService, { id: service.id }))).toBe('not_found')
  })

  it('a deleted service is removed only when nothing of it is left', async () => {
    const service = await create()
    const deploymentId = await liveDeployment(world.app, service)
    await execute(as(), deleteWebService, { id: service.id })
    await (await world.app.db.prismaClient()).instance.create({
      data: {
        id: newId(),
        organizationId: service.organizationId,
        webServiceId: service.id,
        deploymentId,
        generation: 0,
        status: 'STOPPING',
      },
    })
    const purge = () => purgeWebServices.run(world.app, new AbortController().signal)
    await purge()
    expect(await exists(world.app, 'web_service', service.id)).toBe(true)
    await (await world.app.db.prismaClient()).instance.deleteMany({ where: { webServiceId: service.id } })
    await (await world.app.db.prismaClient()).deployment.update({ where: { id: deploymentId }, data: { status: 'CANCELLING' } })
    await purge()
    expect(await exists(world.app, 'web_service', service.id)).toBe(true)
    await (await world.app.db.prismaClient()).deployment.update({
      where: { id: deploymentId },
      data: { status: 'CANCELLED', finishedAt: new Date() },
    })
    await purge()
    expect(await exists(world.app, 'web_service', service.id)).toBe(false)
  })

  it('a service that is not deleted is never purged', async () => {
    const service = await create()
    await purgeWebServices.run(world.app, new AbortController().signal)
    expect(await reread(world.app, service)).toEqual(service)
  })
})

it('services are listed by project, environment and kind, and found by id or slug, within the organization', async () => {
  const own = await createTenant(world.app)
  const { id } = await project(world.app, own.owner)
  const staging = await environment(world.app, own.owner, id)
  const web = await create({ projectId: id }, own.owner)
  const site = await create({ projectId: id, environmentId: staging.id, kind: 'STATIC_SITE' }, own.owner)
  const list = async (input: Record<string, unknown>, caller = own.owner) =>
    (await ask(as(caller), listWebServices, input)).rows.map((service) => service.id)
  expect(await list({})).toEqual([web.id, site.id])
  expect(await list({ projectId: encodeId('Project', id) })).toEqual([web.id, site.id])
  expect(await list({ environmentId: staging.id })).toEqual([site.id])
  expect(await list({ kind: 'WEB' })).toEqual([web.id])
  expect(await list({ projectId: id }, other.owner)).toEqual([])
  expect(await list({ projectId: 'x' })).toEqual([])
  for (const input of [{ first: 1, last: 1 }, { first: 0 }, { first: 101 }, { kind: 'X' }])
    expect(await codeOf(ask(as(own.owner), listWebServices, input))).toBe('invalid_input')
  expect(await ask(as(own.owner), findWebService, { slug: web.slug })).toMatchObject({ id: web.id })
  expect(await ask(as(other.owner), findWebService, { slug: web.slug })).toBeNull()
  expect(await ask(as(other.owner), findWebService, { id: web.id })).toBeNull()
})

it('a repeated creation with one idempotency key creates one service, with defaults omitted or given', async () => {
  const input = { projectId, name: 'once', idempotencyKey: newId() }
  const [first, second] = [await execute(as(), createWebService, input), await execute(as(), createWebService, input)]
  expect(second.webService).toEqual(first.webService)
})
