import { createHash, hash, randomBytes } from 'node:crypto'
import type { ApiKey, ApiKeyKind, ApiKeyScope } from '../../../generated/prisma/client.ts'
import { keyPermissions, type Permission, permissions } from '../../../platform/access.ts'

/** Prefixes of keys, by API and scope. A combination without a prefix does not exist. */
const prefixes: Record<ApiKeyKind, Partial<Record<ApiKeyScope, string>>> = {
  PLATFORM: { READ: 'ak_live_', WRITE: 'ak_live_', ADMIN: 'ak_live_' },
  OEC: { READ: 'oec_live_ro_', WRITE: 'oec_live_rw_' },
  OCORE: { READ: 'ocore_k_', WRITE: 'ocore_k_', ADMIN: 'ocore_k_' },
  BRIDGE: { READ: 'qb_live_', WRITE: 'qb_live_', ADMIN: 'qb_live_' },
}

export const keyPrefixes: string[] = [...new Set(Object.values(prefixes).flatMap((scopes) => Object.values(scopes)))]

export const prefixOf = ({ kind, scope }: Pick<ApiKey, 'kind' | 'scope'>): string | null => prefixes[kind][scope] ?? null

/** Length of a key that Quayside generated, after the prefix: 43 characters of base64url (256 bits) and 8 of checksum. Keys of former systems have other lengths. */
const ownBody = 51
const checksumLength = 8
const body = /^[A-Za-z0-9_-]{8,200}$/

const checksum = (text: string) => hash('sha256', text, 'base64url').replaceAll(/[_-]/g, 'x').slice(0, checksumLength)

/** A new key: prefix, 256 random bits, checksum. */
export function generateKey(prefix: string): string {
  const random = prefix + randomBytes(32).toString('base64url')
  return random + checksum(random)
}

/** The part of a key after its prefix. Null if the text does not have the form of a key: a known prefix and 8 to 200 URL-safe characters. */
function bodyOf(text: string): string | null {
  const prefix = keyPrefixes.find((word) => text.startsWith(word))
  const rest = prefix && text.slice(prefix.length)
  return rest && body.test(rest) ? rest : null
}

export const hasFormOfKey = (text: string): boolean => bodyOf(text) !== null

/** Whether a text has the form of a key and, if it has the length of a generated one, a correct checksum, which needs no database. */
export function wellFormedKey(text: string): boolean {
  const rest = bodyOf(text)
  if (rest === null) return false
  return rest.length !== ownBody || checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
}

/** Hash under which a key is stored. */
export const hashKey = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(createHash('sha256').update(text).digest())

const shownAfterPrefix = 4

/** First characters of a key, which are enough to recognize it and too few to use it. */
export const shownPrefix = (text: string, prefix: string): string => text.slice(0, prefix.length + shownAfterPrefix)

export const knownPermissions: ReadonlySet<string> = new Set(permissions)

/** Permissions that a scope has at an API, whatever the role of the key's creator. */
export function scopePermissions({ kind, scope }: Pick<ApiKey, 'kind' | 'scope'>): ReadonlySet<Permission> {
  if (kind === 'BRIDGE') return bridgeAccess
  return kind === 'OEC' && scope === 'WRITE' ? fullAccess : ofScope[scope]
}

/** Keys of the bridge are handed to spreadsheets and web pages, so they can do nothing else. */
const bridgeAccess: ReadonlySet<Permission> = new Set(['call:odoo'])

const ofScope = Object.fromEntries(
  (['READ', 'WRITE', 'ADMIN'] as const).map((scope) => [scope, keyPermissions(scope, new Set(permissions))]),
) as Record<ApiKeyScope, ReadonlySet<Permission>>

/** In the oec.sh Public API, keys with full access also delete what they can change, and revoke API keys. */
const fullAccess: ReadonlySet<Permission> = new Set(
  permissions.filter((permission) => {
    const [verb, resource] = permission.split(':')
    const manages = ofScope.WRITE.has(`manage:${resource}` as Permission)
    return ofScope.WRITE.has(permission) || (verb === 'delete' && manages) || permission === 'manage:api_keys'
  }),
)

/** Permissions that a key has if its creator has them. */
export const permissionsOfKey = (key: Pick<ApiKey, 'kind' | 'scope' | 'permissions'>): ReadonlySet<Permission> =>
  key.kind === 'OCORE' ? new Set(key.permissions.filter((name): name is Permission => knownPermissions.has(name))) : scopePermissions(key)

/** The permissions that both sets have. */
export const common = (some: ReadonlySet<Permission>, others: ReadonlySet<Permission>): ReadonlySet<Permission> =>
  new Set([...some].filter((permission) => others.has(permission)))

export const keyStatus = (
  { revokedAt, expiresAt }: Pick<ApiKey, 'revokedAt' | 'expiresAt'>,
  now: Date,
): 'active' | 'expired' | 'revoked' => (revokedAt ? 'revoked' : expiresAt && expiresAt <= now ? 'expired' : 'active')

/** How long the former plaintext key is accepted after a rotation, in milliseconds. */
export const defaultGraceMs = 24 * 3_600_000
export const maxGraceMs = 7 * defaultGraceMs
