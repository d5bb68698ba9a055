import type { WebhookDelivery as WebhookDeliveryRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  gives,
  idField,
  mutation,
  Node,
  registerNode,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { endpointById, WebhookEndpoint } from '../endpoint/graphql.ts'
import { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
import { readSendables } from './deliveries.ts'
import type { Message } from './model.ts'
import './reactions.ts'
import { countWebhookMessages, deliveriesOf, findWebhookMessage, listWebhookMessages, messageColumns } from './queries.ts'

export const WebhookDeliveryStatus = enumType('WebhookDeliveryStatus', 'How far a message has come on its way to one endpoint.', {
  PENDING: 'A try is due, waiting or under way.',
  DELIVERED: 'The receiver accepted it with a 2xx status.',
  EXHAUSTED: 'Every try of the schedule failed, or there was no way to send it.',
  ABORTED: 'The receiver asked to be sent it no more.',
  SKIPPED: 'The endpoint was disabled; it was not sent.',
  CANCELLED: 'The endpoint was deleted before it arrived.',
  UNKNOWN: 'Whether it arrived is not known, and it is not sent twice.',
})

const WebhookDelivery = builder.objectRef<WebhookDeliveryRow>('WebhookDelivery').implement({
  description: 'A message on its way to one endpoint.',
  fields: (t) => ({
    endpoint: t.field({
      type: WebhookEndpoint,
      nullable: true,
      description: 'The endpoint; null when it is deleted.',
      resolve: (delivery, _args, context) => endpointById(context, delivery.endpointId),
    }),
    endpointId: t.id({
      description: 'The id of the endpoint, also when that is deleted.',
      resolve: (delivery) => encodeId('WebhookEndpoint', delivery.endpointId),
    }),
    status: t.expose('status', { type: WebhookDeliveryStatus, description: 'How far it has come.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it ended so, or why it waits without a try, for a person to read.',
    }),
    attemptCount: t.exposeInt('attemptCount', { description: 'How many tries there were.' }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the next try is due, not before an endpoint that gives no answer is probed again; null: there is none.',
    }),
  }),
})

export const WebhookMessage = builder.objectRef<Message>('WebhookMessage').implement({
  description: 'What is sent for an event. Its id is the `webhook-id` of every request, and the `id` of the body.',
  interfaces: [Node],
  authScopes: { permission: 'view:webhooks' },
  fields: (t) => ({
    id: t.id(idField('WebhookMessage')),
    eventType: t.exposeString('eventType', { description: 'The type of the event.' }),
    channels: t.exposeStringList('channels', { description: 'The channels that it was published to; empty: none.' }),
    requestId: t.exposeString('requestId', {
      nullable: true,
      description: 'The API request that brought it about; null for what Quayside did by itself.',
    }),
    timestamp: t.expose('timestamp', { type: 'DateTime', description: 'When the event happened.' }),
    payload: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The body that is sent; null when it was removed, by its age or by hand.',
      resolve: (message, _args, context) =>
        context.load('webhook payload', message.id, async (ids: readonly string[]) => {
          const found = await readSendables(context.app.db.prisma, ids)
          return ids.map((id) => JSON.parse(found.get(id)?.body ?? 'null') as unknown)
        }),
    }),
    deliveries: t.field({
      type: [WebhookDelivery],
      description: 'Its way to each endpoint that matched and that the caller may see; empty when none did.',
      resolve: (message, _args, context) =>
        context.load('webhook deliveries', message.id, (ids: readonly string[]) =>
          deliveriesOf(context.app.db.prisma, context.caller, ids),
        ),
    }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

const WebhookMessageConnection = connectionType<Message>(WebhookMessage, 'WebhookMessage', 'WebhookMessage')

registerNode('WebhookMessage', async (context, ids) =>
  context.caller.permissions.has('view:webhooks')
    ? rows<Message>(
        context.app.db.prisma,
        sql`select ${messageColumns} from webhook_message t where t.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`t`)}`,
      )
    : [],
)

builder.queryFields((t) => ({
  webhookMessages: t.field({
    type: WebhookMessageConnection,
    description: 'What was or is to be sent, newest first; also events that matched no endpoint.',
    args: {
      endpointId: t.arg.id({ description: 'Only what goes to this endpoint.' }),
      eventType: t.arg.string({ description: 'Only this type, by its full name.' }),
      status: t.arg({ type: WebhookDeliveryStatus, description: 'Only with a delivery of this status; with `endpointId`: that one.' }),
      since: t.arg({ type: 'DateTime', description: 'Only what happened at or after this.' }),
      until: t.arg({ type: 'DateTime', description: 'Only what happened before this.' }),
      ...connectionArgs,
    },
    resolve: (_root, { first, after, last, before, ...filter }, context) =>
      connection(
        () => context.call(listWebhookMessages, { first, after, last, before, ...filter }),
        () => context.call(countWebhookMessages, filter),
      ),
  }),
  webhookMessage: t.field({
    type: WebhookMessage,
    nullable: true,
    description: 'One message.',
    args: { id: t.arg.id({ required: true, description: 'Its id, which is that of the event.' }) },
    resolve: (_root, args, context) => context.call(findWebhookMessage, args),
  }),
}))

mutation(resendWebhookMessage, {
  input: (t) => ({
    messageId: t.id({ required: true, description: 'The message.' }),
    endpointId: t.id({ required: true, description: 'Where to send it; must be enabled.' }),
  }),
  payload: gives('webhookMessage', WebhookMessage, 'The message.'),
})

mutation(sendTestWebhook, {
  input: (t) => ({
    endpointId: t.id({ required: true, description: 'Where to send it; must be enabled.' }),
    eventType: t.string({ defaultValue: 'webhook.test', description: 'The type whose sample is sent.' }),
  }),
  payload: (t) => ({
    webhookMessage: t.field({
      type: WebhookMessage,
      description: 'The test; its attempt follows at once.',
      resolve: (result) => result.webhookMessage,
    }),
  }),
})

for (const command of [recoverWebhookMessages, replayMissingWebhookMessages]) {
  mutation(command, {
    input: (t) => ({
      endpointId: t.id({ required: true, description: 'The endpoint; must be enabled.' }),
      since: t.field({ type: 'DateTime', required: true, description: 'Messages of events from then on.' }),
      until: t.field({ type: 'DateTime', description: 'And before this; absent: up to now.' }),
    }),
    payload: gives('operation', Operation, 'What to poll for its end.'),
  })
}
