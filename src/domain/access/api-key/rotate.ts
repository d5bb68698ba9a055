/** Rotation: an API key gets a new plaintext key, and the former one is accepted for a while. */
import { z } from 'zod'
import type { ApiKey } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { lockKey } from './commands.ts'
import { apiKeyErrors } from './errors.ts'
import { apiKeyRotated, eventOf } from './events.ts'
import { defaultGraceMs, generateKey, hashKey, keyStatus, maxGraceMs, prefixOf, shownPrefix } from './model.ts'
import { demandCreator, demandRights, demandWithin, insertHash, latestExpiry } from './new-key.ts'

export const rotateApiKey = defineCommand({
  name: 'rotateApiKey',
  description:
    'Replaces the plaintext key of an API key. The former plaintext key is accepted until `graceMs` has passed. One that an earlier rotation replaced stops working immediately. Only the user who created the key can rotate it, and only with all permissions of the key. Fails with `api_key_not_active` if the key has expired or was revoked.',
  permission: 'manage:api_keys',
  ids: { id: 'ApiKey' },
  targetType: 'ApiKey',
  target: lockKey,
  input: z.object({
    graceMs: z
      .number()
      .int()
      .min(0, { error: 'must be at least 0' })
      .max(maxGraceMs, { error: `must be at most ${maxGraceMs}, which is 7 days` })
      .nullish(),
  }),
  emits: [apiKeyRotated],
  once: ['plaintextKey'],
  async run(work, { graceMs }, target: ApiKey) {
    // Whoever gets the plaintext key acts for the creator.
    if (target.createdById !== work.caller.userId)
      throw errors.forbidden({ text: 'Only the user who created an API key can rotate it. Revoke it and create another one instead.' })
    if (keyStatus(target, work.app.clock.now()) !== 'active') throw apiKeyErrors.api_key_not_active()
    demandRights(work, target, await demandCreator(work))
    demandWithin(await latestExpiry(work), target.expiresAt, 'id')
    const prefix = prefixOf(target)!
    const plaintextKey = generateKey(prefix)
    const formerExpiresAt = await retireHashes(work, target.id, graceMs ?? defaultGraceMs)
    await insertHash(work, target.id, hashKey(plaintextKey))
    const rotated = sql`update api_key set prefix = ${shownPrefix(plaintextKey, prefix)}, version = version + 1 where id = ${target.id}::uuid returning *`
    const apiKey = (await row<ApiKey>(work.tx, rotated))!
    const { data, ...event } = eventOf(apiKey)
    await publish(work, apiKeyRotated, { ...event, data: { ...data, formerExpiresAt: formerExpiresAt.toISOString() } })
    work.wake('credentials')
    return { apiKey, plaintextKey: plaintextKey as string | null }
  },
})

/** Lets the current hash expire after `graceMs` and the others now. Returns when the current one expires. */
async function retireHashes(work: Work, apiKeyId: string, graceMs: number): Promise<Date> {
  const former = await row<{ expiresAt: Date }>(
    work.tx,
    sql`with oldest as (update api_key_hash set expires_at = app_now() where api_key_id = ${apiKeyId}::uuid and expires_at > app_now())
        update api_key_hash set expires_at = app_now() + ${graceMs} * interval '1 millisecond'
        where api_key_id = ${apiKeyId}::uuid and expires_at is null returning expires_at`,
  )
  return former!.expiresAt
}
