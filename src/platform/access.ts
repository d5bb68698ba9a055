/**
 * Callers and their permissions, `<verb>:<resource>`. All doors use the same Caller type. Permissions are derived here and checked in
 * `execute`; no door or route decides them.
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
export type Permission =
  | `${'view' | 'manage' | 'delete'}:${Resource}`
  | 'deploy:web_services'
  | 'reveal:secrets'
  | 'send:email'
  | 'call:odoo'
  | typeof administration

/**
 * Permission of the administrators of the installation, while they are signed in. It is none of those that roles and keys have, so nobody can
 * grant it to others, and what requires it acts in no organization.
 */
export const administration = 'administer:installation' as const

/** Permissions within an organization, which roles and keys can have. */
export const permissions: Permission[] = [
  ...resources.flatMap((resource): Permission[] => [`view:${resource}`, `manage:${resource}`, `delete:${resource}`]),
  'deploy:web_services',
  'reveal:secrets',
  'send:email',
  'call:odoo',
]

export type SystemRole = 'OWNER' | 'ADMIN' | 'DEVELOPER' | 'VIEWER'
export type KeyScope = 'READ' | 'WRITE' | 'ADMIN'

/** Resources whose change could extend somebody's permissions. */
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

export const rolePermissions = (role: SystemRole): ReadonlySet<Permission> =>
  new Set(permissions.filter((permission) => roleRights[role](permission)))

/** Permissions of a key: those that both its scope and its creator's current role grant. */
export const keyPermissions = (scope: KeyScope, granted: ReadonlySet<Permission>): ReadonlySet<Permission> =>
  new Set([...granted].filter((permission) => scopeRights[scope](permission)))

export type Caller = {
  /**
   * `system` is Quayside itself, for example a step of a background job. An `email_api_key` may do nothing but send with its email service, a
   * `storage_key` changes its buckets through S3.
   */
  subject: { type: 'user' | 'api_key' | 'email_api_key' | 'storage_key' | 'system'; id: string | null; name: string }
  /** The user to whom the key belongs; null for the system. */
  userId: string | null
  organizationId: string
  permissions: ReadonlySet<Permission>
  apiKeyId: string | null
  /** The session of a user who is signed in; null for keys and the system. */
  sessionId: string | null
  /** The projects that the caller can access; null for all of them, and for what belongs to the organization as a whole. */
  projectIds: readonly string[] | null
}

export const systemCaller = (organizationId: string): Caller => ({
  subject: { type: 'system', id: null, name: 'quayside' },
  userId: null,
  organizationId,
  permissions: new Set(permissions),
  apiKeyId: null,
  sessionId: null,
  projectIds: null,
})

/** Identifies the caller for idempotency keys, rate limits and quotas. */
export const principalOf = (caller: Caller): string => `${caller.subject.type}:${caller.subject.id ?? caller.organizationId}`
