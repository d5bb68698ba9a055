import type { WebhookAttempt as WebhookAttemptRow, WebhookMessage as WebhookMessageRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  idField,
  mutation,
  Node,
  nestedConnection,
  registerNode,
  rowById,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { decodeId, encodeId } from '../../../platform/id.ts'
import { endpointById, WebhookEndpoint } from '../endpoint/graphql.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'
import { WebhookMessage } from '../message/graphql.ts'
import { expungeWebhookMessage } from './commands.ts'
import { attemptListing, countWebhookAttempts, listWebhookAttempts } from './queries.ts'

const WebhookAttemptTrigger = enumType('WebhookAttemptTrigger', 'What a try came from.', {
  AUTOMATIC: 'The event, or the retry schedule.',
  MANUAL: 'A person who had it sent again.',
  RECOVERY: 'A recovery of what had failed or was missed.',
  TEST: 'A test that a person sent.',
})

const WebhookErrorClass = enumType('WebhookErrorClass', 'How a try failed.', {
  DNS: 'The name could not be resolved.',
  REFUSED: 'The connection was refused or could not be made.',
  TIMEOUT: 'There was no complete answer in time.',
  TLS: 'The certificate or the TLS connection was no good.',
  RESET: 'The connection broke off.',
  HTTP: 'The answer was no 2xx.',
  BLOCKED: 'The address is one that may not be connected to; see EGRESS_ALLOW.',
})

export const WebhookAttempt = builder.prismaObject('WebhookAttempt', {
  description: 'One try to deliver a message to one endpoint.',
  interfaces: [Node],
  authScopes: { permission: 'view:webhooks' },
  fields: (t) => ({
    id: t.id(idField('WebhookAttempt')),
    number: t.exposeInt('number', { description: 'Counts the tries of the delivery from 1.' }),
    endpoint: t.field({
      type: WebhookEndpoint,
      nullable: true,
      description: 'The endpoint; null when it is deleted.',
      resolve: (attempt, _args, context) => endpointById(context, attempt.endpointId),
    }),
    endpointId: t.id({
      description: 'The id of the endpoint, also when that is deleted.',
      resolve: (attempt) => encodeId('WebhookEndpoint', attempt.endpointId),
    }),
    trigger: t.expose('trigger', { type: WebhookAttemptTrigger, description: 'What it came from.' }),
    url: t.exposeString('url', { description: 'The address that was really called.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it began.' }),
    durationMs: t.exposeInt('durationMs', { description: 'How long it took, in milliseconds.' }),
    requestHeaders: t.expose('requestHeaders', {
      type: 'JSON',
      nullable: true,
      description: 'The headers that were sent, secrets masked.',
    }),
    responseStatus: t.exposeInt('responseStatus', { nullable: true, description: 'The status of the answer; null: there was none.' }),
    errorClass: t.expose('errorClass', { type: WebhookErrorClass, nullable: true, description: 'How it failed; null: it was accepted.' }),
    responseHeaders: t.expose('responseHeaders', { type: 'JSON', nullable: true, description: 'The headers of the answer.' }),
    responseBody: t.exposeString('responseBody', { nullable: true, description: 'The beginning of the answer, at most 20,000 bytes.' }),
    worker: t.exposeString('worker', { nullable: true, description: 'The process that sent it.' }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the try after it was due; null: there was none.',
    }),
    message: t.field({
      type: WebhookMessage,
      description: 'What was sent.',
      resolve: (attempt, _args, context) => rowById<WebhookMessageRow>(context, 'webhook_message', attempt.messageId),
    }),
    requestId: t.string({
      nullable: true,
      description: 'The API request that brought the event about; null for what Quayside did by itself.',
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

builder.objectField(WebhookMessage, 'attempts', (t) =>
  t.field({
    type: WebhookAttemptConnection,
    description: 'Every try, newest first.',
    args: { endpointId: t.arg.id({ description: 'Only those to this endpoint.' }), ...connectionArgs },
    resolve: (message, args, context) =>
      nestedConnection<WebhookAttemptRow>(context, message.id, args, {
        name: 'webhook attempts',
        permission: 'view:webhooks',
        listing: ({ caller }) =>
          attemptListing(caller, typeof args.endpointId === 'string' ? decodeId('WebhookEndpoint', args.endpointId) : null),
        parent: sql`t.message_id`,
      }),
  }),
)

builder.queryField('webhookAttempts', (t) =>
  t.field({
    type: WebhookAttemptConnection,
    description: 'Tries to deliver, newest first.',
    args: {
      endpointId: t.arg.id({ description: 'Only those to this endpoint.' }),
      messageId: t.arg.id({ description: 'Only those of this message.' }),
      eventType: t.arg.string({ description: 'Only of this type, by its full name.' }),
      errorClass: t.arg({ type: WebhookErrorClass, description: 'Only those that failed so.' }),
      statusClass: t.arg.int({ description: 'Only with an answer of this class: 2 for 200 to 299.' }),
      since: t.arg({ type: 'DateTime', description: 'Only those that began at or after this.' }),
      until: t.arg({ type: 'DateTime', description: 'Only those that began before this.' }),
      ...connectionArgs,
    },
    resolve: (_root, { first, after, last, before, ...filter }, context) =>
      connection<WebhookAttemptRow>(
        () => context.call(listWebhookAttempts, { first, after, last, before, ...filter }),
        () => context.call(countWebhookAttempts, filter),
      ),
  }),
)

mutation(expungeWebhookMessage, {
  input: (t) => ({
    messageId: t.id({ required: true, description: 'The message.' }),
    attemptId: t.id({ description: 'Only the answer of this attempt; absent: the payload, and the answers of all attempts.' }),
  }),
  payload: (t) => ({
    webhookMessage: t.field({
      type: WebhookMessage,
      description: 'The message as it is then.',
      resolve: (result) => result.webhookMessage,
    }),
  }),
})
