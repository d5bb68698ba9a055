/** The kinds of keys: prefix, scope, listed permissions; and keys of former systems, which are imported by their hash. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  callerOfKey,
  createApiKey,
  importApiKey,
  keyPrefixes,
  revokeApiKey,
  rotateApiKey,
} from '../../../src/domain/access/api-key/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { keyPermissions, type Permission, permissions, rolePermissions } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { Canary } from '../../support/canary.ts'
import { createTenant, createWorld, operation, refusal, request, setRole, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const create = (input: CommandInput, caller = tenant.owner) => execute(request(world.app, caller), createApiKey, { name: 'ci', ...input })
const caller = async (text: string | null, prefix?: string) => callerOfKey(world.app, text!, prefix)
const wake = async () => {
  world.app.wake.notify('credentials')
  await world.app.wake.next('credentials', 60_000)
}
const all = new Set(permissions)

/** Every combination of kind and scope that exists, with the prefix of its keys. */
const kinds = [
  ['PLATFORM', 'READ', 'ak_live_', {}],
  ['PLATFORM', 'WRITE', 'ak_live_', {}],
  ['PLATFORM', 'ADMIN', 'ak_live_', {}],
  ['OEC', 'READ', 'oec_live_ro_', {}],
  ['OEC', 'WRITE', 'oec_live_rw_', {}],
  ['OCORE', 'READ', 'ocore_k_', { permissions: ['view:projects'] }],
  ['OCORE', 'WRITE', 'ocore_k_', { permissions: ['manage:projects', 'view:projects'] }],
  ['OCORE', 'ADMIN', 'ocore_k_', { permissions: ['delete:projects', 'manage:roles'] }],
] as const

describe.each(kinds)('a key of kind %s with scope %s', (kind, scope, prefix, extra) => {
  it(`begins with ${prefix} and is accepted by its own API and by GraphQL alone`, async () => {
    const { apiKey, plaintextKey } = await create({ kind, scope, ...extra })
    expect(plaintextKey).toMatch(new RegExp(`^${prefix}[A-Za-z0-9_-]{51}$`))
    expect(apiKey).toMatchObject({ kind, scope, prefix: plaintextKey!.slice(0, prefix.length + 4) })
    const accepted = []
    for (const at of [undefined, ...keyPrefixes]) if (await caller(plaintextKey, at)) accepted.push(at)
    expect(accepted).toEqual([undefined, prefix])
  })

  it('has the permissions that GraphQL shows for it', async () => {
    const made = await operation(
      world.app,
      tenant.owner,
      `mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
         plaintextKey apiKey { kind scope permissions status createdBy { id } project { id } lastUsedAt } } }`,
      { input: { name: 'ci', kind, scope, ...extra } },
    )
    const { plaintextKey, apiKey } = made.data!.createApiKey
    expect(apiKey).toMatchObject({
      ...{ kind, scope, status: 'active', project: null, lastUsedAt: null },
      createdBy: { id: encodeId('User', tenant.owner.userId!) },
    })
    const holder = (await caller(plaintextKey))!
    expect([...holder.permissions].sort()).toEqual(apiKey.permissions)
    const viewer = await operation(world.app, holder, '{ viewer { permissions apiKey { id } } }')
    expect(viewer.data!.viewer.permissions).toEqual(apiKey.permissions)
  })
})

describe('the permissions of a key', () => {
  const permissionsOf = async (input: CommandInput) => (await caller((await create(input)).plaintextKey))!.permissions

  it('of kind OEC: read-only keys view; full-access keys also change and delete resources, and manage API keys', async () => {
    expect(await permissionsOf({ kind: 'OEC', scope: 'READ' })).toEqual(keyPermissions('READ', all))
    const full = await permissionsOf({ kind: 'OEC', scope: 'WRITE' })
    const governing = ['organization', 'members', 'roles', 'audit_logs']
    const excluded = permissions.filter((permission) => !full.has(permission))
    expect(excluded.sort()).toEqual(
      [...governing.flatMap((resource) => [`manage:${resource}`, `delete:${resource}`]), 'delete:api_keys'].sort(),
    )
  })

  it('of kind OCORE are those listed, without duplicates, and no others', async () => {
    const listed: Permission[] = ['view:projects', 'deploy:web_services']
    expect(await permissionsOf({ kind: 'OCORE', scope: 'ADMIN', permissions: [...listed, ...listed] })).toEqual(new Set(listed))
  })

  it.each(kinds)('of kind %s and scope %s are at most those of the present role of its creator', async (kind, scope, _prefix, extra) => {
    const own = await createTenant(world.app)
    const { plaintextKey } = await create({ kind, scope, ...extra }, own.owner)
    const before = (await caller(plaintextKey))!.permissions
    await setRole({ tx: world.app.db }, own.owner, 'VIEWER')
    await wake()
    const viewer = rolePermissions('VIEWER')
    expect((await caller(plaintextKey))!.permissions).toEqual(new Set([...before].filter((permission) => viewer.has(permission))))
  })

  it('are at most those of a custom role, and a key is limited to the projects of its creator', async () => {
    const own = await createTenant(world.app)
    const { project } = await execute(request(world.app, own.owner), createProject, { name: 'mine' })
    const { plaintextKey } = await create({ scope: 'ADMIN' }, own.owner)
    const limited = await create({ scope: 'ADMIN', projectId: project.id }, own.owner)
    await run(
      world.app.db,
      sql`with r as (insert into role (id, organization_id, name, permissions)
                     values (gen_random_uuid(), ${own.organizationId}::uuid, 'deployer', ${['view:projects', 'deploy:web_services', 'fly:kites']})
                     returning id)
          update member set role_id = r.id, projects_limited = true from r where organization_id = ${own.organizationId}::uuid`,
    )
    await wake()
    const rights = { permissions: new Set(['view:projects', 'deploy:web_services']), projectIds: [] }
    expect(await caller(plaintextKey)).toMatchObject(rights)
    expect(await caller(limited.plaintextKey)).toMatchObject(rights)
  })
})

describe('a key that is refused', () => {
  it.each([
    ['a bridge key without an account', { kind: 'BRIDGE', scope: 'READ' }, 'invalid_input', 'odooAccountId'],
    ['an account for another kind', { scope: 'READ', odooAccountId: 'odoo_x' }, 'invalid_input', 'odooAccountId'],
    ['scope ADMIN for OEC', { kind: 'OEC', scope: 'ADMIN' }, 'invalid_input', 'scope'],
    ['an OCORE key without permissions', { kind: 'OCORE', scope: 'READ' }, 'invalid_input', 'permissions'],
    ['an OCORE key with an empty list', { kind: 'OCORE', scope: 'READ', permissions: [] }, 'invalid_input', 'permissions'],
    ['a permission that does not exist', { kind: 'OCORE', scope: 'ADMIN', permissions: ['fly:kites'] }, 'invalid_input', 'permissions'],
    ['a permission outside the scope', { kind: 'OCORE', scope: 'READ', permissions: ['manage:projects'] }, 'invalid_input', 'permissions'],
    ['a list for another kind', { kind: 'PLATFORM', scope: 'READ', permissions: ['view:projects'] }, 'invalid_input', 'permissions'],
  ])('%s', async (_title, input, code, field) => {
    expect(await refusal(create(input as CommandInput))).toMatchObject({ code, field })
  })

  it('asks for more than its maker has, also if the maker is a key or was demoted', async () => {
    const own = await createTenant(world.app)
    const wants = (maker: Tenant['owner']) => refusal(create({ kind: 'OCORE', scope: 'ADMIN', permissions: ['delete:projects'] }, maker))
    const maker = async (input: CommandInput) => (await caller((await create({ scope: 'ADMIN', ...input }, own.owner)).plaintextKey))!
    const lesser = await maker({ kind: 'OCORE', permissions: ['manage:api_keys', 'view:projects'] })
    expect(await wants(lesser)).toMatchObject({ code: 'forbidden', field: 'permissions' })
    for (const input of [
      { kind: 'PLATFORM', scope: 'READ' },
      { kind: 'OEC', scope: 'READ' },
    ])
      expect(await refusal(create(input, lesser))).toMatchObject({ code: 'forbidden', field: 'scope' })
    expect((await create({ kind: 'OCORE', scope: 'READ', permissions: ['view:projects'] }, lesser)).plaintextKey).toMatch(/^ocore_k_/)
    const full = await maker({ kind: 'OEC', scope: 'WRITE' })
    expect(await refusal(create({ scope: 'ADMIN' }, full))).toMatchObject({ code: 'forbidden', field: 'scope' })
    const text = (await create({ scope: 'ADMIN' }, own.owner)).plaintextKey!
    await setRole({ tx: world.app.db }, own.owner, 'DEVELOPER')
    await wake()
    expect(await refusal(create({ scope: 'READ' }, (await caller(text))!))).toMatchObject({ code: 'forbidden' })
  })

  it('would belong to no project, of a caller whose access is limited to several', async () => {
    const ids = await Promise.all(
      ['first', 'second'].map(async (name) => (await execute(request(world.app, tenant.owner), createProject, { name })).project.id),
    )
    const limited = { ...tenant.owner, projectIds: ids }
    expect(await refusal(create({ scope: 'READ' }, limited))).toMatchObject({ code: 'invalid_input', field: 'projectId' })
    expect((await create({ scope: 'READ', projectId: ids[1] }, limited)).apiKey.projectId).toBe(ids[1])
    expect((await create({ scope: 'READ' }, { ...limited, projectIds: ids.slice(0, 1) })).apiKey.projectId).toBe(ids[0])
  })
})

describe('a key of a former system', () => {
  /** A key as a former system made it, and what its import needs. */
  const former = (prefix: string) => {
    const text = prefix + randomBytes(20).toString('hex')
    return {
      text,
      input: { name: 'old', sha256: createHash('sha256').update(text).digest('hex'), prefix: text.slice(0, prefix.length + 4) },
    }
  }
  const add = (input: CommandInput, as = tenant.owner) => execute(request(world.app, as), importApiKey, input)

  it.each(kinds)('goes on working after its import: kind %s, scope %s', async (kind, scope, prefix, extra) => {
    const { text, input } = former(prefix)
    expect(await caller(text)).toBeNull()
    const { apiKey } = await add({ ...input, kind, scope, ...extra })
    expect(apiKey).toMatchObject({ kind, scope, prefix: input.prefix })
    const accepted = []
    for (const at of [undefined, ...keyPrefixes]) if (await caller(text, at)) accepted.push(at)
    expect(accepted).toEqual([undefined, prefix])
    expect(await caller(text)).toMatchObject({ apiKeyId: apiKey.id, userId: tenant.owner.userId })
    const events = await rows(world.app.db, sql`select type, data ->> 'name' as name from event where subject_id = ${apiKey.id}::uuid`)
    expect(events).toEqual([{ type: 'api_key.created', name: 'old' }])
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    expect(await caller(text)).toBeNull()
  })

  it('is accepted from GraphQL, with the hash in either case', async () => {
    const { text, input } = former('oec_live_rw_')
    const { data, errors } = await operation(
      world.app,
      tenant.owner,
      'mutation ($input: ImportApiKeyInput!) { importApiKey(input: $input) { apiKey { kind prefix permissions status } } }',
      { input: { ...input, sha256: input.sha256.toUpperCase(), kind: 'OEC', scope: 'WRITE' } },
    )
    expect(errors).toBeUndefined()
    expect(data!.importApiKey.apiKey).toMatchObject({ kind: 'OEC', prefix: input.prefix, status: 'active' })
    expect(await caller(text)).not.toBeNull()
  })

  it('is refused if it is known already, with one answer for all organizations, also after it was revoked or rotated', async () => {
    const { input } = former('ak_live_')
    const key = { ...input, kind: 'PLATFORM', scope: 'READ' }
    const { apiKey } = await add(key)
    const other = await createTenant(world.app)
    const refused = await refusal(add(key))
    expect(refused).toMatchObject({ code: 'api_key_taken', field: 'sha256' })
    const alike = { code: refused.code, message: refused.message, field: refused.field, details: refused.details }
    expect(await refusal(add(key, other.owner))).toMatchObject(alike)
    await execute(request(world.app, tenant.owner), rotateApiKey, { id: apiKey.id, graceMs: 0 })
    expect(await refusal(add(key, other.owner))).toMatchObject(alike)
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    expect(await refusal(add(key))).toMatchObject(alike)
    const left = await rows(world.app.db, sql`select 1 from api_key where organization_id = ${other.organizationId}::uuid`)
    expect(left).toEqual([])
  })

  it('of which several callers import the same at once belongs to one of them', async () => {
    const { text, input } = former('ak_live_')
    const tenants = await Promise.all([1, 2, 3, 4].map(() => createTenant(world.app)))
    const done = await Promise.allSettled(tenants.map(({ owner }) => add({ ...input, kind: 'PLATFORM', scope: 'READ' }, owner)))
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect((await caller(text))!.organizationId).toBe(tenants[done.findIndex(({ status }) => status === 'fulfilled')]!.organizationId)
  })

  it('does not work with another prefix than that of its kind and scope, whatever was said at its import', async () => {
    const { text, input } = former('oec_live_ro_')
    await add({ ...input, prefix: 'oec_live_rw_', kind: 'OEC', scope: 'WRITE' })
    expect(await caller(text)).toBeNull()
    const other = former('ak_live_')
    await add({ ...other.input, prefix: 'ocore_k_', kind: 'OCORE', scope: 'ADMIN', permissions: ['manage:roles'] })
    expect([await caller(other.text), await caller(other.text, 'ak_live_'), await caller(other.text, 'ocore_k_')]).toEqual([
      null,
      null,
      null,
    ])
  })

  it('is bounded as a new key is', async () => {
    const input = { ...former('ak_live_').input, kind: 'PLATFORM', scope: 'ADMIN' }
    const lesser = { ...tenant.owner, permissions: new Set<Permission>(['manage:api_keys', 'view:projects']) }
    expect(await refusal(add(input, lesser))).toMatchObject({ code: 'forbidden', field: 'scope' })
    expect(await refusal(add({ ...input, scope: 'READ' }, tenant.key('READ')))).toMatchObject({ code: 'forbidden' })
    const soon = new Date(Date.now() + 3_600_000)
    const expiring = (await caller((await create({ scope: 'ADMIN', expiresAt: soon })).plaintextKey))!
    expect((await add(input, expiring)).apiKey.expiresAt).toEqual(soon)
  })

  it.each([
    ['a hash that is too short', { sha256: 'ab' }, 'sha256'],
    ['a hash that is not hexadecimal', { sha256: 'x'.repeat(64) }, 'sha256'],
    ['the key itself instead of its hash', { sha256: former('ak_live_').text }, 'sha256'],
    ['a prefix of another kind', { prefix: 'ocore_k_abcd' }, 'prefix'],
    ['no prefix', { prefix: '' }, 'prefix'],
    ['a prefix that shows too much', { prefix: 'ak_live_123456789' }, 'prefix'],
    ['a prefix with other characters', { prefix: 'ak_live_a b' }, 'prefix'],
    ['a scope that the kind does not have', { kind: 'OEC', scope: 'ADMIN' }, 'scope'],
  ])('%s is refused', async (_title, wrong, field) => {
    const input = { ...former('ak_live_').input, kind: 'PLATFORM', scope: 'READ', ...wrong }
    expect(await refusal(add(input))).toMatchObject({ code: 'invalid_input', field })
  })

  it('is not shown as a whole, if it is that short', async () => {
    const text = 'ak_live_12345678'
    const input = { name: 'short', kind: 'PLATFORM', scope: 'READ', sha256: createHash('sha256').update(text).digest('hex') }
    expect(await refusal(add({ ...input, prefix: text }))).toMatchObject({ code: 'invalid_input', field: 'prefix' })
    await add({ ...input, prefix: text.slice(0, -1) })
    expect(await caller(text)).not.toBeNull()
  })
})

it('no plaintext key is in the database after every command on keys', async () => {
  const canary = new Canary()
  const act = async (name: string, type: string, input: Record<string, unknown>) => {
    const source = `mutation ($input: ${type}!) { ${name}(input: $input) { ${name === 'importApiKey' || name === 'revokeApiKey' ? '' : 'plaintextKey'} apiKey { id } } }`
    const { data, errors } = await operation(world.app, tenant.owner, source, {
      input: { ...input, idempotencyKey: randomBytes(8).toString('hex') },
    })
    expect(errors).toBeUndefined()
    const { plaintextKey, apiKey } = data![name]
    if (plaintextKey) canary.add(plaintextKey)
    return { plaintextKey, apiKey }
  }
  for (const [kind, scope, prefix, extra] of kinds) {
    const { plaintextKey, apiKey } = await act('createApiKey', 'CreateApiKeyInput', { name: 'ci', kind, scope, ...extra })
    await caller(plaintextKey)
    await caller((await act('rotateApiKey', 'RotateApiKeyInput', { id: apiKey.id })).plaintextKey)
    const text = prefix + randomBytes(24).toString('base64url')
    canary.add(text)
    const sha256 = createHash('sha256').update(text).digest('hex')
    const imported = { name: 'old', kind, scope, sha256, prefix: text.slice(0, prefix.length + 4), ...extra }
    await act('importApiKey', 'ImportApiKeyInput', imported)
    await caller(text)
    await refusal(execute(request(world.app, tenant.owner), importApiKey, { ...imported, sha256: text, prefix: text }))
    await act('revokeApiKey', 'RevokeApiKeyInput', { id: apiKey.id })
  }
  expect(canary.size).toBe(3 * kinds.length)
  expect(await canary.searchDatabase(world.url)).toEqual([])
})
