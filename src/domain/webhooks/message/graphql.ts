import { builder, columnsOf, idField, makeRoom, Node, timestamps } from '../../../graphql/builder/index.ts'
import { bodyBytes, findWebhookMessage, readSendables } from './queries.ts'

export const WebhookMessage = builder.prismaObject('WebhookMessage', {
  description: 'Message sent for an event. Its ID is the `webhook-id` of every request and the `id` of the request body.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:webhooks',
  fields: (t) => ({
    id: t.id(idField('WebhookMessage')),
    eventType: t.exposeString('eventType', { description: 'Type of the event.' }),
    channels: t.exposeStringList('channels', { description: 'Channels that the message was published to.' }),
    requestId: t.exposeString('requestId', {
      nullable: true,
      description: 'ID of the API request that caused the event. Null if Quayside caused it.',
    }),
    timestamp: t.expose('timestamp', { type: 'DateTime', description: 'Time when the event occurred.' }),
    payload: t.field({
      type: 'JSON',
      nullable: true,
      extensions: { cost: 20 },
      description: 'Request body. Null if it has expired or was expunged.',
      resolve: (message, _args, context) =>
        context.load('webhook payload', message.id, async (ids: readonly string[]) => {
          await makeRoom(context, bodyBytes(ids))
          const found = await readSendables(context.app.db, ids)
          const payloads = new Map<string, unknown>()
          for (const id of ids) {
            await context.pace.next()
            const body = found.get(id)?.body ?? 'null'
            if (payloads.has(id)) context.room.takeBytes(Buffer.byteLength(body))
            else payloads.set(id, JSON.parse(body))
          }
          return ids.map((id) => payloads.get(id))
        }),
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.queryField('webhookMessage', (t) =>
  t.field({
    type: WebhookMessage,
    nullable: true,
    description: 'Webhook message with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the message, which is the ID of its event.' }) },
    resolve: (_root, args, context, info) => context.call(findWebhookMessage, args, columnsOf(info, 'WebhookMessage')),
  }),
)
