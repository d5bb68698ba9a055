import {
  builder,
  connectionOf,
  enumType,
  type GraphqlContext,
  mutation,
  payloadOf,
  rootConnection,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { endpointById, WebhookEndpoint } from '../endpoint/graphql.ts'
import { WebhookMessage } from '../message/graphql.ts'
import { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
import type { MessageWithDeliveries, ShownDelivery } from './model.ts'
import './reactions.ts'
import {
  checkWebhookFilter,
  countWebhookMessages,
  deliveredMessageListing,
  deliveriesOf,
  deliveryOf,
  listWebhookMessages,
} from './queries.ts'

export const WebhookDeliveryStatus = enumType('WebhookDeliveryStatus', 'Status of a delivery.', {
  PENDING: 'An attempt is due, scheduled or in progress.',
  DELIVERED: 'The receiver accepted the message with a 2xx status.',
  EXHAUSTED: 'All attempts of the retry schedule failed, or the message could not be sent.',
  ABORTED: 'The receiver asked not to be sent this message again, with the header `webhook-delivery: abort-message`.',
  SKIPPED: 'Not sent, because the endpoint was disabled. Can be replayed or recovered.',
  CANCELLED: 'The endpoint was deleted before the message was delivered.',
  UNKNOWN: 'The outcome of the attempt is unknown, and at-most-once delivery does not allow a retry.',
})

const WebhookDelivery = builder.objectRef<ShownDelivery>('WebhookDelivery').implement({
  description: 'Delivery of a message to an endpoint.',
  fields: (t) => ({
    endpoint: t.field({
      type: WebhookEndpoint,
      nullable: true,
      description: 'Endpoint that the message is sent to. Null if it has been deleted.',
      resolve: (delivery, _args, context, info) => endpointById(context, info, delivery.endpointId),
    }),
    endpointId: t.id({
      description: 'ID of the endpoint, even if it has been deleted.',
      resolve: (delivery) => encodeId('WebhookEndpoint', delivery.endpointId),
    }),
    status: t.expose('status', { type: WebhookDeliveryStatus, description: 'Status of the delivery.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Human-readable reason for the status. Null if there is none.',
    }),
    attemptCount: t.exposeInt('attemptCount', { description: 'Number of attempts made.' }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'Time when the next attempt is due. For an endpoint that does not respond at all, the time of its next probe, if later. Null if no attempt is due.',
    }),
  }),
})

type Delivered = Pick<MessageWithDeliveries, 'id' | 'deliveries'>

/** For the extensions of a field of a message that calls `deliveriesSeen`. */
export const deliveriesColumns = ['deliveries']

const seen = new WeakMap<Delivered, Promise<ShownDelivery[]>>()

/** The deliveries of a message, read once, so that the response shows them and their attempts as of one moment. */
export function deliveriesSeen(context: GraphqlContext, message: Delivered): Promise<ShownDelivery[]> {
  const known = seen.get(message)
  if (known) return known
  const read = message.deliveries
    ? Promise.resolve(message.deliveries.map(deliveryOf))
    : context.load('webhook deliveries', message.id, (ids: readonly string[]) => deliveriesOf(context.app.db, context.caller, ids))
  seen.set(message, read)
  return read
}

builder.prismaObjectField(WebhookMessage, 'deliveries', (t) =>
  t.field({
    type: [WebhookDelivery],
    extensions: { rows: 5, columns: deliveriesColumns },
    description: 'Deliveries of the message, one for each matching endpoint that is visible to the caller.',
    resolve: (message, _args, context) => deliveriesSeen(context, message),
  }),
)

rootConnection(connectionOf(WebhookMessage, deliveredMessageListing), {
  list: listWebhookMessages,
  count: countWebhookMessages,
  check: checkWebhookFilter,
  args: builder.args((t) => ({
    endpointId: t.id({ description: 'Return only messages sent to this endpoint.' }),
    eventType: t.string({ description: 'Return only messages for events of this type. Wildcards are not supported.' }),
    status: t.field({
      type: WebhookDeliveryStatus,
      description:
        'Return only messages that have a delivery with this status. With `endpointId`, only the delivery to that endpoint counts.',
    }),
    since: t.field({ type: 'DateTime', description: 'Return only messages of events that occurred at or after this time.' }),
    until: t.field({ type: 'DateTime', description: 'Return only messages of events that occurred before this time.' }),
  })),
})

mutation(resendWebhookMessage, {
  input: (t) => ({
    messageId: t.id({ required: true, description: 'ID of the message.' }),
    endpointId: t.id({ required: true, description: 'ID of the endpoint to send the message to.' }),
  }),
  payload: payloadOf('webhookMessage', WebhookMessage, 'The resent message.'),
})

mutation(sendTestWebhook, {
  input: (t) => ({
    endpointId: t.id({ required: true, description: 'ID of the endpoint to send the test to.' }),
    eventType: t.string({ defaultValue: 'webhook.test', description: 'Event type whose sample is sent. Defaults to `webhook.test`.' }),
  }),
  payload: (t) => ({
    webhookMessage: t.field({
      type: WebhookMessage,
      description: 'The test message. Its attempt follows immediately.',
      resolve: (result) => result.webhookMessage,
    }),
  }),
})

for (const command of [recoverWebhookMessages, replayMissingWebhookMessages]) {
  mutation(command, {
    input: (t) => ({
      endpointId: t.id({ required: true, description: 'ID of the endpoint.' }),
      since: t.field({ type: 'DateTime', required: true, description: 'Include messages of events that occurred at or after this time.' }),
      until: t.field({ type: 'DateTime', description: 'Include only messages of events that occurred before this time. Defaults to now.' }),
    }),
    payload: payloadOf('operation', Operation, 'Operation to poll for the progress.'),
  })
}
