import { z } from 'zod'
import type { WebhookEndpoint, WebhookMessage } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import { startOperation } from '../../access/operation/index.ts'
import { endpointErrors, lockEndpoint } from '../endpoint/index.ts'
import { inVersion, problemOfPattern } from '../event-type/index.ts'
import { insertTestMessage } from '../message/index.ts'
import { deliveryErrors } from './errors.ts'
import { probeNow } from './health.ts'
import { deliveriesTopic } from './model.ts'
import { countRecoverable, type RecoveryInput, type recoveries } from './recovery.ts'

const endpointTarget = (work: Work, ids: Record<string, string>) => lockEndpoint(work, { id: ids.endpointId! })

function demandEnabled(endpoint: WebhookEndpoint): void {
  if (endpoint.disabledAt) throw endpointErrors.webhook_endpoint_disabled({ field: 'endpointId' })
}

export const resendWebhookMessage = defineCommand({
  name: 'resendWebhookMessage',
  description:
    'Resends a message to a webhook endpoint immediately, with the same message ID. Replaces a pending retry. Fails with `webhook_endpoint_disabled` if the endpoint is disabled, and with `webhook_payload_removed` if the payload has expired or was expunged.',
  permission: 'manage:webhooks',
  ids: { endpointId: 'WebhookEndpoint', messageId: 'WebhookMessage' },
  targetType: 'WebhookEndpoint',
  target: endpointTarget,
  input: z.object({ messageId: z.string() }),
  emits: [],
  async run(work, { messageId }, endpoint: WebhookEndpoint) {
    const webhookMessage = await row<WebhookMessage>(
      work.tx,
      sql`select m.* from webhook_message m where m.id = ${messageId}::uuid and ${visible(work.caller, sql`m`)}
            and (${endpoint.projectId}::uuid is null or m.project_id = ${endpoint.projectId}::uuid) for share`,
    )
    if (!webhookMessage) throw errors.not_found({ field: 'messageId' })
    demandEnabled(endpoint)
    if (webhookMessage.body === null) throw deliveryErrors.webhook_payload_removed({ field: 'messageId' })
    await run(
      work.tx,
      sql`insert into webhook_delivery as d (message_id, endpoint_id, organization_id, position, status, trigger, next_attempt_at)
          values (${messageId}::uuid, ${endpoint.id}::uuid, ${endpoint.organizationId}::uuid, ${webhookMessage.position ?? 0n}, 'PENDING', 'MANUAL', app_now())
          on conflict (message_id, endpoint_id) do update
          set status = 'PENDING', reason = null, trigger = 'MANUAL', next_attempt_at = app_now(), operation_id = null, in_doubt = false`,
    )
    await probeNow(work, endpoint.id)
    work.wake(deliveriesTopic)
    return { webhookMessage }
  },
})

export const sendTestWebhook = defineCommand({
  name: 'sendTestWebhook',
  description:
    'Sends the sample of an event type to a webhook endpoint, marked as a test. A test is attempted once, is not retried, and does not count towards disabling the endpoint. Fails with `webhook_endpoint_disabled` if the endpoint is disabled.',
  permission: 'manage:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  targetType: 'WebhookEndpoint',
  target: endpointTarget,
  input: z.object({ eventType: z.string().nullish() }),
  emits: [],
  async run(work, input, endpoint: WebhookEndpoint) {
    const name = input.eventType ?? 'webhook.test'
    const types = work.app.domain.eventTypes
    const type = types.get(name)
    if (!type)
      throw errors.invalid_input({
        field: 'eventType',
        text: `eventType: ${problemOfPattern(types, name) ?? 'must be a full event type name'}`,
      })
    demandEnabled(endpoint)
    const { version, data } = inVersion(types, type.type, type.version, type.sample, endpoint.schemaVersion)
    const { organizationId, projectId } = endpoint
    const webhookMessage = await insertTestMessage(work, { organizationId, projectId, eventType: type, schemaVersion: version, data })
    await run(
      work.tx,
      sql`insert into webhook_delivery (message_id, endpoint_id, organization_id, status, trigger, next_attempt_at)
          values (${webhookMessage.id}::uuid, ${endpoint.id}::uuid, ${organizationId}::uuid, 'PENDING', 'TEST', app_now())`,
    )
    await probeNow(work, endpoint.id)
    work.wake(deliveriesTopic)
    return { webhookMessage, webhookEndpoint: endpoint }
  },
})

const recovering = (type: keyof typeof recoveries, description: string) =>
  defineCommand({
    name: type,
    description,
    permission: 'manage:webhooks',
    ids: { endpointId: 'WebhookEndpoint' },
    targetType: 'WebhookEndpoint',
    target: endpointTarget,
    input: z
      .object({ since: z.date(), until: z.date().nullish() })
      .refine(({ since, until }) => !until || since < until, { error: 'must be after since', path: ['until'] }),
    emits: [],
    async run(work, { since, until }, endpoint: WebhookEndpoint) {
      demandEnabled(endpoint)
      // What happens from now on is fresh traffic, which no recovery takes up.
      const { now } = (await row<{ now: Date }>(work.tx, sql`select app_now() as now`))!
      const end = until && until < now ? until : now
      const input: RecoveryInput = { endpointId: endpoint.id, since: since.toISOString(), until: end.toISOString() }
      const totalSteps = await countRecoverable(work, type, endpoint, input)
      const operation = await startOperation(work, { type, projectId: endpoint.projectId, input, totalSteps })
      return { operation }
    },
  })

export const recoverWebhookMessages = recovering(
  'recoverWebhookMessages',
  'Resends messages whose delivery to a webhook endpoint was attempted and failed. Runs in the background, with lower priority than new messages. Fails with `webhook_endpoint_disabled` if the endpoint is disabled.',
)

export const replayMissingWebhookMessages = recovering(
  'replayMissingWebhookMessages',
  'Sends messages that match a webhook endpoint but were never sent to it, because it was disabled, did not exist or had other filters at the time. Runs in the background, with lower priority than new messages. Fails with `webhook_endpoint_disabled` if the endpoint is disabled.',
)
