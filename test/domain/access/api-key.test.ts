import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  callerOfKey,
  createApiKey,
  findApiKey,
  generateKey,
  keyPrefixes,
  listApiKeys,
  revokeApiKey,
  wellFormedKey,
} from '../../../src/domain/access/api-key/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { type KeyScope, keyPermissions, permissions, rolePermissions, type SystemRole } from '../../../src/platform/access.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { shiftClock } from '../../support/database.ts'
import {
  codeOf,
  createTenant,
  createWorld,
  operation,
  refusal,
  request,
  setRole,
  statementsOf,
  type Tenant,
  type World,
} from '../../support/tenant.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const create = (input: CommandInput = {}, caller = tenant.owner, app = world.app) =>
  execute(request(app, caller), createApiKey, { name: 'ci', scope: 'ADMIN', ...input })
const made = async (input: CommandInput = {}, caller = tenant.owner): Promise<string> => (await create(input, caller)).plaintextKey!
const caller = async (text: string, prefix?: string) => callerOfKey(world.app, text, prefix)
/** Topic of the wake-up that every change of keys and memberships sends with its commit. */
const forget = async (app = world.app) => {
  app.wake.notify('credentials')
  await app.wake.next('credentials', 60_000)
}

describe("a key's text", () => {
  it('consists of the prefix of its API, 256 random bits and a checksum, and is different each time', () => {
    const texts = Array.from({ length: 200 }, () => generateKey('ak_live_'))
    expect(new Set(texts).size).toBe(200)
    for (const text of texts) {
      expect(text).toMatch(/^ak_live_[A-Za-z0-9_-]{51}$/)
      expect(wellFormedKey(text)).toBe(true)
    }
  })

  it.each(keyPrefixes)('with a typing error is refused without the database: %s', (prefix) => {
    const text = generateKey(prefix)
    for (let at = prefix.length; at < text.length; at++) {
      const mistyped = text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
      expect(wellFormedKey(mistyped)).toBe(false)
    }
  })

  it.each(keyPrefixes)('of a former system has 8 to 200 URL-safe characters after a known prefix: %s', (prefix) => {
    for (const length of [8, 50, 52, 200]) expect(wellFormedKey(`${prefix}${'a'.repeat(length)}`)).toBe(true)
    for (const length of [0, 7, 51, 201]) expect(wellFormedKey(`${prefix}${'a'.repeat(length)}`)).toBe(false)
    for (const text of [prefix.slice(0, -1), prefix.toUpperCase(), `x${prefix}`].map((start) => `${start}aaaaaaaaaa`)) {
      expect({ text, wellFormed: wellFormedKey(text) }).toEqual({ text, wellFormed: false })
    }
    for (const rest of ['aaaa aaaaa', 'aaaaaaaa\n', 'ääääääää', 'aaaaaaaa+/=']) expect(wellFormedKey(prefix + rest)).toBe(false)
  })

  it.each(keyPrefixes)('takes no statement if it is malformed: %s', async (prefix) => {
    const text = generateKey(prefix)
    const mistyped = `${text.slice(0, -1)}${text.endsWith('a') ? 'b' : 'a'}`
    const refused = [
      '',
      'x',
      prefix,
      `Bearer ${text}`,
      mistyped,
      text.slice(0, prefix.length + 7),
      `${prefix}${'a'.repeat(201)}`,
      `${text} `,
    ]
    expect(
      await statementsOf(world.app, async () =>
        expect(await Promise.all(refused.map((wrong) => caller(wrong)))).toEqual(refused.map(() => null)),
      ),
    ).toEqual([])
  })

  it('takes one statement if it may be a key, and none at another API', async () => {
    const text = await made()
    expect(await statementsOf(world.app, () => caller(generateKey('ak_live_')))).toHaveLength(1)
    expect(await statementsOf(world.app, () => caller(text, 'oec_live_'))).toEqual([])
  })

  it('appears in no row, event, audit row or stored response', async () => {
    const text = await made({ idempotencyKey: 'once' })
    for (const table of ['api_key', 'api_key_hash', 'event', 'audit_entry', 'idempotency']) {
      const found = await world.app.db.pool.query(
        `select 1 from ${table} t where position($1 in row_to_json(t)::text) > 0 or position($2 in row_to_json(t)::text) > 0`,
        [text.slice(12), Buffer.from(text.slice(12)).toString('hex')],
      )
      expect({ table, found: found.rowCount }).toEqual({ table, found: 0 })
    }
    const hash = createHash('sha256').update(text).digest()
    const stored = await rows<{ prefix: string }>(
      world.app.db,
      sql`select k.prefix from api_key_hash h join api_key k on k.id = h.api_key_id where h.hash = ${hash}`,
    )
    expect(text.startsWith(stored[0]!.prefix)).toBe(true)
    expect(stored[0]!.prefix).toHaveLength(12)
  })

  it('is returned once: a repeated response has none', async () => {
    const first = await create({ idempotencyKey: 'shown' })
    const again = await create({ idempotencyKey: 'shown' })
    expect(first.plaintextKey).toMatch(/^ak_live_/)
    expect(again).toEqual({ ...first, plaintextKey: null })
  })
})

describe('a key identifies a caller', () => {
  it('until it is revoked; revoking it again returns the same row', async () => {
    const { apiKey, plaintextKey } = await create()
    expect(await caller(plaintextKey!)).toMatchObject({
      organizationId: tenant.organizationId,
      userId: tenant.owner.userId,
      apiKeyId: apiKey.id,
      projectIds: null,
      subject: { type: 'api_key', id: apiKey.id, name: 'ci' },
    })
    const revoked = await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    expect(await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })).toEqual(revoked)
    expect(revoked.apiKey.revokedAt).toBeInstanceOf(Date)
    expect(await caller(plaintextKey!)).toBeNull()
    const events = await rows(world.app.db, sql`select type from event where subject_id = ${apiKey.id}::uuid order by sequence`)
    expect(events).toEqual([{ type: 'api_key.created' }, { type: 'api_key.revoked' }])
  })

  it('until its creator is no longer a member', async () => {
    const own = await createTenant(world.app)
    const text = await made({}, own.owner)
    expect(await caller(text)).not.toBeNull()
    await run(world.app.db, sql`delete from member where user_id = ${own.owner.userId}::uuid`)
    await forget()
    expect(await caller(text)).toBeNull()
  })

  it('until it expires, by the clock of the database', async () => {
    const own = await createWorld()
    try {
      const acme = await createTenant(own.app)
      const { plaintextKey } = await create({ expiresAt: new Date(Date.now() + 3_600_000) }, acme.owner, own.app)
      expect(await callerOfKey(own.app, plaintextKey!)).not.toBeNull()
      await shiftClock(own.url, 3_540_000)
      await forget(own.app)
      expect(await callerOfKey(own.app, plaintextKey!)).not.toBeNull()
      await shiftClock(own.url, 3_600_001)
      await forget(own.app)
      expect(await callerOfKey(own.app, plaintextKey!)).toBeNull()
    } finally {
      await own.close()
    }
  })

  it('in every process until the revocation arrives there, which is immediate where it was revoked', async () => {
    const own = await createWorld()
    try {
      const acme = await createTenant(own.app)
      const other = await own.process()
      const { apiKey, plaintextKey } = await create({}, acme.owner, own.app)
      expect(await callerOfKey(other, plaintextKey!)).not.toBeNull()
      const heard = other.wake.next('credentials', 60_000)
      await execute(request(own.app, acme.owner), revokeApiKey, { id: apiKey.id })
      expect(await callerOfKey(own.app, plaintextKey!)).toBeNull()
      await heard
      expect(await callerOfKey(other, plaintextKey!)).toBeNull()
    } finally {
      await own.close()
    }
  })

  it.each(['OWNER', 'ADMIN', 'DEVELOPER', 'VIEWER'] as SystemRole[])(
    "with the permissions that both its creator's current role, %s, and its scope have",
    async (role) => {
      const own = await createTenant(world.app)
      for (const scope of ['READ', 'WRITE', 'ADMIN'] as KeyScope[]) {
        const text = await made({ scope }, own.owner)
        await setRole({ tx: world.app.db }, own.owner, role)
        await forget()
        expect((await caller(text))?.permissions).toEqual(keyPermissions(scope, rolePermissions(role)))
        await setRole({ tx: world.app.db }, own.owner, 'OWNER')
      }
    },
  )
})

describe('nobody creates a key with more permissions than their own', () => {
  it.each([
    ['READ', 'forbidden', 'forbidden', 'forbidden'],
    ['WRITE', 'forbidden', 'forbidden', 'forbidden'],
    ['ADMIN', 'done', 'done', 'done'],
  ] as const)('a key with scope %s can create READ: %s, WRITE: %s, ADMIN: %s', async (scope, ...outcomes) => {
    const tries = (['READ', 'WRITE', 'ADMIN'] as const).map((wanted) => codeOf(create({ scope: wanted }, tenant.key(scope))))
    expect(await Promise.all(tries)).toEqual(outcomes)
  })

  it('a caller with some permissions cannot create a key with all of them', async () => {
    const some = { ...tenant.owner, permissions: new Set(permissions.filter((permission) => permission !== 'reveal:secrets')) }
    expect(await refusal(create({ scope: 'ADMIN' }, some))).toMatchObject({ code: 'forbidden', field: 'scope' })
    expect(await refusal(create({ scope: 'WRITE' }, some))).toMatchObject({ code: 'forbidden', field: 'scope' })
    expect(await codeOf(create({ scope: 'READ' }, some))).toBe('done')
  })

  it('a member with role ADMIN creates keys of every scope, with at most the permissions of the role', async () => {
    const own = await createTenant(world.app, undefined, 'ADMIN')
    const text = await made({ scope: 'ADMIN' }, own.owner)
    expect((await caller(text))?.permissions).toEqual(rolePermissions('ADMIN'))
  })

  it('a key cannot create a key that outlives it: a later expiry is rejected, and the default is its own expiry', async () => {
    const soon = new Date(Date.now() + 3_600_000)
    const later = new Date(soon.getTime() + 1)
    const parent = (await create({ expiresAt: soon })).plaintextKey!
    const asParent = (await caller(parent))!
    expect(await refusal(create({ expiresAt: later }, asParent))).toMatchObject({ code: 'forbidden', field: 'expiresAt' })
    for (const input of [{}, { expiresAt: null }, { expiresAt: soon }])
      expect((await create(input, asParent)).apiKey.expiresAt).toEqual(soon)
    const earlier = new Date(soon.getTime() - 60_000)
    const child = await create({ expiresAt: earlier }, asParent)
    expect(child.apiKey.expiresAt).toEqual(earlier)
    const asChild = (await caller(child.plaintextKey!))!
    expect((await create({}, asChild)).apiKey.expiresAt).toEqual(earlier)
    expect(await codeOf(create({ expiresAt: soon }, asChild))).toBe('forbidden')
    expect((await create({}, (await caller(await made()))!)).apiKey.expiresAt).toBeNull()
  })

  it('Quayside itself creates none: a key belongs to a person', async () => {
    expect(await codeOf(create({}, { ...tenant.owner, userId: null }))).toBe('forbidden')
  })

  it('a key restricted to a project creates keys of that project only', async () => {
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'mine' })
    const { project: sibling } = await execute(request(world.app, tenant.owner), createProject, { name: 'sibling' })
    const scoped = tenant.key('ADMIN', project.id)
    expect((await create({}, scoped)).apiKey.projectId).toBe(project.id)
    expect((await create({ projectId: encodeId('Project', project.id) }, scoped)).apiKey.projectId).toBe(project.id)
    expect(await refusal(create({ projectId: sibling.id }, scoped))).toMatchObject({ code: 'not_found', field: 'projectId' })
  })
})

describe('the input of a new key', () => {
  it.each([
    ['an empty name', { name: ' ' }, 'invalid_input', 'name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, 'invalid_input', 'name'],
    ['an unknown scope', { scope: 'ROOT' }, 'invalid_input', 'scope'],
    ['a kind that does not exist', { kind: 'FTP' }, 'invalid_input', 'kind'],
    ['an expiry in the past', { expiresAt: new Date(0) }, 'invalid_input', 'expiresAt'],
    ['an expiry that is not a date', { expiresAt: new Date(Number.NaN) }, 'invalid_input', 'expiresAt'],
    ['an unknown project', { projectId: newId() }, 'not_found', 'projectId'],
    ['a malformed project', { projectId: 'proj_x' }, 'not_found', 'projectId'],
  ])('%s is refused', async (_title, input, code, field) => {
    expect(await refusal(create(input as CommandInput))).toMatchObject({ code, field })
  })
})

describe('a key restricted to a project', () => {
  it('sees only its project, in every query', async () => {
    const own = await createTenant(world.app)
    const act = (source: string, variables: Record<string, unknown> = {}, as = own.owner) => operation(world.app, as, source, variables)
    const make = async (name: string) => {
      const { data, errors } = await act(`mutation ($name: String!) { createProject(input: {name: $name}) { project { id } } }`, { name })
      expect(errors).toBeUndefined()
      const projectId = data!.createProject.project.id as string
      const service = await act(
        `mutation ($projectId: ID!, $name: String!) {
           createWebService(input: {projectId: $projectId, name: $name}) { webService { id environment { id } } }
           createApiKey(input: {projectId: $projectId, name: $name, scope: READ}) { apiKey { id } } }`,
        { projectId, name },
      )
      expect(service.errors).toBeUndefined()
      const { webService } = service.data!.createWebService
      return {
        projectId,
        environmentId: webService.environment.id as string,
        webServiceId: webService.id as string,
        apiKeyId: service.data!.createApiKey.apiKey.id as string,
      }
    }
    const [mine, sibling] = [await make('mine'), await make('sibling')]
    await act('mutation { createApiKey(input: {name: "all", scope: READ}) { apiKey { id } } }')
    const projectId = (
      await (await world.app.db.prismaClient()).project.findFirstOrThrow({ where: { organizationId: own.organizationId, name: 'mine' } })
    ).id
    const scoped = own.key('ADMIN', projectId)

    const lists = await act(
      `{ projects { totalCount nodes { id environments { totalCount } } } environments { totalCount nodes { id } } webServices { totalCount nodes { id } }
         apiKeys { totalCount nodes { id } } deployments { totalCount } webhookEndpoints { totalCount } }`,
      {},
      scoped,
    )
    expect(lists).toEqual({
      data: {
        projects: { totalCount: 1, nodes: [{ id: mine.projectId, environments: { totalCount: 1 } }] },
        environments: { totalCount: 1, nodes: [{ id: mine.environmentId }] },
        webServices: { totalCount: 1, nodes: [{ id: mine.webServiceId }] },
        apiKeys: { totalCount: 1, nodes: [{ id: mine.apiKeyId }] },
        deployments: { totalCount: 0 },
        webhookEndpoints: { totalCount: 0 },
      },
    })
    const single = `query ($p: ID!, $e: ID!, $s: ID!, $ids: [ID!]!) { project(id: $p) { id } environment(id: $e) { id } webService(id: $s) { id } nodes(ids: $ids) { id } }`
    const variables = (of: typeof mine) => ({ p: of.projectId, e: of.environmentId, s: of.webServiceId, ids: Object.values(of) })
    expect((await act(single, variables(sibling), scoped)).data).toEqual({
      project: null,
      environment: null,
      webService: null,
      nodes: [null, null, null, null],
    })
    expect((await act(single, variables(mine), scoped)).data!.nodes.map(({ id }: { id: string }) => id)).toEqual(Object.values(mine))
    for (const source of ['mutation { createProject(input: {name: "more"}) { project { id } } }']) {
      expect((await act(source, {}, scoped)).errors).toMatchObject([{ code: 'forbidden' }])
    }
    const revoke = 'mutation ($id: ID!) { revokeApiKey(input: {id: $id}) { apiKey { id } } }'
    expect((await act(revoke, { id: sibling.apiKeyId }, scoped)).errors).toMatchObject([{ code: 'not_found' }])
    expect((await act(revoke, { id: mine.apiKeyId }, scoped)).errors).toBeUndefined()
  })

  it('is revoked with its project', async () => {
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'short-lived' })
    const text = await made({ projectId: project.id })
    expect(await caller(text)).toMatchObject({ projectIds: [project.id] })
    await run(world.app.db, sql`delete from environment where project_id = ${project.id}::uuid`)
    await run(world.app.db, sql`delete from project where id = ${project.id}::uuid`)
    await forget()
    expect(await caller(text)).toBeNull()
  })
})

it('the list contains all keys of the organization, and none of another', async () => {
  const [own, other] = [await createTenant(world.app), await createTenant(world.app)]
  const ids = [(await create({}, own.owner)).apiKey.id, (await create({}, own.owner)).apiKey.id]
  const { apiKey: foreign } = await create({}, other.owner)
  const page = await ask(request(world.app, own.owner), listApiKeys, {})
  expect(page.rows.map(({ id }) => id)).toEqual(ids)
  expect(await ask(request(world.app, own.owner), findApiKey, { id: foreign.id })).toBeNull()
  expect(await ask(request(world.app, own.owner), findApiKey, { id: ids[0] })).toMatchObject({ id: ids[0] })
})

describe('`viewer.can`', () => {
  const can = async (as: Tenant['owner'], permission: string, on?: string) =>
    (await operation(world.app, as, 'query ($p: String!, $on: ID) { viewer { can(permission: $p, on: $on) } }', { p: permission, on }))
      .data!.viewer.can

  it('returns whether the caller has a permission, and on which objects', async () => {
    const other = await createTenant(world.app)
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'here' })
    const { project: sibling } = await execute(request(world.app, tenant.owner), createProject, { name: 'there' })
    const { project: foreign } = await execute(request(world.app, other.owner), createProject, { name: 'elsewhere' })
    const id = (row: { id: string }) => encodeId('Project', row.id)
    const organization = encodeId('Organization', tenant.organizationId)
    const scoped = tenant.key('ADMIN', project.id)
    expect(await can(tenant.owner, 'deploy:web_services')).toBe(true)
    expect(await can(tenant.key('READ'), 'deploy:web_services')).toBe(false)
    expect(await can(tenant.owner, 'fly:web_services')).toBe(false)
    expect(await can(tenant.owner, 'manage:projects', id(project))).toBe(true)
    expect(await can(tenant.key('READ'), 'manage:projects', id(project))).toBe(false)
    expect(await can(tenant.owner, 'manage:projects', organization)).toBe(true)
    expect(await can(scoped, 'manage:projects', id(project))).toBe(true)
    expect(await can(scoped, 'manage:projects', id(sibling))).toBe(false)
    expect(await can(scoped, 'manage:projects', organization)).toBe(false)
    for (const nothing of [id(foreign), encodeId('Project', newId()), 'proj_x', '', encodeId('Organization', other.organizationId)]) {
      expect({ nothing, can: await can(tenant.owner, 'manage:projects', nothing) }).toEqual({ nothing, can: false })
    }
  })

  it('is true without the permission to view the object, which an action does not need', async () => {
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'unseen' })
    const deployer = { ...tenant.owner, permissions: new Set(['manage:projects'] as const) }
    expect(await can(deployer, 'manage:projects', encodeId('Project', project.id))).toBe(true)
    expect(await can(deployer, 'view:projects', encodeId('Project', project.id))).toBe(false)
  })

  it('is limited to the projects of a member', async () => {
    const of = async (name: string) => (await execute(request(world.app, tenant.owner), createProject, { name })).project.id
    const [first, second, third] = [await of('first'), await of('second'), await of('third')]
    const member = { ...tenant.owner, projectIds: [first, second] }
    const on = (id: string) => can(member, 'manage:projects', encodeId('Project', id))
    expect([await on(first), await on(second), await on(third)]).toEqual([true, true, false])
    expect(await can(member, 'manage:organization', encodeId('Organization', tenant.organizationId))).toBe(false)
    const none = { ...tenant.owner, projectIds: [] }
    expect(await can(none, 'manage:projects', encodeId('Project', first))).toBe(false)
  })
})

it('the creator of a key is shown to those who may view members, and to the creator', async () => {
  const { apiKey } = await create()
  const creatorFor = async (as: Tenant['owner']) =>
    (
      await operation(world.app, as, 'query ($id: ID!) { node(id: $id) { ... on ApiKey { createdBy { id } } } }', {
        id: encodeId('ApiKey', apiKey.id),
      })
    ).data!.node.createdBy
  const creator = { id: encodeId('User', tenant.owner.userId!) }
  const seesKeys = { ...tenant.owner, permissions: new Set(['view:api_keys'] as const) }
  expect(await creatorFor(tenant.owner)).toEqual(creator)
  expect(await creatorFor(seesKeys)).toEqual(creator)
  expect(await creatorFor({ ...seesKeys, userId: newId() })).toBeNull()
  expect(await creatorFor({ ...tenant.owner, userId: newId() })).toEqual(creator)
})
