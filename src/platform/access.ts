/**
 * Who asks, and what they may do. One Caller type for all doors; permissions are `<verb>:<resource>`.
 * Rights are decided here and asked for in `execute`; no door and no row decides them.
 */
export const resources = [
  'organization',
  'members',
  'roles',
  'servers',
  'projects',
  'environments',
  'web_services',
  'deployments',
  'secrets',
  'databases',
  'backups',
  'domains',
  'storage',
  'email',
  'api_keys',
  'webhooks',
  'audit_logs',
  'odoo',
] as const

export type Resource = (typeof resources)[number]
export type Permission = `${'view' | 'manage' | 'delete'}:${Resource}` | 'deploy:web_services' | 'reveal:secrets'

export const permissions: Permission[] = [
  ...resources.flatMap((resource): Permission[] => [`view:${resource}`, `manage:${resource}`, `delete:${resource}`]),
  'deploy:web_services',
  'reveal:secrets',
]

export type SystemRole = 'OWNER' | 'ADMIN' | 'DEVELOPER' | 'VIEWER'
export type KeyScope = 'READ' | 'WRITE' | 'ADMIN'

/** Resources whose change would widen somebody's rights. */
const governing: Resource[] = ['organization', 'members', 'roles', 'api_keys', 'audit_logs']
const isView = (permission: Permission) => permission.startsWith('view:')
const governs = (permission: Permission) => governing.some((resource) => permission.endsWith(`:${resource}`))

const roleRights: Record<SystemRole, (permission: Permission) => boolean> = {
  OWNER: () => true,
  ADMIN: (permission) => permission !== 'delete:organization',
  DEVELOPER: (permission) => isView(permission) || !governs(permission),
  VIEWER: isView,
}

const scopeRights: Record<KeyScope, (permission: Permission) => boolean> = {
  READ: isView,
  WRITE: (permission) => isView(permission) || (!governs(permission) && !permission.startsWith('delete:')),
  ADMIN: () => true,
}

/** A key's rights: its own scope and its creator's present role, whichever is less. */
export const keyPermissions = (scope: KeyScope, role: SystemRole): ReadonlySet<Permission> =>
  new Set(permissions.filter((permission) => scopeRights[scope](permission) && roleRights[role](permission)))

export const rolePermissions = (role: SystemRole): ReadonlySet<Permission> =>
  new Set(permissions.filter((permission) => roleRights[role](permission)))

export type Caller = {
  /** `system` is Quayside itself: a worker's step, a reaction. */
  subject: { type: 'user' | 'api_key' | 'system'; id: string | null; name: string }
  /** The person behind a key; null for the system. */
  userId: string | null
  organizationId: string
  permissions: ReadonlySet<Permission>
  apiKeyId: string | null
  /** Set: the caller sees this project alone. */
  projectId: string | null
}

export const systemCaller = (organizationId: string): Caller => ({
  subject: { type: 'system', id: null, name: 'quayside' },
  userId: null,
  organizationId,
  permissions: new Set(permissions),
  apiKeyId: null,
  projectId: null,
})

/** Under which an idempotency key, a limit or a quota is counted. */
export const principalOf = (caller: Caller): string => `${caller.subject.type}:${caller.subject.id ?? caller.organizationId}`
