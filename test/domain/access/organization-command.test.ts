/** Several organizations in one installation: created, listed, changed and switched between. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { callerOfCredential } from '../../../src/domain/access/api-key/index.ts'
import { switchOrganization } from '../../../src/domain/access/member/index.ts'
import { createOrganization, updateOrganization } from '../../../src/domain/access/organization/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { execute } from '../../../src/platform/command.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { signIn } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, operation, request, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let ada: Tenant
beforeAll(async () => {
  world = await createWorld({ ORGANIZATIONS_PER_OWNER: '4' })
})
afterAll(() => world?.close())

const as = (caller: Caller) => request(world.app, caller)
const create = async (caller: Caller, name: string, slug?: string) =>
  (await execute(as(caller), createOrganization, { name, slug })).organization
const within = (caller: Caller, organizationId: string): Caller => ({ ...caller, organizationId })

beforeAll(async () => {
  ada = await createTenant(world.app)
})

it('the creator of an organization owns it, and it has roles, a server and an audit log of its own', async () => {
  const made = await create(ada.owner, 'Ada’s Shop')
  expect(made.slug).toBe('ada-s-shop')
  const inside = within(ada.owner, made.id)
  const { data, errors } = await operation(
    world.app,
    inside,
    '{ organization { name slug } servers { nodes { name } } auditLog { nodes { action targetName } } }',
  )
  expect({ data, errors }).toEqual({
    errors: undefined,
    data: {
      organization: { name: 'Ada’s Shop', slug: 'ada-s-shop' },
      servers: { nodes: [{ name: 'local' }] },
      auditLog: { nodes: [{ action: 'createOrganization', targetName: 'Ada’s Shop' }] },
    },
  })
  const roles = await rows(
    world.app.db,
    sql`select r.system, m.user_id from role r left join member m on m.role_id = r.id where r.organization_id = ${made.id}::uuid order by r.system`,
  )
  expect(roles).toEqual([
    { system: 'OWNER', userId: ada.owner.userId },
    ...['ADMIN', 'DEVELOPER', 'VIEWER'].map((system) => ({ system, userId: null })),
  ])
})

it('the audit log of the organization in which the creator acted names neither the new organization nor one that was switched to', async () => {
  const made = await create(ada.owner, 'Secret Plan')
  await execute(as(ada.owner), switchOrganization, { organizationId: made.id })
  const entries = await rows(world.app.db, sql`select * from audit_entry where organization_id = ${ada.organizationId}::uuid`)
  expect(entries.map((entry) => (entry as { action: string }).action)).toContain('createOrganization')
  expect(JSON.stringify(entries, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toMatch(
    new RegExp(`Secret Plan|secret-plan|${made.id}`),
  )
})

it('slugs are unique in the installation: a generated one gets a suffix, a requested one is refused', async () => {
  const [bob, eve] = [await createTenant(world.app), await createTenant(world.app)]
  const first = await create(bob.owner, 'Twins')
  const second = await create(eve.owner, 'Twins')
  expect(second.slug).toMatch(/^twins-[a-z0-9]{4}$/)
  expect(await codeOf(create(eve.owner, 'Twins', first.slug))).toBe('slug_taken')
  const change = (input: object) => execute(as(within(eve.owner, second.id)), updateOrganization, { ...input })
  expect(await codeOf(change({ slug: 'twins' }))).toBe('slug_taken')
  expect(await codeOf(change({ slug: 'Not a slug' }))).toBe('invalid_input')
  const changed = (await change({ name: 'Twin', slug: 'other-twin', ifVersion: 1 })).organization
  expect(changed).toMatchObject({ name: 'Twin', slug: 'other-twin', version: 2 })
  expect((await change({ name: 'Twin' })).organization).toMatchObject({ version: 2 })
  expect(await codeOf(change({ name: 'Again', ifVersion: 1 }))).toBe('version_conflict')
})

it('one user cannot own more organizations than allowed, also when all are created at once', async () => {
  const bob = await createTenant(world.app)
  const codes = await Promise.all(Array.from({ length: 8 }, (_, n) => codeOf(create(bob.owner, `Of Bob ${n}`))))
  expect(codes.toSorted()).toEqual([...Array(3).fill('done'), ...Array(5).fill('organization_limit')])
})

it('API keys create no organization, switch none, and see only their own', async () => {
  const bob = await createTenant(world.app)
  const made = await create(bob.owner, 'Another of Bob')
  const key = bob.key('ADMIN')
  expect(await codeOf(create(key, 'By a key'))).toBe('forbidden')
  for (const organizationId of [made.id, bob.organizationId, newId()])
    expect(await codeOf(execute(as(key), switchOrganization, { organizationId }))).toBe('forbidden')
  const seen = async (caller: Caller) =>
    (await operation(world.app, caller, '{ organizations { totalCount nodes { id } } }')).data!.organizations
  const ids = [bob.organizationId, made.id].map((id) => encodeId('Organization', id))
  expect(await seen(key)).toEqual({ totalCount: 1, nodes: [{ id: ids[0] }] })
  expect(await seen(bob.owner)).toEqual({ totalCount: 2, nodes: ids.map((id) => ({ id })) })
})

it('a caller that is limited to projects cannot change the organization', async () => {
  const limited = { ...ada.owner, projectIds: [newId()] }
  expect(await codeOf(execute(as(limited), updateOrganization, { name: 'Mine' }))).toBe('forbidden')
})

it('the active organization is the one switched to last, else the first one; one of others is answered as an unknown one', async () => {
  const [bob, eve] = [await createTenant(world.app), await createTenant(world.app)]
  const second = await create(bob.owner, 'Second')
  const { accessToken } = await signIn(world.app, bob.owner)
  const active = async (slug: string | null = null) =>
    (await callerOfCredential(world.app, { text: accessToken, organization: slug, fromCookie: false }))?.organizationId
  const becomes = (id: string) => until('the active organization is known', async () => (await active()) === id)
  const switchTo = (organizationId: string) => codeOf(execute(as(bob.owner), switchOrganization, { organizationId }))
  expect(await active()).toBe(bob.organizationId)
  expect(await switchTo(second.id)).toBe('done')
  await becomes(second.id)
  expect(await active(bob.owner.subject.name)).toBe(bob.organizationId)
  expect(await switchTo(bob.organizationId)).toBe('done')
  await becomes(bob.organizationId)
  expect(await Promise.all([switchTo(eve.organizationId), switchTo(newId()), switchTo('x')])).toEqual(Array(3).fill('not_found'))
  expect(await active()).toBe(bob.organizationId)
})
