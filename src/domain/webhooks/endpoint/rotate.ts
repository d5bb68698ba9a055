/** Rotation of signing keys. Former keys keep signing beside the new one for a while. */
import { z } from 'zod'
import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { lockEndpoint, published } from './commands.ts'
import { endpointErrors } from './errors.ts'
import { webhookEndpointUpdated } from './events.ts'
import { insertKey, signingKeyFrom } from './key.ts'
import { defaultGraceMs, maxGraceMs, maxLiveKeys } from './model.ts'
import { keyTypes } from './settings.ts'

export const rotateWebhookSecret = defineCommand({
  name: 'rotateWebhookSecret',
  description: `Rotates the signing key of a webhook endpoint. The former keys keep signing beside the new one until \`graceMs\` has passed. Fails with \`webhook_key_limit\` if ${maxLiveKeys} former keys are still signing. With the setting \`WEBHOOK_ENGINE=svix\`, the Svix server determines when the former key expires.`,
  permission: 'manage:webhooks',
  ids: { id: 'WebhookEndpoint' },
  targetType: 'WebhookEndpoint',
  target: lockEndpoint,
  input: z.object({
    graceMs: z
      .number()
      .int()
      .min(0, { error: 'must be at least 0' })
      .max(maxGraceMs, { error: `must be at most ${maxGraceMs}, which is 7 days` })
      .nullish(),
    keyType: z.enum(keyTypes).nullish(),
    secret: z.string().nullish(),
    secretText: z.string().nullish(),
  }),
  emits: [webhookEndpointUpdated],
  once: ['secret'],
  async run(work, { graceMs, keyType, secret, secretText }, target: WebhookEndpoint) {
    const key = signingKeyFrom(work.app, { secret, secretText, keyType: keyType ?? (secret || secretText ? null : target.keyType) })
    // Before the former keys expire, so that none of them is accepted as the new key, even with graceMs 0.
    await insertKey(work, target.id, key)
    await expireFormerKeys(work, target.id, key.id, graceMs ?? defaultGraceMs)
    const rotated = sql`update webhook_endpoint set version = version + 1 where id = ${target.id}::uuid returning *`
    const webhookEndpoint = (await row<WebhookEndpoint>(work.tx, rotated))!
    await publish(work, webhookEndpointUpdated, published(webhookEndpoint))
    return { webhookEndpoint, secret: key.secretToReturn, publicKey: key.publicKey }
  },
})

/** Expires the former keys after `graceMs`. With 0 they are deleted, so that pending retries are no longer signed with them either. */
async function expireFormerKeys(work: Work, endpointId: string, newestId: string, graceMs: number): Promise<void> {
  const former = sql`endpoint_id = ${endpointId}::uuid and id <> ${newestId}::uuid`
  await run(work.tx, sql`delete from webhook_key where ${former} and (${graceMs} = 0 or expires_at <= app_now())`)
  const live = await row<{ n: number; nextExpiry: Date | null }>(
    work.tx,
    sql`select count(*)::int as n, min(expires_at) as next_expiry from webhook_key where ${former}`,
  )
  if (live && live.n >= maxLiveKeys) {
    const at = live.nextExpiry?.toISOString() ?? null
    throw endpointErrors.webhook_key_limit({
      text: `An endpoint can have at most ${maxLiveKeys} live keys. The next one expires at ${at}. To expire all of them now, rotate with graceMs 0.`,
      details: { expiresAt: at },
    })
  }
  await run(
    work.tx,
    sql`update webhook_key set expires_at = app_now() + ${graceMs} * interval '1 millisecond'
        where ${former} and (expires_at is null or expires_at > app_now() + ${graceMs} * interval '1 millisecond')`,
  )
}
