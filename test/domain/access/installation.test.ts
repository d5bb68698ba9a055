/** Administrators of the installation: who is one, what only they may do, and what becomes of a user whom they deactivate. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfCredential, createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { login, refreshSession, type SignedIn } from '../../../src/domain/access/session/index.ts'
import { administration, type Caller, permissions } from '../../../src/platform/access.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId, nilId } from '../../../src/platform/id.ts'
import { commands, queries } from '../../contract/support.ts'
import type { TestApp } from '../../support/app.ts'
import { password, signIn, withPassword } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, operation, request, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { addPerson, newProject, systemRole } from './people.ts'

let world: World
let other: TestApp
let acme: Tenant
let admin: Caller

const callerOf = (app: TestApp, text: string) => callerOfCredential(app, { text, organization: null, fromCookie: false })
const signedIn = async (caller: Caller) => (await callerOf(world.app, (await signIn(world.app, caller)).accessToken)) as Caller
const setAdministrator = (caller: Caller, value = true) =>
  run(world.app.db, sql`update user_account set is_administrator = ${value} where id = ${caller.userId}::uuid`)
const adminRun = async (source: string, variables: Record<string, unknown> = {}) => {
  const { data, errors } = await operation(world.app, admin, source, variables)
  return errors ? errors[0]!.code : data!
}

beforeAll(async () => {
  world = await createWorld()
  other = await world.process()
  acme = await createTenant(world.app, 'acme')
  await setAdministrator(acme.owner)
  admin = await signedIn(acme.owner)
})
afterAll(() => world?.close())

describe('what is for administrators', () => {
  /** Everything for administrators that any concept declares. */
  const all = [...commands.values(), ...queries.values()].filter(({ permission }) => permission === administration)
  const subjects: Record<string, () => Promise<Caller>> = {
    'the owner of another organization': async () => signedIn((await createTenant(world.app)).owner),
    'an admin of an organization': async () =>
      signedIn((await addPerson(world.app, acme, await systemRole(world.app, acme, 'ADMIN'))).caller),
    'a member limited to projects': async () => {
      const projects = [await newProject(world.app, acme)]
      return signedIn((await addPerson(world.app, acme, await systemRole(world.app, acme, 'DEVELOPER'), projects)).caller)
    },
    'an API key of an administrator with all permissions': async () => {
      const { plaintextKey } = await execute(request(world.app, admin), createApiKey, { name: 'all', scope: 'ADMIN' })
      return (await callerOf(world.app, plaintextKey!)) as Caller
    },
    'an oCore key of an administrator with all permissions': async () => {
      const { plaintextKey } = await execute(request(world.app, admin), createApiKey, {
        name: 'every permission',
        kind: 'OCORE',
        scope: 'ADMIN',
        permissions,
      })
      return (await callerOf(world.app, plaintextKey!)) as Caller
    },
  }

  it.each(Object.keys(subjects))('is refused to %s', async (title) => {
    const caller = await subjects[title]!()
    expect(all.length).toBeGreaterThan(5)
    for (const declared of all) {
      const asked = request(world.app, caller)
      const outcome = await codeOf('emits' in declared ? execute(asked, declared, { id: newId() }) : ask(asked, declared, {}))
      expect({ name: declared.name, outcome }).toEqual({ name: declared.name, outcome: 'forbidden' })
    }
    expect(caller.permissions.has(administration)).toBe(false)
  })

  it('has a permission that nobody can give to a role or key', async () => {
    const role = await adminRun(`mutation { createRole(input: {name: "r", permissions: ["${administration}"]}) { role { id } } }`)
    const key = await adminRun(
      `mutation { createApiKey(input: {name: "k", kind: OCORE, scope: ADMIN, permissions: ["${administration}"]}) { plaintextKey } }`,
    )
    expect([role, key]).toEqual(['invalid_input', 'invalid_input'])
    expect(await adminRun(`{ viewer { can(permission: "${administration}") } }`)).toEqual({ viewer: { can: true } })
  })

  it('is refused in all processes to one who no longer is an administrator', async () => {
    const former = await createTenant(world.app)
    await setAdministrator(former.owner)
    const { accessToken } = await signIn(world.app, former.owner)
    expect((await callerOf(other, accessToken))!.permissions.has(administration)).toBe(true)
    await setAdministrator(former.owner, false)
    world.app.wake.notify('credentials')
    await until('the other process sees it', async () => !(await callerOf(other, accessToken))!.permissions.has(administration))
  })
})

const deactivate = 'mutation ($id: ID!) { deactivateUser(input: {id: $id}) { user { deactivatedAt } } }'
const reactivate = 'mutation ($id: ID!) { reactivateUser(input: {id: $id}) { user { deactivatedAt } } }'

describe('a user who is deactivated', () => {
  it('loses sessions and API keys at once in all processes, cannot sign in, and can again when reactivated', async () => {
    const user = await createTenant(world.app)
    const id = encodeId('User', user.owner.userId!)
    const { plaintextKey } = await execute(request(world.app, user.owner), createApiKey, { name: 'ci', scope: 'ADMIN' })
    const { accessToken, refreshToken } = await signIn(world.app, user.owner)
    const email = await withPassword(world.app, user.owner)
    for (const text of [plaintextKey!, accessToken]) expect(await callerOf(other, text)).not.toBeNull()

    expect(await adminRun(deactivate, { id })).toEqual({ deactivateUser: { user: { deactivatedAt: expect.any(String) } } })
    for (const text of [plaintextKey!, accessToken]) {
      expect(await callerOf(world.app, text)).toBeNull()
      await until('the other process sees it', async () => (await callerOf(other, text)) === null)
    }
    expect(await codeOf(refreshSession(world.app, refreshToken))).toBe('refresh_failed')
    expect(await codeOf(login(world.app, { email, password }, 'test'))).toBe('user_deactivated')
    expect(await codeOf(login(world.app, { email, password: 'not the password' }, 'test'))).toBe('login_failed')

    expect(await adminRun(reactivate, { id })).toEqual({ reactivateUser: { user: { deactivatedAt: null } } })
    expect(await callerOf(world.app, accessToken)).toBeNull()
    await until('the key works again', async () => callerOf(other, plaintextKey!))
    expect(await callerOf(world.app, ((await login(world.app, { email, password }, 'test')) as SignedIn).accessToken)).not.toBeNull()

    const logged = (organizationId: string) =>
      rows<{ action: string; actorId: string }>(
        world.app.db,
        sql`select action, actor_id from audit_entry
            where organization_id = ${organizationId}::uuid and target_id = ${user.owner.userId}::uuid and action like '%activateUser' order by id`,
      )
    const both = ['deactivateUser', 'reactivateUser'].map((action) => ({ action, actorId: admin.userId }))
    expect(await logged(user.organizationId)).toEqual(both)
    expect(await logged(nilId)).toEqual(both)
    expect(await logged(acme.organizationId)).toEqual([])
  })

  it('is not the last administrator, also when two deactivate each other at the same time', async () => {
    const second = await createTenant(world.app)
    await setAdministrator(second.owner)
    const callers = [admin, await signedIn(second.owner)]
    const ids = callers.map(({ userId }) => encodeId('User', userId!))
    const codes = await Promise.all(
      callers.map(
        async (caller, index) => (await operation(world.app, caller, deactivate, { id: ids[1 - index] })).errors?.[0]?.code ?? 'done',
      ),
    )
    expect(codes.sort()).toEqual(['done', 'last_administrator'])
    await run(world.app.db, sql`update user_account set deactivated_at = null, is_administrator = (id = ${admin.userId}::uuid)`)
    world.app.wake.notify('credentials')
    admin = await signedIn(acme.owner)
    expect(await adminRun(deactivate, { id: ids[0] })).toBe('last_administrator')
  })
})

describe('a user whom an administrator creates', () => {
  const create = `mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id email organizationCount isAdministrator emailVerified } } }`
  const created = async (input: object) =>
    adminRun(create, { input: { name: 'Grace', password, organizationId: encodeId('Organization', acme.organizationId), ...input } })

  it('is a Viewer of the organization and can sign in', async () => {
    const email = 'grace@example.com'
    expect(await created({ email: 'Grace@Example.com' })).toEqual({
      createUser: { user: { id: expect.any(String), email, organizationCount: 1, isAdministrator: false, emailVerified: false } },
    })
    const caller = await callerOf(world.app, ((await login(world.app, { email, password }, 'test')) as SignedIn).accessToken)
    expect(caller).toMatchObject({ organizationId: acme.organizationId })
    expect(caller!.permissions.has('view:projects') && !caller!.permissions.has('manage:projects')).toBe(true)
    expect(await created({ email })).toBe('email_taken')
  })

  it('is refused with a weak password, in an unknown organization and with a role of another one, and nothing remains', async () => {
    const elsewhere = await createTenant(world.app)
    const email = 'nobody@example.com'
    expect([
      await created({ email, password: 'password' }),
      await created({ email, organizationId: encodeId('Organization', newId()) }),
      await created({ email, roleId: encodeId('Role', await systemRole(world.app, elsewhere, 'OWNER')) }),
    ]).toEqual(['password_too_common', 'not_found', 'not_found'])
    expect(await rows(world.app.db, sql`select id from user_account where email = ${email}`)).toEqual([])
  })
})

describe('the list of users', () => {
  const listed = async (search: string) => {
    const { data } = await operation(
      world.app,
      admin,
      'query ($search: String) { adminUsers(search: $search, first: 100) { totalCount nodes { email } } }',
      {
        search,
      },
    )
    return (data!.adminUsers.nodes as { email: string }[]).map(({ email }) => email)
  }

  it('is searched for any text, whichever characters it has', async () => {
    const names = ['100%', 'a_b', "O'Neil", 'back\\slash', '"quoted"']
    for (const [index, name] of names.entries())
      await run(
        world.app.db,
        sql`insert into user_account (id, email, name) values (${newId()}::uuid, ${`search-${index}@example.com`}, ${name})`,
      )
    for (const [index, text] of ['0%', 'A_B', "o'n", 'k\\s', '"quoted"'].entries())
      expect({ text, found: await listed(text) }).toEqual({ text, found: [`search-${index}@example.com`] })
    expect(await listed('SEARCH-')).toHaveLength(5)
    expect(await listed('a%b')).toEqual([])
  })

  it('has pages that stay the same while users are added', async () => {
    const page = async (after: string | null) =>
      (
        await operation(
          world.app,
          admin,
          'query ($after: String) { adminUsers(search: "search-", first: 2, after: $after) { nodes { email } pageInfo { endCursor } } }',
          { after },
        )
      ).data!.adminUsers
    const first = await page(null)
    await run(world.app.db, sql`insert into user_account (id, email, name) values (${newId()}::uuid, 'search-new@example.com', 'New')`)
    const second = await page(first.pageInfo.endCursor)
    const third = await page(second.pageInfo.endCursor)
    expect([first, second, third].flatMap(({ nodes }) => nodes.map(({ email }: { email: string }) => email))).toEqual(
      ['0', '1', '2', '3', '4', 'new'].map((end) => `search-${end}@example.com`),
    )
  })
})

it('the list of organizations counts their members', async () => {
  const { data } = await operation(world.app, admin, '{ adminOrganizations(first: 100) { totalCount nodes { slug memberCount } } }')
  expect(data!.adminOrganizations.totalCount).toBe(data!.adminOrganizations.nodes.length)
  const shown = data!.adminOrganizations.nodes.find(({ slug }: { slug: string }) => slug === 'acme')
  const [counted] = await rows<{ n: number }>(
    world.app.db,
    sql`select count(*)::int as n from member where organization_id = ${acme.organizationId}::uuid`,
  )
  expect(shown.memberCount).toBe(counted!.n)
})
