import { z } from 'zod'
import type { ApiKey } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { apiKeyCreated, apiKeyRevoked, eventOf } from './events.ts'
import { generateKey, hashKey, shownPrefix } from './model.ts'
import { insertKey, newKeyIds, newKeySchema, planKey } from './new-key.ts'

export const createApiKey = defineCommand({
  name: 'createApiKey',
  description: 'Creates an API key. The plaintext key is returned only once, at creation.',
  permission: 'manage:api_keys',
  ids: newKeyIds,
  targetType: 'ApiKey',
  input: newKeySchema,
  emits: [apiKeyCreated],
  once: ['plaintextKey'],
  async run(work, input) {
    const planned = await planKey(work, input)
    const plaintextKey = generateKey(planned.plaintextPrefix)
    const shown = { prefix: shownPrefix(plaintextKey, planned.plaintextPrefix), hash: hashKey(plaintextKey) }
    const apiKey = await insertKey(work, planned, shown)
    await publish(work, apiKeyCreated, eventOf(apiKey))
    return { apiKey, plaintextKey: plaintextKey as string | null }
  },
})

/** Characters of an imported key that may be shown after the prefix of its API. */
const maxShown = 8

export const importApiKey = defineCommand({
  name: 'importApiKey',
  description:
    'Adds an existing key of another system by its SHA-256 hash, so that its users can keep it. The key works as one that was created with the same input. Fails with `api_key_taken` if the key was already added to this installation, in whichever organization, even if it has been revoked or rotated since.',
  permission: 'manage:api_keys',
  ids: newKeyIds,
  targetType: 'ApiKey',
  input: newKeySchema.extend({
    sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, { error: 'must be a SHA-256 hash in hexadecimal, which has 64 digits' }),
    prefix: z.string(),
  }),
  emits: [apiKeyCreated],
  async run(work, { sha256, prefix, ...input }) {
    const planned = await planKey(work, input)
    const hash = new Uint8Array(Buffer.from(sha256, 'hex'))
    demandShownPrefix(prefix, planned.plaintextPrefix, hash)
    const apiKey = await insertKey(work, planned, { prefix, hash })
    await publish(work, apiKeyCreated, eventOf(apiKey))
    return { apiKey }
  },
})

function demandShownPrefix(prefix: string, expected: string, hash: Uint8Array): void {
  const refuse = (text: string) => errors.invalid_input({ field: 'prefix', text: `prefix: ${text}` })
  const rest = prefix.startsWith(expected) ? prefix.slice(expected.length) : null
  if (rest === null) throw refuse(`must begin with ${expected}`)
  if (rest.length > maxShown || !/^[A-Za-z0-9_-]*$/.test(rest))
    throw refuse(`must continue after ${expected} with at most ${maxShown} letters, digits, hyphens and underscores`)
  if (Buffer.from(hashKey(prefix)).equals(hash)) throw refuse('must not be the whole key')
}

/** Finds and locks a key within the caller's scope. */
export const lockKey = (work: Work, { id }: Record<string, string>): Promise<ApiKey | null> =>
  row<ApiKey>(work.tx, sql`select * from api_key k where k.id = ${id}::uuid and ${visible(work.caller, sql`k`)} for update`)

export const revokeApiKey = defineCommand({
  name: 'revokeApiKey',
  description:
    'Revokes an API key. The key stops working immediately, and WebSocket connections opened with it are closed. Revoking a revoked key returns it unchanged.',
  permission: 'manage:api_keys',
  ids: { id: 'ApiKey' },
  targetType: 'ApiKey',
  target: lockKey,
  input: z.object({}),
  emits: [apiKeyRevoked],
  async run(work, _input, target: ApiKey) {
    return { apiKey: target.revokedAt ? target : await revoke(work, target.id) }
  },
})

/** Revokes the keys of a project that is being deleted, each with its own event and audit row. */
export const revokeKeysOfProject = (work: Work, projectId: string): Promise<void> =>
  revokeKeys(work, sql`project_id = ${projectId}::uuid`, 'project deleted')

/** Revokes the keys that a member created, those limited to projects too. */
export const revokeKeysOfMember = (work: Work, memberId: string): Promise<void> =>
  revokeKeys(
    work,
    sql`created_by_id = (select m.user_id from member m where m.id = ${memberId}::uuid) and organization_id = ${work.caller.organizationId}::uuid`,
    'member gone',
  )

/** Revokes the keys that a condition on `api_key` selects, each with its own event and audit row. */
export async function revokeKeys(work: Work, condition: Sql, reason: string): Promise<void> {
  const keys = await rows<ApiKey>(work.tx, sql`select * from api_key where ${condition} and revoked_at is null order by id for update`)
  for (const key of keys) {
    const target = { type: 'ApiKey', before: key, after: await revoke(work, key.id) } as const
    writeAudit(work, { action: revokeApiKey.name, target, details: { reason } })
  }
}

async function revoke(work: Work, id: string): Promise<ApiKey> {
  const apiKey = (await row<ApiKey>(
    work.tx,
    sql`update api_key set revoked_at = app_now(), version = version + 1 where id = ${id}::uuid returning *`,
  ))!
  await publish(work, apiKeyRevoked, eventOf(apiKey))
  work.wake('credentials')
  return apiKey
}
