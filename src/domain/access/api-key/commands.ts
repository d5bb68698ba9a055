import { z } from 'zod'
import type { ApiKey } from '../../../generated/prisma/client.ts'
import { keyPermissions } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { defineCommand, impliedProject, visible } from '../../../platform/command.ts'
import { newRow, row, rows, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { type Membership, membershipColumns, memberships, rightsOf } from '../member/index.ts'
import { apiKeyCreated, apiKeyRevoked } from './events.ts'
import { generateKey, hashKey, keyPrefixes, shownPrefix } from './model.ts'

const createInput = z.object({
  name: nameSchema,
  kind: z.enum(['PLATFORM', 'OEC', 'OCORE', 'BRIDGE']).nullish(),
  scope: z.enum(['READ', 'WRITE', 'ADMIN']),
  projectId: z.string().nullish(),
  expiresAt: z.date().nullish(),
})

export const createApiKey = defineCommand({
  name: 'createApiKey',
  description: 'Creates an API key. The plaintext key is returned only once, at creation.',
  permission: 'manage:api_keys',
  ids: { projectId: 'Project' },
  targetType: 'ApiKey',
  input: createInput,
  emits: [apiKeyCreated],
  once: ['plaintextKey'],
  async run(work, input) {
    if (input.kind && input.kind !== 'PLATFORM')
      throw errors.invalid_input({ field: 'kind', text: `kind: ${input.kind} is not supported yet` })
    if (input.expiresAt && input.expiresAt <= work.app.clock.now())
      throw errors.invalid_input({ field: 'expiresAt', text: 'expiresAt: must be in the future' })
    const { caller } = work
    const projectId = input.projectId ?? (caller.apiKeyId ? impliedProject(caller) : null)
    if (projectId) {
      const project = await row(
        work.tx,
        sql`select id from project p where p.id = ${projectId}::uuid and ${visible(caller, sql`p`, sql`id`)} and p.deleting_at is null
            for key share`,
      )
      if (!project) throw errors.not_found({ field: 'projectId' })
    }
    const member = await row<Membership>(
      work.tx,
      sql`select ${membershipColumns} from ${memberships}
          where m.organization_id = ${caller.organizationId}::uuid and m.user_id = ${caller.userId}::uuid`,
    )
    if (!caller.userId || !member) throw errors.forbidden({ text: 'Only a member of the organization can create an API key.' })
    const creatingKey = await row<Pick<ApiKey, 'expiresAt'>>(
      work.tx,
      sql`select expires_at from api_key where id = ${caller.apiKeyId}::uuid`,
    )
    const latest = creatingKey?.expiresAt ?? null
    if (latest && input.expiresAt && input.expiresAt > latest) {
      throw errors.forbidden({
        field: 'expiresAt',
        text: `expiresAt: must not be later than ${latest.toISOString()}, when the key that creates this one expires`,
      })
    }
    for (const permission of keyPermissions(input.scope, rightsOf(member).permissions)) {
      if (!caller.permissions.has(permission))
        throw errors.forbidden({ field: 'scope', text: 'The scope of a key must not exceed the permissions of its creator.' })
    }
    const plaintextKey = generateKey(keyPrefixes.PLATFORM)
    const added = newRow({
      id: newId(),
      organizationId: caller.organizationId,
      createdById: caller.userId,
      projectId,
      kind: 'PLATFORM',
      name: input.name,
      prefix: shownPrefix(plaintextKey),
      hash: hashKey(plaintextKey),
      scope: input.scope,
      expiresAt: input.expiresAt ?? latest,
    })
    const apiKey = (await row<ApiKey>(work.tx, sql`insert into api_key ${added} returning *`))!
    await publish(work, apiKeyCreated, { subjectId: apiKey.id, projectId, data: eventData(apiKey) })
    return { apiKey, plaintextKey: plaintextKey as string | null }
  },
})

export const revokeApiKey = defineCommand({
  name: 'revokeApiKey',
  description:
    'Revokes an API key. The key stops working immediately, and WebSocket connections opened with it are closed. Revoking a revoked key returns it unchanged.',
  permission: 'manage:api_keys',
  ids: { id: 'ApiKey' },
  targetType: 'ApiKey',
  target: (work, ids) =>
    row<ApiKey>(work.tx, sql`select * from api_key k where k.id = ${ids.id}::uuid and ${visible(work.caller, sql`k`)} for update`),
  input: z.object({}),
  emits: [apiKeyRevoked],
  async run(work, _input, target: ApiKey) {
    return { apiKey: target.revokedAt ? target : await revoke(work, target.id) }
  },
})

/** Revokes the keys of a project that is being deleted, each with its own event and audit row. */
export async function revokeKeysOfProject(work: Work, projectId: string): Promise<void> {
  const keys = await rows<ApiKey>(
    work.tx,
    sql`select * from api_key where project_id = ${projectId}::uuid and revoked_at is null order by id for update`,
  )
  for (const key of keys) {
    const target = { type: 'ApiKey', before: key, after: await revoke(work, key.id) } as const
    writeAudit(work, { action: revokeApiKey.name, target, details: { reason: 'project deleted' } })
  }
}

async function revoke(work: Work, id: string): Promise<ApiKey> {
  const apiKey = (await row<ApiKey>(
    work.tx,
    sql`update api_key set revoked_at = app_now(), version = version + 1 where id = ${id}::uuid returning *`,
  ))!
  await publish(work, apiKeyRevoked, { subjectId: apiKey.id, projectId: apiKey.projectId, data: eventData(apiKey) })
  work.wake('credentials')
  return apiKey
}

const eventData = (key: ApiKey) => ({ apiKeyId: encodeId('ApiKey', key.id), name: key.name, kind: key.kind, scope: key.scope })
