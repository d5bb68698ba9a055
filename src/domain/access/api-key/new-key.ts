/** New keys: what a caller may create. Nobody creates a key with more permissions, more projects or a longer life than they have themselves. */
import { z } from 'zod'
import type { ApiKey, ApiKeyKind, ApiKeyScope } from '../../../generated/prisma/client.ts'
import type { Permission } from '../../../platform/access.ts'
import { impliedProject, visible } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { type Membership, membershipColumns, memberships, rightsOf } from '../member/index.ts'
import { bindingFields, bindingIds, bindKey, type KeyBindingInput } from './binding.ts'
import { apiKeyErrors } from './errors.ts'
import { common, knownPermissions, permissionsOfKey, prefixOf, scopePermissions } from './model.ts'

export const newKeySchema = z.object({
  name: nameSchema,
  kind: z.enum(['PLATFORM', 'OEC', 'OCORE', 'BRIDGE']).nullish(),
  scope: z.enum(['READ', 'WRITE', 'ADMIN']),
  permissions: z.array(z.string()).max(200, { error: 'must have at most 200 items' }).nullish(),
  projectId: z.string().nullish(),
  expiresAt: z.date().nullish(),
  ...bindingFields,
})
export const newKeyIds = { projectId: 'Project', ...bindingIds } as const
export type NewKey = z.infer<typeof newKeySchema>

/** A key that the caller may create, with the prefix of its plaintext. */
export type PlannedKey = Pick<ApiKey, 'name' | 'kind' | 'scope' | 'permissions' | 'projectId' | 'expiresAt' | 'createdById'> & {
  plaintextPrefix: string
  binding: KeyBindingInput
}

/** Throws unless the caller may create the key. */
export async function planKey(work: Work, input: NewKey): Promise<PlannedKey> {
  const { caller, app } = work
  const [kind, scope] = [input.kind ?? 'PLATFORM', input.scope]
  const plaintextPrefix = demandPrefix(kind, scope)
  const permissions = demandPermissions(kind, scope, input.permissions ?? null)
  if (input.expiresAt && input.expiresAt <= app.clock.now())
    throw errors.invalid_input({ field: 'expiresAt', text: 'expiresAt: must be in the future' })
  const projectId = await demandProject(work, input.projectId ?? impliedProject(caller))
  const creator = await demandCreator(work)
  const latest = await latestExpiry(work)
  if (input.expiresAt) demandWithin(latest, input.expiresAt, 'expiresAt')
  demandRights(work, { kind, scope, permissions }, creator)
  return {
    ...{ name: input.name, kind, scope, permissions, projectId, plaintextPrefix },
    ...{ expiresAt: input.expiresAt ?? latest, createdById: creator.userId },
    binding: { odooAccountId: input.odooAccountId, allowedModels: input.allowedModels, allowedMethods: input.allowedMethods },
  }
}

/** Stores a planned key under the hash of its plaintext. Throws `api_key_taken` if the hash is known, in whichever organization. */
export async function insertKey(
  work: Work,
  { plaintextPrefix: _, binding, ...planned }: PlannedKey,
  { prefix, hash }: { prefix: string; hash: Uint8Array },
): Promise<ApiKey> {
  const { organizationId } = work.caller
  const added = newRow({ id: newId(), organizationId, ...planned, prefix })
  const apiKey = (await row<ApiKey>(work.tx, sql`insert into api_key ${added} returning *`))!
  await insertHash(work, apiKey.id, hash)
  await bindKey(work, apiKey, binding)
  return apiKey
}

export async function insertHash(work: Work, apiKeyId: string, hash: Uint8Array): Promise<void> {
  const added = newRow({ hash, organizationId: work.caller.organizationId, apiKeyId })
  const inserted = await run(work.tx, sql`insert into api_key_hash ${added} on conflict (hash) do nothing`)
  if (inserted === 0) throw apiKeyErrors.api_key_taken({ field: 'sha256' })
}

function demandPrefix(kind: ApiKeyKind, scope: ApiKeyScope): string {
  const prefix = prefixOf({ kind, scope })
  if (prefix) return prefix
  throw errors.invalid_input({ field: 'scope', text: `scope: must be READ or WRITE for a key of kind ${kind}` })
}

/** The permissions to store, in alphabetical order. */
function demandPermissions(kind: ApiKeyKind, scope: ApiKeyScope, listed: string[] | null): string[] {
  const refuse = (text: string) => errors.invalid_input({ field: 'permissions', text: `permissions: ${text}` })
  if (kind !== 'OCORE') {
    if (listed !== null) throw refuse('must be omitted for a key whose kind is not OCORE, because its scope determines them')
    return []
  }
  if (listed === null || listed.length === 0) throw refuse('must have at least 1 item for a key of kind OCORE')
  const allowed: ReadonlySet<string> = scopePermissions({ kind, scope })
  for (const name of listed) {
    if (!knownPermissions.has(name))
      throw refuse(`must contain only permissions that exist, and ${JSON.stringify(name.slice(0, 50))} does not`)
    if (!allowed.has(name)) throw refuse(`must not contain ${name}, which the scope ${scope} excludes`)
  }
  return [...new Set(listed)].sort()
}

async function demandProject(work: Work, projectId: string | null): Promise<string | null> {
  if (projectId === null) return null
  const project = await row(
    work.tx,
    sql`select id from project p where p.id = ${projectId}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null
        for key share`,
  )
  if (!project) throw errors.not_found({ field: 'projectId' })
  return projectId
}

type Creator = { userId: string; permissions: ReadonlySet<Permission> }

/** The member whose role bounds a key that the caller creates. */
export async function demandCreator({ tx, caller }: Work): Promise<Creator> {
  const { organizationId, userId } = caller
  const member = await row<Membership>(
    tx,
    // Locked, so that a member who is being removed at the same time leaves no key.
    sql`select ${membershipColumns} from ${memberships}
        where m.organization_id = ${organizationId}::uuid and m.user_id = ${userId}::uuid for key share of m`,
  )
  if (!userId || !member) throw errors.forbidden({ text: 'Only a member of the organization can create an API key.' })
  return { userId, permissions: rightsOf(member).permissions }
}

/** When the key that the caller uses expires; null if it never does or the caller uses none. */
export async function latestExpiry({ tx, caller }: Work): Promise<Date | null> {
  const used = await row<Pick<ApiKey, 'expiresAt'>>(tx, sql`select expires_at from api_key where id = ${caller.apiKeyId}::uuid`)
  return used?.expiresAt ?? null
}

export function demandWithin(latest: Date | null, expiresAt: Date | null, field: string): void {
  if (latest === null || (expiresAt !== null && expiresAt <= latest)) return
  throw errors.forbidden({
    field,
    text: `${field}: a key must not expire later than the key that creates or rotates it, which expires at ${latest.toISOString()}`,
  })
}

/** Permissions that are listed must all be the caller's; those of a scope only as far as the creator has them. */
export function demandRights(
  { caller }: Work,
  key: Pick<ApiKey, 'kind' | 'scope' | 'permissions'>,
  creator: Pick<Creator, 'permissions'>,
): void {
  const own = permissionsOfKey(key)
  const isList = key.kind === 'OCORE'
  for (const permission of isList ? own : common(own, creator.permissions)) {
    if (caller.permissions.has(permission)) continue
    if (isList)
      throw errors.forbidden({ field: 'permissions', text: `permissions: must not contain ${permission}, which you do not have yourself` })
    throw errors.forbidden({ field: 'scope', text: 'The scope of a key must not exceed the permissions of its creator.' })
  }
}
