import type { WebhookAttempt as WebhookAttemptRow, WebhookMessage as WebhookMessageRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  type GraphqlContext,
  idField,
  mutation,
  Node,
  nestedConnection,
  registerNode,
  rowById,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, type Sql, sql } from '../../../platform/db/index.ts'
import { decodeId, encodeId } from '../../../platform/id.ts'
import { deliveriesSeen } from '../delivery/graphql.ts'
import { checkWebhookFilter, type ShownDelivery } from '../delivery/index.ts'
import { endpointById, WebhookEndpoint } from '../endpoint/graphql.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'
import { WebhookMessage } from '../message/graphql.ts'
import { expungeWebhookMessage } from './commands.ts'
import { attemptListing, countWebhookAttempts, listWebhookAttempts } from './queries.ts'

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
  authScopes: { permission: 'view:webhooks' },
  fields: (t) => ({
    id: t.id(idField('WebhookAttempt')),
    number: t.exposeInt('number', { description: 'Number of the attempt, starting at 1 for each delivery.' }),
    endpoint: t.field({
      type: WebhookEndpoint,
      nullable: true,
      description: 'Endpoint that the message was sent to. Null if it has been deleted.',
      resolve: (attempt, _args, context) => endpointById(context, attempt.endpointId),
    }),
    endpointId: t.id({
      description: 'ID of the endpoint, even if it has been deleted.',
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
      resolve: (attempt, _args, context) => rowById<WebhookMessageRow>(context, 'webhook_message', attempt.messageId),
    }),
    requestId: t.string({
      nullable: true,
      description: 'ID of the API request that caused the event. Null if Quayside caused it.',
      resolve: async (attempt, _args, context) =>
        (await rowById<WebhookMessageRow>(context, 'webhook_message', attempt.messageId)).requestId,
    }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

const WebhookAttemptConnection = connectionType<WebhookAttemptRow>(WebhookAttempt as never, 'WebhookAttempt', 'WebhookAttempt')

registerNode('WebhookAttempt', async (context, ids) =>
  context.caller.permissions.has('view:webhooks')
    ? rows<WebhookAttemptRow>(
        context.app.db.prisma,
        sql`select a.* from webhook_attempt a join webhook_message m on m.id = a.message_id
            where a.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`m`)}
              and ${visibleByEndpoint(context.caller, sql`a.endpoint_id`)}`,
      )
    : [],
)

/** By message: its deliveries as the same answer tells them. */
type Told = Map<string, ShownDelivery[]>
const toldByContext = new WeakMap<GraphqlContext, Told>()

function toldOf(context: GraphqlContext): Told {
  const told = toldByContext.get(context) ?? new Map<string, ShownDelivery[]>()
  toldByContext.set(context, told)
  return told
}

/** No try that was made after the deliveries were read: each counts in the transaction that lists it. */
function upTo(told: Told, messageIds: readonly string[]): Sql {
  const counts = messageIds.flatMap((id) => (told.get(id) ?? []).map((delivery) => [`${id} ${delivery.endpointId}`, delivery.attemptCount]))
  return sql`t.number <= (${JSON.stringify(Object.fromEntries(counts))}::jsonb ->> (t.message_id || ' ' || t.endpoint_id))::int`
}

builder.objectField(WebhookMessage, 'attempts', (t) =>
  t.field({
    type: WebhookAttemptConnection,
    description: 'Delivery attempts of the message, newest first.',
    args: { endpointId: t.arg.id({ description: 'Return only attempts for this endpoint.' }), ...connectionArgs },
    resolve: async (message, args, context) => {
      const told = toldOf(context)
      told.set(message.id, await deliveriesSeen(context, message))
      return nestedConnection<WebhookAttemptRow>(context, message.id, args, {
        name: 'webhook attempts',
        permission: 'view:webhooks',
        listing: ({ caller }) =>
          attemptListing(caller, typeof args.endpointId === 'string' ? decodeId('WebhookEndpoint', args.endpointId) : null),
        parent: sql`t.message_id`,
        where: (ids) => upTo(told, ids),
      })
    },
  }),
)

builder.queryField('webhookAttempts', (t) =>
  t.field({
    type: WebhookAttemptConnection,
    description: 'Delivery attempts visible to the caller, newest first.',
    args: {
      endpointId: t.arg.id({ description: 'Return only attempts for this endpoint.' }),
      messageId: t.arg.id({ description: 'Return only attempts for this message.' }),
      eventType: t.arg.string({ description: 'Return only attempts for events of this type. Wildcards are not supported.' }),
      errorClass: t.arg({ type: WebhookErrorClass, description: 'Return only attempts that failed with this class of error.' }),
      statusClass: t.arg.int({
        description: 'Return only attempts whose response status is in this class, from 1 to 5. For example, 4 selects 400 to 499.',
      }),
      since: t.arg({ type: 'DateTime', description: 'Return only attempts that started at or after this time.' }),
      until: t.arg({ type: 'DateTime', description: 'Return only attempts that started before this time.' }),
      ...connectionArgs,
    },
    resolve: async (_root, { first, after, last, before, ...filter }, context) => {
      await context.call(checkWebhookFilter, filter)
      return connection<WebhookAttemptRow>(
        () => context.call(listWebhookAttempts, { first, after, last, before, ...filter }),
        () => context.call(countWebhookAttempts, filter),
      )
    },
  }),
)

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
