import {
  builder,
  connectionArgs,
  connectionBelow,
  connectionOf,
  enumType,
  findRelated,
  type GraphqlContext,
  idField,
  mutation,
  Node,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { deliveriesColumns, deliveriesSeen } from '../delivery/graphql.ts'
import { checkWebhookFilter, type ShownDelivery } from '../delivery/index.ts'
import { endpointById, WebhookEndpoint } from '../endpoint/graphql.ts'
import { WebhookMessage } from '../message/graphql.ts'
import { webhookMessageListing } from '../message/index.ts'
import { expungeWebhookMessage } from './commands.ts'
import { countWebhookAttempts, listWebhookAttempts, webhookAttemptListing } from './queries.ts'

const WebhookAttemptTrigger = enumType('WebhookAttemptTrigger', 'Cause of a delivery attempt.', {
  AUTOMATIC: 'The event itself, or the retry schedule.',
  MANUAL: 'A manual resend.',
  RECOVERY: 'A recovery of failed messages or a replay of missing ones.',
  TEST: 'A test sent by a user.',
})

const WebhookErrorClass = enumType('WebhookErrorClass', 'Class of error of a failed attempt.', {
  DNS: 'The host name could not be resolved.',
  REFUSED: 'The connection was refused or could not be established.',
  TIMEOUT: 'The response was not complete within the timeout.',
  TLS: 'The TLS handshake failed or the certificate is not valid.',
  RESET: 'The connection was reset.',
  HTTP: 'The status of the response was not 2xx.',
  BLOCKED: 'The address is private or otherwise not allowed. See the setting `EGRESS_ALLOW`.',
  UNKNOWN: 'The outcome was lost, because the worker that sent the request ended or could not record it. The request may have arrived.',
})

export const WebhookAttempt = builder.prismaObject('WebhookAttempt', {
  description: 'An attempt to deliver a message to an endpoint.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:webhooks',
  fields: (t) => ({
    id: t.id(idField('WebhookAttempt')),
    number: t.exposeInt('number', { description: 'Number of the attempt, starting at 1 for each delivery.' }),
    endpoint: t.field({
      type: WebhookEndpoint,
      nullable: true,
      description: 'Endpoint that the message was sent to. Null if it has been deleted.',
      select: { endpointId: true },
      resolve: (attempt, _args, context, info) => endpointById(context, info, attempt.endpointId),
    }),
    endpointId: t.id({
      description: 'ID of the endpoint, even if it has been deleted.',
      select: { endpointId: true },
      resolve: (attempt) => encodeId('WebhookEndpoint', attempt.endpointId),
    }),
    trigger: t.expose('trigger', { type: WebhookAttemptTrigger, description: 'Cause of the attempt.' }),
    url: t.exposeString('url', { description: 'URL that the request was sent to.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'Time when the attempt started.' }),
    durationMs: t.exposeInt('durationMs', {
      description: 'Duration of the attempt in milliseconds. For an attempt of class `UNKNOWN`, the time until the loss was noticed.',
    }),
    requestHeaders: t.expose('requestHeaders', {
      type: 'JSON',
      nullable: true,
      description: 'Headers of the request. Secret values are masked. Null if unknown.',
    }),
    responseStatus: t.exposeInt('responseStatus', {
      nullable: true,
      description: 'HTTP status of the response. Null if there was no response.',
    }),
    errorClass: t.expose('errorClass', {
      type: WebhookErrorClass,
      nullable: true,
      description: 'Class of error. Null if the attempt succeeded.',
    }),
    responseHeaders: t.expose('responseHeaders', {
      type: 'JSON',
      nullable: true,
      description: 'Headers of the response. Null if there was no response.',
    }),
    responseBody: t.exposeString('responseBody', {
      nullable: true,
      extensions: { cost: 3 },
      description: 'Beginning of the response body, at most 20000 bytes. Null if there was no response or the body has been expunged.',
    }),
    worker: t.exposeString('worker', { nullable: true, description: 'Worker process that made the attempt.' }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the next attempt was due. Null if none followed.',
    }),
    message: t.field({
      type: WebhookMessage,
      description: 'Message that was sent.',
      select: { messageId: true },
      resolve: ({ messageId }, _args, context, info) => findRelated(context, info, webhookMessageListing, messageId),
    }),
    requestId: t.string({
      nullable: true,
      description: 'ID of the API request that caused the event. Null if Quayside caused it.',
      select: { messageId: true },
      resolve: async ({ messageId }, _args, context) =>
        (await findRelated(context, ['requestId'], webhookMessageListing, messageId)).requestId,
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

const attempts = connectionOf(WebhookAttempt, webhookAttemptListing)

/** Deliveries by message, as returned in the same response. */
type DeliveriesByMessage = Map<string, ShownDelivery[]>
const deliveriesByContext = new WeakMap<GraphqlContext, DeliveriesByMessage>()

function returnedDeliveries(context: GraphqlContext): DeliveriesByMessage {
  const returned = deliveriesByContext.get(context) ?? new Map<string, ShownDelivery[]>()
  deliveriesByContext.set(context, returned)
  return returned
}

/** Excludes attempts made after the deliveries were read. Recording an attempt counts it on its delivery in the same transaction. */
function countedIn(returned: DeliveriesByMessage, messageIds: readonly string[]): Sql {
  const counts = messageIds.flatMap((id) =>
    (returned.get(id) ?? []).map((delivery) => [`${id} ${delivery.endpointId}`, delivery.attemptCount]),
  )
  return sql`t.number <= (${JSON.stringify(Object.fromEntries(counts))}::jsonb ->> (t.message_id || ' ' || t.endpoint_id))::int`
}

builder.prismaObjectField(WebhookMessage, 'attempts', (t) =>
  t.field({
    type: attempts.type,
    extensions: { columns: deliveriesColumns },
    description: 'Delivery attempts of the message, newest first.',
    args: { endpointId: t.arg.id({ description: 'Return only attempts for this endpoint.' }), ...connectionArgs },
    resolve: async (message, { endpointId, ...page }, context, info) => {
      const returned = returnedDeliveries(context)
      returned.set(message.id, await deliveriesSeen(context, message))
      return connectionBelow(context, info, webhookAttemptListing, message.id, () => ({
        parent: 'messageId',
        filter: { endpointId },
        page,
        where: (ids) => countedIn(returned, ids),
      }))
    },
  }),
)

rootConnection(attempts, {
  list: listWebhookAttempts,
  count: countWebhookAttempts,
  check: checkWebhookFilter,
  args: builder.args((t) => ({
    endpointId: t.id({ description: 'Return only attempts for this endpoint.' }),
    messageId: t.id({ description: 'Return only attempts for this message.' }),
    eventType: t.string({ description: 'Return only attempts for events of this type. Wildcards are not supported.' }),
    errorClass: t.field({ type: WebhookErrorClass, description: 'Return only attempts that failed with this class of error.' }),
    statusClass: t.int({
      description: 'Return only attempts whose response status is in this class, from 1 to 5. For example, 4 selects 400 to 499.',
    }),
    since: t.field({ type: 'DateTime', description: 'Return only attempts that started at or after this time.' }),
    until: t.field({ type: 'DateTime', description: 'Return only attempts that started before this time.' }),
  })),
})

mutation(expungeWebhookMessage, {
  input: (t) => ({
    messageId: t.id({ required: true, description: 'ID of the message.' }),
    attemptId: t.id({
      description:
        'ID of the attempt whose response body to expunge. When omitted, the payload and the response bodies of all attempts are expunged.',
    }),
  }),
  payload: (t) => ({
    webhookMessage: t.field({
      type: WebhookMessage,
      description: 'The message without the expunged contents.',
      resolve: (result) => result.webhookMessage,
    }),
  }),
})
