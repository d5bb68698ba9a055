import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { inviteMember } from '../../../src/domain/access/invitation/index.ts'
import { createRole, deleteRole, updateRole } from '../../../src/domain/access/role/index.ts'
import { describedPermissions, reservedText } from '../../../src/domain/access/role/permission.ts'
import { permissions, rolePermissions } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { provideEmail } from '../../support/email.ts'
import { codeOf, createTenant, createWorld, operation, refusal, request, type Tenant, type World } from '../../support/tenant.ts'
import { addPerson, auditOf, customRole, eventsOf, keyOf, newProject, systemRole } from './people.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  provideEmail(world.app)
})
beforeEach(async () => {
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const create = (input: CommandInput, caller = tenant.owner) =>
  execute(request(world.app, caller), createRole, { permissions: [], ...input })
const update = (id: string, input: CommandInput, caller = tenant.owner) => execute(request(world.app, caller), updateRole, { id, ...input })
const remove = (id: string, caller = tenant.owner) => execute(request(world.app, caller), deleteRole, { id })

describe('roles', () => {
  it('list the system roles first, with their permissions and the number of their members', async () => {
    await create({ name: 'Deployer', description: 'Ships.', permissions: ['deploy:web_services', 'view:web_services'] })
    const { data } = await operation(
      world.app,
      tenant.owner,
      '{ roles { totalCount nodes { name description isSystem memberCount permissions version } } }',
    )
    expect(data!.roles.totalCount).toBe(5)
    expect(data!.roles.nodes.map(({ name, isSystem, memberCount }: Record<string, unknown>) => [name, isSystem, memberCount])).toEqual([
      ['Owner', true, 1],
      ['Admin', true, 0],
      ['Developer', true, 0],
      ['Viewer', true, 0],
      ['Deployer', false, 0],
    ])
    expect(data!.roles.nodes[0].permissions).toEqual(permissions)
    expect(data!.roles.nodes[1].permissions).toEqual([...rolePermissions('ADMIN')])
    expect(data!.roles.nodes[4]).toMatchObject({
      description: 'Ships.',
      permissions: ['view:web_services', 'deploy:web_services'],
      version: 1,
    })
  })

  it('are made, changed and deleted with events and audit entries that show before and after', async () => {
    const { role } = await create({ name: 'Deployer', permissions: ['view:projects'] })
    const { role: changed } = await update(role.id, { name: 'Shipper', permissions: ['view:projects', 'view:secrets'] })
    expect(changed).toMatchObject({ name: 'Shipper', permissions: ['view:projects', 'view:secrets'], version: 2 })
    expect((await update(role.id, { name: 'Shipper' })).role.version).toBe(2)
    expect(await remove(role.id)).toEqual({ deletedId: role.id })
    expect(await eventsOf(world.app, role.id)).toEqual(['role.created', 'role.updated', 'role.deleted'])
    expect(await auditOf(world.app, role.id)).toEqual([
      expect.objectContaining({ action: 'createRole', before: null, after: { name: 'Deployer', permissions: ['view:projects'] } }),
      expect.objectContaining({
        action: 'updateRole',
        before: { name: 'Deployer', permissions: ['view:projects'] },
        after: { name: 'Shipper', permissions: ['view:projects', 'view:secrets'] },
      }),
      expect.objectContaining({ action: 'updateRole', before: null, after: null }),
      expect.objectContaining({ action: 'deleteRole', targetName: 'Shipper', after: null }),
    ])
  })

  it('hold each permission once, in one order, and refuse unknown ones', async () => {
    const { role } = await create({ name: 'Twice', permissions: ['view:secrets', 'view:projects', 'view:secrets'] })
    expect(role.permissions).toEqual(['view:projects', 'view:secrets'])
    for (const wrong of ['view:everything', '', 'VIEW:PROJECTS', '__proto__'])
      expect(await refusal(create({ name: 'Wrong', permissions: [wrong] }))).toMatchObject({ code: 'invalid_input', field: 'permissions' })
    expect(await refusal(update(role.id, { permissions: ['view:everything'] }))).toMatchObject({ code: 'invalid_input' })
  })

  it.each([
    ['Deployer', 'DEPLOYER'],
    ['Größe', 'GRÖßE'],
    ['Owner', 'owner'],
  ])('have unique names regardless of case: %s and %s', async (name, other) => {
    if (name !== 'Owner') await create({ name })
    expect(await refusal(create({ name: other }))).toMatchObject({ code: 'name_taken', field: 'name' })
    const { role } = await create({ name: 'Third' })
    expect(await codeOf(update(role.id, { name: other }))).toBe('name_taken')
    expect(await codeOf(create({ name }, (await createTenant(world.app)).owner))).toBe(name === 'Owner' ? 'name_taken' : 'done')
  })

  it('keep their name when only its case changes', async () => {
    const { role } = await create({ name: 'deployer' })
    expect((await update(role.id, { name: 'Deployer' })).role.name).toBe('Deployer')
  })

  it.each(['OWNER', 'ADMIN', 'DEVELOPER', 'VIEWER'] as const)(
    'of the system cannot be changed or deleted, not even by an owner: %s',
    async (system) => {
      const id = await systemRole(world.app, tenant, system)
      for (const act of [() => update(id, { name: 'Mine' }), () => update(id, { permissions: [] }), () => remove(id)])
        expect(await codeOf(act())).toBe('system_role')
    },
  )

  it('refuse an update of an earlier version', async () => {
    const { role } = await create({ name: 'Deployer' })
    expect(await codeOf(update(role.id, { name: 'Shipper', ifVersion: 9 }))).toBe('version_conflict')
  })
})

describe('nobody gives more than they have', () => {
  it('in a new or changed role, as a user or by an API key', async () => {
    const admin = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'))
    const few = await addPerson(world.app, tenant, await customRole(world.app, tenant, ['view:roles', 'manage:roles', 'view:projects']))
    const { role } = await create({ name: 'Small', permissions: ['view:projects'] })
    for (const [caller, permission] of [
      [admin.caller, 'delete:organization'],
      [few.caller, 'view:secrets'],
      [keyOf(admin.caller, 'ADMIN'), 'delete:organization'],
      [keyOf(few.caller, 'ADMIN'), 'reveal:secrets'],
    ] as const) {
      for (const act of [
        () => create({ name: 'More', permissions: [permission] }, caller),
        () => update(role.id, { permissions: [permission] }, caller),
      ])
        expect(await refusal(act())).toMatchObject({ code: 'forbidden', field: 'permissions' })
    }
    expect(await codeOf(update(role.id, { permissions: [] }, few.caller))).toBe('done')
  })

  it('by a key without the permission, whatever its creator has', async () => {
    for (const scope of ['READ', 'WRITE'] as const) expect(await codeOf(create({ name: 'By key' }, tenant.key(scope)))).toBe('forbidden')
  })

  it('nor changes or deletes a role that has more', async () => {
    const { role } = await create({ name: 'Big', permissions: ['delete:organization'] })
    const admin = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'))
    for (const act of [
      () => update(role.id, { name: 'Small' }, admin.caller),
      () => update(role.id, { permissions: [] }, admin.caller),
      () => remove(role.id, admin.caller),
    ])
      expect(await refusal(act())).toMatchObject({ code: 'forbidden', field: 'id' })
  })

  it('nor manages roles while limited to projects, as a member or by a key', async () => {
    const project = await newProject(world.app, tenant)
    const limited = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'), [project])
    const { role } = await create({ name: 'Small' })
    for (const caller of [limited.caller, tenant.key('ADMIN', project)]) {
      expect(await codeOf(create({ name: 'Mine' }, caller))).toBe('forbidden')
      for (const act of [() => update(role.id, { name: 'Mine' }, caller), () => remove(role.id, caller)])
        expect(await codeOf(act())).toBe('not_found')
    }
  })
})

describe('a role in use', () => {
  it('by a member cannot be deleted', async () => {
    const { role } = await create({ name: 'Used' })
    await addPerson(world.app, tenant, role.id)
    expect(await refusal(remove(role.id))).toMatchObject({ code: 'role_in_use', field: 'id' })
  })

  it('by a pending invitation cannot be deleted; by one that has ended it can', async () => {
    const { role } = await create({ name: 'Used' })
    const invite = () => execute(request(world.app, tenant.owner), inviteMember, { email: 'ada@example.com', roleId: role.id })
    const { invitation } = await invite()
    expect(await codeOf(remove(role.id))).toBe('role_in_use')
    await run(world.app.db, sql`update invitation set expires_at = app_now() where id = ${invitation.id}::uuid`)
    expect(await codeOf(remove(role.id))).toBe('done')
  })
})

describe('permissions', () => {
  it('are all listed, each with a description', async () => {
    const { data } = await operation(world.app, tenant.owner, '{ permissions { name description } }')
    expect(data!.permissions.map(({ name }: { name: string }) => name)).toEqual(permissions)
    for (const { description } of data!.permissions) expect(description).toMatch(/^[A-Z].*\.$/)
  })

  it('that no operation requires, and no others, are reserved', () => {
    const { commands, queries, nodes } = world.app.domain
    const required = new Set([...commands.values(), ...queries.values(), ...nodes.values()].map(({ permission }) => permission))
    const reserved = describedPermissions.filter(({ description }) => description === reservedText).map(({ name }) => name)
    expect(reserved.filter((name) => required.has(name))).toEqual([])
    const checkedOtherwise = ['delete:organization', 'manage:organization']
    expect(permissions.filter((name) => !required.has(name) && !reserved.includes(name) && !checkedOtherwise.includes(name))).toEqual([])
  })
})

it('a role is found by its id, and not by another organization', async () => {
  const { role } = await create({ name: 'Deployer' })
  const id = encodeId('Role', role.id)
  expect(id).toMatch(/^role_/)
  const source = 'query ($id: ID!) { node(id: $id) { id ... on Role { name } } }'
  expect((await operation(world.app, tenant.owner, source, { id })).data!.node).toEqual({ id, name: 'Deployer' })
  expect((await operation(world.app, (await createTenant(world.app)).owner, source, { id })).data!.node).toBeNull()
})
