/** A new signing key, with those before it beside it for a while. */
import { z } from 'zod'
import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { lockEndpoint, published } from './commands.ts'
import { endpointErrors } from './errors.ts'
import { webhookEndpointUpdated } from './events.ts'
import { chosenKey, insertKey } from './key.ts'
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
  }),
  emits: [webhookEndpointUpdated],
  once: ['secret'],
  async run(work, { graceMs, keyType, secret }, target: WebhookEndpoint) {
    const key = chosenKey({ secret, keyType: keyType ?? (secret ? null : target.keyType) })
    // Before the former keys end: one of them is no new one, also without grace.
    await insertKey(work, target.id, key)
    await endFormerKeys(work, target.id, key.id, graceMs ?? defaultGraceMs)
    const webhookEndpoint = await work.tx.webhookEndpoint.update({ where: { id: target.id }, data: { version: { increment: 1 } } })
    await publish(work, webhookEndpointUpdated, published(webhookEndpoint))
    return { webhookEndpoint, secret: key.shown, publicKey: key.publicKey }
  },
})

/** Lets the present keys end with the grace, or now, so that also retries that are waiting are not signed with them. */
async function endFormerKeys(work: Work, endpointId: string, newestId: string, graceMs: number): Promise<void> {
  const former = sql`endpoint_id = ${endpointId}::uuid and id <> ${newestId}::uuid`
  await run(work.tx, sql`delete from webhook_key where ${former} and (${graceMs} = 0 or expires_at <= app_now())`)
  const live = await row<{ n: number; nextEnd: Date | null }>(
    work.tx,
    sql`select count(*)::int as n, min(expires_at) as next_end from webhook_key where ${former}`,
  )
  if (live && live.n >= maxLiveKeys) {
    const at = live.nextEnd?.toISOString() ?? null
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
