import { describe, expect, it } from 'vitest'
import {
  type KeyScope,
  keyPermissions,
  permissions,
  principalOf,
  resources,
  rolePermissions,
  type SystemRole,
  systemCaller,
} from '../../src/platform/access.ts'

const scopes: KeyScope[] = ['READ', 'WRITE', 'ADMIN']
const roles: SystemRole[] = ['OWNER', 'ADMIN', 'DEVELOPER', 'VIEWER']
const subset = (small: ReadonlySet<string>, big: ReadonlySet<string>) => [...small].every((permission) => big.has(permission))

describe.each(roles)('a key of a member with role %s', (role) => {
  it.each(scopes)('and scope %s has only permissions that both the role and the scope have', (scope) => {
    const rights = keyPermissions(scope, rolePermissions(role))
    expect(subset(rights, rolePermissions(role))).toBe(true)
    expect(subset(rights, keyPermissions(scope, rolePermissions('OWNER')))).toBe(true)
  })

  it('has more permissions with a wider scope', () => {
    expect(subset(keyPermissions('READ', rolePermissions(role)), keyPermissions('WRITE', rolePermissions(role)))).toBe(true)
    expect(subset(keyPermissions('WRITE', rolePermissions(role)), keyPermissions('ADMIN', rolePermissions(role)))).toBe(true)
  })
})

it('a key with scope READ can change nothing', () => {
  expect([...keyPermissions('READ', rolePermissions('OWNER'))].toSorted()).toEqual(
    resources.map((resource) => `view:${resource}`).toSorted(),
  )
})

it('a key with scope WRITE can delete nothing and extend no permissions', () => {
  const rights = [...keyPermissions('WRITE', rolePermissions('OWNER'))]
  expect(rights.filter((permission) => permission.startsWith('delete:'))).toEqual([])
  for (const resource of ['organization', 'members', 'roles', 'api_keys', 'audit_logs']) expect(rights).not.toContain(`manage:${resource}`)
  expect(rights).toEqual(expect.arrayContaining(['deploy:web_services', 'manage:web_services', 'reveal:secrets']))
})

it('a viewer changes nothing, a developer manages no members or keys, an admin can do everything except delete the organization', () => {
  expect([...rolePermissions('VIEWER')].every((permission) => permission.startsWith('view:'))).toBe(true)
  expect(rolePermissions('DEVELOPER').has('manage:members')).toBe(false)
  expect(rolePermissions('DEVELOPER').has('delete:projects')).toBe(true)
  expect(permissions.filter((permission) => !rolePermissions('ADMIN').has(permission))).toEqual(['delete:organization'])
  expect(rolePermissions('OWNER').size).toBe(permissions.length)
})

it('each key, each user, and the system of each organization is a principal of its own', () => {
  const person = { ...systemCaller('o1'), subject: { type: 'user' as const, id: 'x', name: '' } }
  const key = { ...person, subject: { type: 'api_key' as const, id: 'x', name: '' } }
  expect(new Set([person, key, systemCaller('o1'), systemCaller('o2')].map(principalOf)).size).toBe(4)
})
