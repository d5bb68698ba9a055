/** What the API says of each permission. */
import { type Permission, permissions, type Resource } from '../../../platform/access.ts'

const nouns: Record<Resource, string> = {
  organization: 'the organization',
  members: 'members and invitations',
  roles: 'roles',
  servers: 'servers',
  projects: 'projects',
  environments: 'environments',
  web_services: 'web services',
  deployments: 'deployments and their logs',
  secrets: 'secrets and environment variables, without their values',
  databases: 'databases and Redis instances',
  backups: 'backups',
  domains: 'custom domains',
  storage: 'buckets and storage keys',
  email: 'email services',
  api_keys: 'API keys',
  webhooks: 'webhook endpoints, messages and attempts',
  audit_logs: 'the audit log',
  odoo: 'Odoo accounts',
}

const special: Partial<Record<Permission, string>> = {
  'manage:organization': 'Change the name and the settings of the organization.',
  'delete:organization': 'Delete the organization.',
  'manage:members': 'Invite members, and change their roles and projects.',
  'delete:members': 'Remove members.',
  'manage:secrets': 'Create and update secrets, environment variables and bindings.',
  'delete:secrets': 'Delete secrets, environment variables and bindings.',
  'manage:api_keys': 'Create, rotate and revoke API keys.',
  'deploy:web_services': 'Deploy web services, roll them back, and cancel deployments.',
  'reveal:secrets': 'Reveal the values of secrets, variables and credentials. Each reveal is recorded in the audit log.',
  'send:email': 'Send email through email services.',
  'manage:odoo': 'Create and update Odoo accounts, and call any method through them.',
  'call:odoo': 'Call methods of Odoo with an API key of kind BRIDGE, through the account that the key is bound to.',
}

/** No operation requires them yet. */
const reserved: ReadonlySet<Permission> = new Set([
  ...(['manage:deployments', 'delete:deployments', 'delete:api_keys'] as const),
  ...(['manage:audit_logs', 'delete:audit_logs'] as const),
])

const verbs: Record<string, string> = { view: 'View', manage: 'Create and update', delete: 'Delete' }

export const reservedText = 'Reserved for future operations. Gives access to nothing yet.'

function describe(permission: Permission): string {
  if (reserved.has(permission)) return reservedText
  const [verb, resource] = permission.split(':') as [string, Resource]
  return special[permission] ?? `${verbs[verb]} ${nouns[resource]}.`
}

/** All permissions, in the order of platform/access. */
export const describedPermissions: readonly { name: Permission; description: string }[] = permissions.map((name) => ({
  name,
  description: describe(name),
}))
