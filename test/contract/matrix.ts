/** Who may do what, written down a second time, independently of platform/access: the callers of the matrix and what each is allowed. */
import { permissionsOfKey } from '../../src/domain/access/api-key/index.ts'
import { type Caller, type KeyScope, keyPermissions, type Permission, rolePermissions, type SystemRole } from '../../src/platform/access.ts'
import type { Tenant } from '../support/tenant.ts'

/** What administrators of the installation may do follows from no role, and no key has it. */
const ofInstallation = ['administer']

const governing = ['organization', 'members', 'roles', 'api_keys', 'audit_logs']

const roles: Record<SystemRole, (verb: string, resource: string) => boolean> = {
  OWNER: (verb) => !ofInstallation.includes(verb),
  ADMIN: (verb, resource) => !ofInstallation.includes(verb) && !(verb === 'delete' && resource === 'organization'),
  DEVELOPER: (verb, resource) => verb === 'view' || !(ofInstallation.includes(verb) || governing.includes(resource)),
  VIEWER: (verb) => verb === 'view',
}

/** READ reads. WRITE changes and deploys, but neither deletes nor extends permissions. ADMIN does everything. */
const scopes: Record<KeyScope, (verb: string, resource: string) => boolean> = {
  READ: (verb) => verb === 'view',
  WRITE: (verb, resource) => verb === 'view' || (verb !== 'delete' && !governing.includes(resource)),
  ADMIN: () => true,
}

export type Subject = { title: string; isPerson: boolean; caller(tenant: Tenant): Caller; allows(permission: Permission): boolean }

const split = (permission: Permission) => permission.split(':') as [string, string]

export const roleSubjects: Subject[] = (Object.keys(roles) as SystemRole[]).map((role) => ({
  title: role,
  isPerson: true,
  caller: ({ owner }) => ({ ...owner, permissions: rolePermissions(role) }),
  allows: (permission) => roles[role](...split(permission)),
}))

/** Keys of creators with each role: both the scope and the role must allow something. */
export const keySubjects: Subject[] = (Object.keys(scopes) as KeyScope[]).flatMap((scope) =>
  (Object.keys(roles) as SystemRole[]).map((role) => ({
    title: `${scope} key of ${role}`,
    isPerson: false,
    caller: (tenant: Tenant) => ({ ...tenant.key(scope), permissions: keyPermissions(scope, rolePermissions(role)) }),
    allows: (permission: Permission) => scopes[scope](...split(permission)) && roles[role](...split(permission)),
  })),
)

/** The permissions in the list of an oCore key. */
const listed: Permission[] = ['manage:webhooks', 'view:api_keys', 'view:webhooks']

const kinds: Record<string, { key: Parameters<typeof permissionsOfKey>[0]; allows(verb: string, resource: string): boolean }> = {
  'oec_live_ro_ key': { key: { kind: 'OEC', scope: 'READ', permissions: [] }, allows: scopes.READ },
  'oec_live_rw_ key': {
    key: { kind: 'OEC', scope: 'WRITE', permissions: [] },
    allows: (verb, resource) =>
      verb === 'view' || !(ofInstallation.includes(verb) || governing.includes(resource)) || (verb === 'manage' && resource === 'api_keys'),
  },
  'ocore_k_ key': {
    key: { kind: 'OCORE', scope: 'WRITE', permissions: listed },
    allows: (verb, resource) => listed.includes(`${verb}:${resource}` as Permission),
  },
  'qb_live_ key': {
    key: { kind: 'BRIDGE', scope: 'ADMIN', permissions: [] },
    allows: (verb, resource) => verb === 'call' && resource === 'odoo',
  },
}

/** Keys of an owner whose permissions are not those of a scope alone. */
export const kindSubjects: Subject[] = Object.entries(kinds).map(([title, { key, allows }]) => ({
  title,
  isPerson: false,
  caller: (tenant) => ({ ...tenant.key('ADMIN'), permissions: permissionsOfKey(key) }),
  allows: (permission) => allows(...split(permission)),
}))

/** A custom role, or the list of a key, with everything but one permission. */
export const without = (permission: Permission): Subject[] => [
  {
    title: `without ${permission}`,
    isPerson: true,
    caller: ({ owner }) => ({ ...owner, permissions: allBut(owner, permission) }),
    allows: (each) => each !== permission,
  },
  {
    title: `key without ${permission}`,
    isPerson: false,
    caller: (tenant) => ({ ...tenant.key('ADMIN'), permissions: allBut(tenant.owner, permission) }),
    allows: (each) => each !== permission,
  },
]

const allBut = ({ permissions }: Caller, permission: Permission) => new Set([...permissions].filter((each) => each !== permission))

/** Members and keys with all permissions that are limited to projects. */
export const limited = ({ owner, key }: Tenant, projectId: string): Record<string, Caller> => ({
  'a limited member': { ...owner, projectIds: [projectId] },
  'a limited key': key('ADMIN', projectId),
})
