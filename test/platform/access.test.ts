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
  it.each(scopes)('and scope %s has no right that the role or the scope lacks', (scope) => {
    const rights = keyPermissions(scope, role)
    expect(subset(rights, rolePermissions(role))).toBe(true)
    expect(subset(rights, keyPermissions(scope, 'OWNER'))).toBe(true)
  })

  it('has more rights with a wider scope', () => {
    expect(subset(keyPermissions('READ', role), keyPermissions('WRITE', role))).toBe(true)
    expect(subset(keyPermissions('WRITE', role), keyPermissions('ADMIN', role))).toBe(true)
  })
})

it('a key with scope READ can change nothing', () => {
  expect([...keyPermissions('READ', 'OWNER')].toSorted()).toEqual(resources.map((resource) => `view:${resource}`).toSorted())
})

it('a key with scope WRITE can delete nothing, and widen nobody’s rights', () => {
  const rights = [...keyPermissions('WRITE', 'OWNER')]
  expect(rights.filter((permission) => permission.startsWith('delete:'))).toEqual([])
  for (const resource of ['organization', 'members', 'roles', 'api_keys', 'audit_logs']) expect(rights).not.toContain(`manage:${resource}`)
  expect(rights).toEqual(expect.arrayContaining(['deploy:web_services', 'manage:web_services', 'reveal:secrets']))
})

it('a viewer sees and changes nothing, a developer governs nothing, an admin may do all but end the organization', () => {
  expect([...rolePermissions('VIEWER')].every((permission) => permission.startsWith('view:'))).toBe(true)
  expect(rolePermissions('DEVELOPER').has('manage:members')).toBe(false)
  expect(rolePermissions('DEVELOPER').has('delete:projects')).toBe(true)
  expect(permissions.filter((permission) => !rolePermissions('ADMIN').has(permission))).toEqual(['delete:organization'])
  expect(rolePermissions('OWNER').size).toBe(permissions.length)
})

it('callers are counted apart: each key, each person, the system of each organization', () => {
  const person = { ...systemCaller('o1'), subject: { type: 'user' as const, id: 'x', name: '' } }
  const key = { ...person, subject: { type: 'api_key' as const, id: 'x', name: '' } }
  expect(new Set([person, key, systemCaller('o1'), systemCaller('o2')].map(principalOf)).size).toBe(4)
})
