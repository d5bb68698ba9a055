import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { callerOfKey, createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { leaveOrganization, removeMember, transferOwnership, updateMember } from '../../../src/domain/access/member/index.ts'
import { updateRole } from '../../../src/domain/access/role/index.ts'
import { rolePermissions } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { codeOf, createTenant, createWorld, operation, refusal, request, setRole, type Tenant, type World } from '../../support/tenant.ts'
import {
  addPerson,
  auditOf,
  callerOf,
  customRole,
  eventsOf,
  keyOf,
  newProject,
  ownMemberId,
  type Person,
  roleNames,
  systemRole,
} from './people.ts'

let world: World
let tenant: Tenant
let owner: string
let admin: string
let developer: string
let viewer: string
let ownId: string

beforeAll(async () => {
  world = await createWorld()
})
beforeEach(async () => {
  tenant = await createTenant(world.app)
  const role = (name: 'OWNER' | 'ADMIN' | 'DEVELOPER' | 'VIEWER') => systemRole(world.app, tenant, name)
  ;[owner, admin, developer, viewer] = [await role('OWNER'), await role('ADMIN'), await role('DEVELOPER'), await role('VIEWER')]
  ownId = await ownMemberId(world.app, tenant)
})
afterAll(() => world?.close())

const person = (roleId: string, projectIds: string[] | null = null) => addPerson(world.app, tenant, roleId, projectIds)
const update = (id: string, input: CommandInput, caller = tenant.owner) =>
  execute(request(world.app, caller), updateMember, { id, ...input })
const remove = (id: string, caller = tenant.owner) => execute(request(world.app, caller), removeMember, { id })
const leave = (caller = tenant.owner) => execute(request(world.app, caller), leaveOrganization, {})
const transfer = (memberId: string, caller = tenant.owner) => execute(request(world.app, caller), transferOwnership, { memberId })
const rights = async ({ userId }: Person) => {
  const { permissions, projectIds } = await callerOf(world.app, tenant, userId)
  return { permissions, projectIds }
}
const isMember = async ({ memberId }: Person) =>
  (await rows(world.app.db, sql`select 1 from member where id = ${memberId}::uuid`)).length === 1

describe('members', () => {
  it('are listed with user, role and the projects that limit them', async () => {
    const project = await newProject(world.app, tenant)
    const { email } = await person(developer, [project])
    const { data, errors } = await operation(
      world.app,
      tenant.owner,
      '{ members { totalCount nodes { id user { email } role { name } projects { id } } } }',
    )
    expect(errors).toBeUndefined()
    expect(data!.members).toEqual({
      totalCount: 2,
      nodes: [
        { id: encodeId('Member', ownId), user: { email: expect.any(String) }, role: { name: 'Owner' }, projects: null },
        {
          id: expect.stringMatching(/^mem_/),
          user: { email },
          role: { name: 'Developer' },
          projects: [{ id: encodeId('Project', project) }],
        },
      ],
    })
  })

  it('that are limited to projects see themselves only', async () => {
    const limited = await person(developer, [await newProject(world.app, tenant)])
    const { data } = await operation(
      world.app,
      limited.caller,
      '{ members { totalCount nodes { id } } roles { totalCount } invitations { totalCount } }',
    )
    expect(data).toEqual({
      members: { totalCount: 1, nodes: [{ id: encodeId('Member', limited.memberId) }] },
      roles: { totalCount: 0 },
      invitations: { totalCount: 0 },
    })
  })

  it('change role and projects, with events and audit entries that show before and after', async () => {
    const project = await newProject(world.app, tenant)
    const { memberId, email, ...ada } = await person(viewer)
    const { member } = await update(memberId, { roleId: developer, projectIds: [project, project] })
    expect(member).toMatchObject({ roleId: developer, projectsLimited: true, version: 2 })
    expect(await rights({ memberId, email, ...ada })).toEqual({ permissions: rolePermissions('DEVELOPER'), projectIds: [project] })
    expect((await update(memberId, { roleId: developer })).member.version).toBe(2)
    expect((await update(memberId, { projectIds: null })).member).toMatchObject({ projectsLimited: false, version: 3 })
    expect(await rights({ memberId, email, ...ada })).toEqual({ permissions: rolePermissions('DEVELOPER'), projectIds: null })
    expect(await eventsOf(world.app, memberId)).toEqual(['member.updated', 'member.updated'])
    const [first, , last] = await auditOf(world.app, memberId)
    expect(first).toMatchObject({
      action: 'updateMember',
      targetName: email,
      before: { roleId: viewer, roleName: 'Viewer', projectIds: null },
      after: { roleId: developer, roleName: 'Developer', projectIds: [project] },
    })
    expect(last).toMatchObject({ before: { projectIds: [project] }, after: { projectIds: null } })
  })

  it('refuse roles and projects of another organization like unknown ones, and change nothing', async () => {
    const other = await createTenant(world.app)
    const { memberId } = await person(viewer)
    for (const roleId of [newId(), await systemRole(world.app, other, 'VIEWER'), 'x'])
      expect(await refusal(update(memberId, { roleId, projectIds: [] }))).toMatchObject({ code: 'not_found', field: 'roleId' })
    const own = await newProject(world.app, tenant)
    for (const projectId of [newId(), await newProject(world.app, other), 'x'])
      expect(await refusal(update(memberId, { projectIds: [own, projectId] }))).toMatchObject({ code: 'not_found', field: 'projectIds' })
    expect(await auditOf(world.app, memberId)).toEqual([])
    expect(await eventsOf(world.app, memberId)).toEqual([])
  })

  it('refuse an update of an earlier version', async () => {
    const { memberId } = await person(viewer)
    expect(await codeOf(update(memberId, { roleId: developer, ifVersion: 7 }))).toBe('version_conflict')
    expect(await codeOf(execute(request(world.app, tenant.owner), removeMember, { id: memberId, ifVersion: 7 }))).toBe('version_conflict')
  })
})

describe('nobody gives or takes more than they have', () => {
  it('an admin manages members below an owner, and makes none', async () => {
    const [ada, bob, boss] = [await person(admin), await person(viewer), await person(owner)]
    expect(await codeOf(update(bob.memberId, { roleId: admin }, ada.caller))).toBe('done')
    for (const [field, act] of [
      ['roleId', () => update(bob.memberId, { roleId: owner }, ada.caller)],
      ['roleId', () => update(ada.memberId, { roleId: owner }, ada.caller)],
      ['id', () => update(boss.memberId, { roleId: viewer }, ada.caller)],
      ['id', () => update(boss.memberId, { projectIds: [] }, ada.caller)],
      ['id', () => remove(boss.memberId, ada.caller)],
    ] as const)
      expect(await refusal(act())).toMatchObject({ code: 'forbidden', field })
    expect(await codeOf(remove(bob.memberId, ada.caller))).toBe('done')
  })

  it('a custom role with all permissions is no owner', async () => {
    const all = await person(await customRole(world.app, tenant, [...rolePermissions('OWNER')]))
    const [bob, boss] = [await person(viewer), await person(owner)]
    expect(await codeOf(update(bob.memberId, { roleId: admin }, all.caller))).toBe('done')
    for (const act of [
      () => update(bob.memberId, { roleId: owner }, all.caller),
      () => update(boss.memberId, { roleId: viewer }, all.caller),
      () => remove(boss.memberId, all.caller),
      () => transfer(bob.memberId, all.caller),
    ])
      expect(await codeOf(act())).toBe('forbidden')
  })

  it('whoever may manage members gives only roles whose permissions they have', async () => {
    const host = await person(await customRole(world.app, tenant, ['view:members', 'manage:members', 'view:projects']))
    const small = await customRole(world.app, tenant, ['view:projects'])
    const [bob, dev] = [await person(small), await person(developer)]
    expect(await codeOf(update(bob.memberId, { projectIds: [] }, host.caller))).toBe('done')
    expect(await refusal(update(bob.memberId, { roleId: viewer }, host.caller))).toMatchObject({ code: 'forbidden', field: 'roleId' })
    expect(await refusal(update(host.memberId, { roleId: admin }, host.caller))).toMatchObject({ code: 'forbidden', field: 'roleId' })
    expect(await refusal(update(dev.memberId, { roleId: small }, host.caller))).toMatchObject({ code: 'forbidden', field: 'id' })
    expect(await codeOf(remove(bob.memberId, host.caller))).toBe('forbidden')
  })

  it('an API key acts with its own permissions', async () => {
    const [bob, boss] = [await person(viewer), await person(owner)]
    for (const scope of ['READ', 'WRITE'] as const)
      expect(await codeOf(update(bob.memberId, { roleId: developer }, tenant.key(scope)))).toBe('forbidden')
    const partial = { ...tenant.key('ADMIN'), permissions: new Set(['manage:members', 'delete:members', 'view:projects'] as const) }
    expect(await refusal(update(bob.memberId, { roleId: developer }, partial))).toMatchObject({ code: 'forbidden', field: 'id' })
    expect(await refusal(remove(boss.memberId, partial))).toMatchObject({ code: 'forbidden', field: 'id' })
    expect(await codeOf(update(bob.memberId, { roleId: owner }, tenant.key('ADMIN')))).toBe('done')
  })

  it('with rights that were lost a moment ago, which the caller still carries', async () => {
    const [ada, bob] = [await person(admin), await person(viewer)]
    await setRole({ tx: world.app.db }, ada.caller, 'DEVELOPER')
    expect(await codeOf(update(bob.memberId, { roleId: developer }, ada.caller))).toBe('forbidden')
    expect(await codeOf(update(bob.memberId, { roleId: developer }, keyOf(ada.caller, 'ADMIN')))).toBe('forbidden')
    await run(world.app.db, sql`delete from member where id = ${ada.memberId}::uuid`)
    for (const act of [() => remove(bob.memberId, ada.caller), () => remove(bob.memberId, keyOf(ada.caller, 'ADMIN'))])
      expect(await codeOf(act())).toBe('forbidden')
  })

  it('nor manages members while limited to projects, as a member or by a key', async () => {
    const project = await newProject(world.app, tenant)
    const [limited, bob] = [await person(admin, [project]), await person(viewer)]
    for (const caller of [
      limited.caller,
      keyOf(limited.caller, 'ADMIN'),
      tenant.key('ADMIN', project),
      { ...limited.caller, projectIds: null },
    ]) {
      expect(await codeOf(update(bob.memberId, { projectIds: [project] }, caller))).toBe('forbidden')
      expect(await codeOf(remove(bob.memberId, caller))).toBe('forbidden')
      expect(await codeOf(update(limited.memberId, { projectIds: null }, caller))).toBe('forbidden')
    }
    expect((await rights(limited)).projectIds).toEqual([project])
  })

  it('an owner cannot be limited to projects', async () => {
    const project = await newProject(world.app, tenant)
    const limited = await person(developer, [project])
    for (const act of [
      () => update(ownId, { projectIds: [project] }),
      () => update(limited.memberId, { roleId: owner }),
      () => update(limited.memberId, { roleId: owner, projectIds: [] }),
    ])
      expect(await refusal(act())).toMatchObject({ code: 'invalid_input', field: 'projectIds' })
    expect(await codeOf(update(limited.memberId, { roleId: owner, projectIds: null }))).toBe('done')
  })
})

describe('at least one owner remains', () => {
  it('the last one is not demoted or removed and cannot leave, whoever asks', async () => {
    await person(admin)
    for (const act of [
      () => update(ownId, { roleId: admin }),
      () => remove(ownId),
      () => leave(),
      () => remove(ownId, tenant.key('ADMIN')),
    ])
      expect(await refusal(act())).toMatchObject({ code: 'last_owner', kind: 'conflict' })
    expect(await roleNames(world.app, tenant)).toEqual(['Admin', 'Owner'])
  })

  it('the last but one is and can', async () => {
    const [bob, eve] = [await person(owner), await person(owner)]
    expect(await codeOf(update(bob.memberId, { roleId: viewer }, eve.caller))).toBe('done')
    expect(await codeOf(leave(eve.caller))).toBe('done')
    expect(await codeOf(leave())).toBe('last_owner')
  })

  it('of 20 owners who are all demoted at once by each other', async () => {
    const owners = [...(await Promise.all(Array.from({ length: 19 }, () => person(owner)))), { memberId: ownId, caller: tenant.owner }]
    const outcomes = await Promise.all(
      owners.map(({ memberId }, n) => codeOf(update(memberId, { roleId: admin }, owners[(n + 1) % 20]!.caller))),
    )
    expect(await roleNames(world.app, tenant)).toContain('Owner')
    expect(outcomes).toContain('done')
    expect(new Set(outcomes)).not.toContain('internal')
  })

  it('of 20 owners who demote themselves, leave, are removed and transfer at once', async () => {
    const other = await world.process()
    const owners = await Promise.all(Array.from({ length: 20 }, () => person(owner)))
    await run(world.app.db, sql`delete from member where id = ${ownId}::uuid`)
    const acts = owners.map(({ memberId, caller }, n) => {
      const through = request(n % 2 ? world.app : other, caller)
      return [
        () => execute(through, updateMember, { id: memberId, roleId: viewer }),
        () => execute(through, leaveOrganization, {}),
        () => execute(through, removeMember, { id: memberId }),
        () => execute(through, transferOwnership, { memberId: owners[(n + 1) % 20]!.memberId }),
      ][n % 4]!
    })
    const outcomes = await Promise.all(acts.map((act) => codeOf(act() as Promise<unknown>)))
    const names = await roleNames(world.app, tenant)
    expect(names.filter((name) => name === 'Owner').length).toBeGreaterThanOrEqual(1)
    expect(outcomes.filter((code) => !['done', 'last_owner', 'not_found', 'forbidden'].includes(code))).toEqual([])
  })

  it('when the only owner and a new one are demoted at once: exactly one is', async () => {
    for (let round = 0; round < 5; round++) {
      const second = await person(owner)
      const outcomes = await Promise.all([
        codeOf(update(second.memberId, { roleId: admin }, second.caller)),
        codeOf(update(ownId, { roleId: admin }, tenant.owner)),
      ])
      expect(outcomes.toSorted()).toEqual(['done', 'last_owner'])
      await setRole({ tx: world.app.db }, tenant.owner, 'OWNER')
      await run(world.app.db, sql`delete from member where id = ${second.memberId}::uuid`)
    }
  })
})

describe('transferring ownership', () => {
  it('makes another member an owner of everything and the former one an admin', async () => {
    const bob = await person(viewer, [await newProject(world.app, tenant)])
    const { member, formerOwner } = await transfer(bob.memberId)
    expect(member).toMatchObject({ id: bob.memberId, roleId: owner, projectsLimited: false })
    expect(formerOwner).toMatchObject({ id: ownId, roleId: admin })
    expect(await rights(bob)).toEqual({ permissions: rolePermissions('OWNER'), projectIds: null })
    for (const id of [ownId, bob.memberId]) {
      expect(await eventsOf(world.app, id)).toEqual(['member.updated'])
      const changed = (await auditOf(world.app, id)).find(({ action, before }) => action === 'transferOwnership' && before !== null)
      expect(changed?.after).toMatchObject({ roleName: id === ownId ? 'Admin' : 'Owner' })
    }
    expect(await codeOf(transfer(bob.memberId))).toBe('forbidden')
  })

  it('is refused to others, to API keys, and to oneself', async () => {
    const [ada, bob] = [await person(admin), await person(viewer)]
    expect(await codeOf(transfer(bob.memberId, ada.caller))).toBe('forbidden')
    expect(await codeOf(transfer(bob.memberId, tenant.key('ADMIN')))).toBe('forbidden')
    expect(await codeOf(transfer(bob.memberId, { ...bob.caller, permissions: rolePermissions('OWNER') }))).toBe('forbidden')
    expect(await refusal(transfer(ownId))).toMatchObject({ code: 'invalid_input', field: 'memberId' })
    expect(await codeOf(transfer(newId()))).toBe('not_found')
  })
})

describe('who is gone', () => {
  const keys = async ({ caller }: Person, projectId: string) => {
    const make = (input: CommandInput) => execute(request(world.app, caller), createApiKey, { name: 'ci', scope: 'READ', ...input })
    return [await make({}), await make({ projectId })].map(({ apiKey, plaintextKey }) => ({ id: apiKey.id, text: plaintextKey! }))
  }

  it.each(['removed', 'left'] as const)('has no valid API key any more, in no process, also none of a project: %s', async (way) => {
    const other = await world.process()
    const bob = await person(admin)
    const made = await keys(bob, await newProject(world.app, tenant))
    for (const app of [world.app, other]) for (const { text } of made) expect(await callerOfKey(app, text)).not.toBeNull()
    const heard = other.wake.next('credentials', 60_000)
    await (way === 'removed' ? remove(bob.memberId) : leave(bob.caller))
    await heard
    for (const app of [world.app, other]) for (const { text } of made) expect(await callerOfKey(app, text)).toBeNull()
    expect(await eventsOf(world.app, bob.memberId)).toEqual([`member.${way}`])
    for (const { id } of made) {
      expect(await eventsOf(world.app, id)).toEqual(['api_key.created', 'api_key.revoked'])
      expect(await auditOf(world.app, id)).toContainEqual(
        expect.objectContaining({ action: 'revokeApiKey', details: { reason: 'member gone' } }),
      )
    }
    expect(await isMember(bob)).toBe(false)
  })

  it('has no valid key after joining again either', async () => {
    const bob = await person(admin)
    const [key] = await keys(bob, await newProject(world.app, tenant))
    await remove(bob.memberId)
    const fields = { id: newId(), organizationId: tenant.organizationId, userId: bob.userId, roleId: owner }
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
          values (${fields.id}::uuid, ${fields.organizationId}::uuid, ${fields.userId}::uuid, ${fields.roleId}::uuid)`,
    )
    expect(await callerOfKey(world.app, key!.text)).toBeNull()
  })

  it('keeps the keys of other organizations', async () => {
    const bob = await person(admin)
    const own = await createTenant(world.app)
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
          values (${newId()}::uuid, ${own.organizationId}::uuid, ${bob.userId}::uuid, ${await systemRole(world.app, own, 'ADMIN')}::uuid)`,
    )
    const there = await callerOf(world.app, own, bob.userId)
    const { plaintextKey } = await execute(request(world.app, there), createApiKey, { name: 'ci', scope: 'READ' })
    await remove(bob.memberId)
    expect(await callerOfKey(world.app, plaintextKey!)).not.toBeNull()
  })

  it('leaves no valid key of those that are being created', async () => {
    const bob = await person(admin)
    const create = () => execute(request(world.app, bob.caller), createApiKey, { name: 'ci', scope: 'READ' })
    await Promise.all([...Array.from({ length: 12 }, () => codeOf(create())), remove(bob.memberId)])
    const left = sql`select 1 as one from api_key where created_by_id = ${bob.userId}::uuid and revoked_at is null`
    expect(await rows(world.app.db, left)).toEqual([])
  })

  it('was limited to projects, which remain', async () => {
    const project = await newProject(world.app, tenant)
    const bob = await person(viewer, [project])
    await remove(bob.memberId)
    expect(await rows(world.app.db, sql`select 1 from project where id = ${project}::uuid`)).toHaveLength(1)
    expect(await rows(world.app.db, sql`select 1 from member_project where member_id = ${bob.memberId}::uuid`)).toEqual([])
  })
})

it('leaving is for signed-in members, not for API keys', async () => {
  const bob = await person(viewer)
  expect(await codeOf(leave(keyOf(bob.caller, 'ADMIN')))).toBe('forbidden')
  expect(await leave(bob.caller)).toEqual({ deletedId: bob.memberId })
  expect(await codeOf(leave(bob.caller))).toBe('forbidden')
})

it('a key loses at once what its creator loses, by another role or by a change of the role', async () => {
  const roleId = await customRole(world.app, tenant, ['view:projects', 'view:secrets', 'manage:api_keys'])
  const bob = await person(roleId)
  const { plaintextKey } = await execute(request(world.app, bob.caller), createApiKey, { name: 'ci', scope: 'READ' })
  const permissions = async () => [...((await callerOfKey(world.app, plaintextKey!))?.permissions ?? [])]
  expect(await permissions()).toEqual(['view:projects', 'view:secrets'])
  await execute(request(world.app, tenant.owner), updateRole, { id: roleId, permissions: ['view:projects'] })
  expect(await permissions()).toEqual(['view:projects'])
  await update(bob.memberId, { roleId: await customRole(world.app, tenant, []) })
  expect(await permissions()).toEqual([])
})
