import type { GraphQLResolveInfo } from 'graphql'
import type { WebhookEndpoint as WebhookEndpointRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  findVisible,
  type GraphqlContext,
  type InputBuilder,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  settingFields,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Project } from '../../apps/project/graphql.ts'
import { projectListing } from '../../apps/project/index.ts'
import { createWebhookEndpoint, deleteWebhookEndpoint, updateWebhookEndpoint } from './commands.ts'
import { countWebhookEndpoints, findWebhookEndpoint, listWebhookEndpoints, webhookEndpointListing } from './queries.ts'
import { rotateWebhookSecret } from './rotate.ts'
import { endpointSettings } from './settings.ts'

const WebhookFormat = enumType('WebhookFormat', 'Format of the request body.', {
  RAW: 'The event as JSON.',
  SLACK: 'Message for a Slack incoming webhook.',
  TEAMS: 'Adaptive card for a Microsoft Teams workflow.',
  DISCORD: 'Message for a Discord webhook.',
  EMAIL:
    'Body of email events, with `event`, `email_id`, `service_id`, `to`, `from`, `subject`, `timestamp` and `data`. Only for endpoints that `createEmailWebhook` creates.',
  OEC: 'Body of the oec.sh Public API, with `event`, `timestamp` and `data`, and its names of events and statuses.',
  OCORE: 'Body of the oCore API, with `event`, `timestamp` and `data`, and its names of events and statuses.',
})

const WebhookKeyType = enumType('WebhookKeyType', 'Algorithm that requests are signed with.', {
  HMAC: 'HMAC-SHA256 with a shared secret. The signature scheme is `v1`.',
  ED25519: 'Ed25519 with a private key that the API never returns. The signature scheme is `v1a`.',
})

const settings = settingFields(endpointSettings, {
  description: { text: 'Description of the endpoint.', input: 'At most 2000 characters.' },
  eventTypes: {
    text: 'Event types that the endpoint receives. A type that ends in `.*`, such as `deployment.*`, matches by prefix. Empty means all types.',
    input: 'At most 100 types. Null also means all types.',
  },
  channels: {
    text: 'Channels of the endpoint. It receives only messages that were published to one of them. Empty means all messages.',
    input: 'At most 10 channels. Null also means all messages.',
  },
  filter: {
    text: 'Conditions on `data`, by path: `{"path.to.field": {"equals": …} | {"in": […]} | {"range": {"min": …, "max": …}}}`. The endpoint receives only events that meet all of them. For a list, one matching item is sufficient. Null means no conditions.',
    input: 'At most 20 conditions.',
  },
  rateLimitPerSecond: { text: 'Maximum number of requests per second. Null means no limit.', input: 'Must be from 1 to 1000.' },
  maxConcurrency: { text: 'Maximum number of concurrent requests. Null means no limit.', input: 'Must be from 1 to 1000.' },
  ordered: {
    text: 'Ordered delivery: messages are delivered one at a time, in the order of the events. A failing message blocks later ones until it is delivered or its retries are exhausted.',
    input: 'Defaults to false.',
  },
  atMostOnce: {
    text: 'At-most-once delivery: an attempt whose outcome is unknown is not retried.',
    input: 'Defaults to false.',
  },
  legacyHeaders: {
    text: 'Whether the headers `svix-id`, `svix-timestamp` and `svix-signature` are sent too.',
    input: 'Defaults to false.',
  },
  schemaVersion: {
    text: 'Newest version of an event type that the endpoint receives.',
    input: 'Must be a version of one of the types in `eventTypes`. Defaults to the newest version.',
  },
  timeoutMs: { text: 'Timeout of an attempt in milliseconds. Null means 15000.', input: 'Must be from 1000 to 30000.' },
  format: { type: WebhookFormat, text: 'Format of the request body.', input: 'Defaults to `RAW`.' },
  selection: {
    text: 'GraphQL selection on the subject of the event, such as `{ id ... on Deployment { status } }`. Its result replaces `data`. Null means that `data` is sent as published.',
    input: 'At most 10000 characters. Only with the format `RAW`. The selection runs with the view permissions that the caller has now.',
  },
})

export const WebhookEndpoint = builder.prismaObject('WebhookEndpoint', {
  description: 'URL that events are sent to, with its settings. Requests are signed according to Standard Webhooks 1.0.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:webhooks',
  fields: (t) => ({
    id: t.id(idField('WebhookEndpoint')),
    url: t.exposeString('url', { description: 'URL that POST requests are sent to.' }),
    ...settings.output(t),
    project: t.field({
      type: Project,
      nullable: true,
      description: 'Project whose events the endpoint receives. Null means all projects.',
      select: { projectId: true },
      resolve: ({ projectId }, _args, context, info) => (projectId ? findRelated(context, info, projectListing, projectId) : null),
    }),
    headers: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Additional request headers. Values are masked. Null if there are none.',
      select: { headerNames: true },
      resolve: ({ headerNames }) => (headerNames.length > 0 ? Object.fromEntries(headerNames.map((name) => [name, '[masked]'])) : null),
    }),
    keyType: t.expose('keyType', { type: WebhookKeyType, description: 'Algorithm of the newest signing key.' }),
    publicKey: t.exposeString('publicKey', {
      nullable: true,
      description: 'Newest public key, in base64 with the prefix `whpk_`. Null unless the algorithm is `ED25519`.',
    }),
    retryScheduleMs: t.intList({
      nullable: true,
      description:
        'Retry schedule: the delay before each retry, in milliseconds. Empty means no retries. Null means the schedule of the installation.',
      select: { hasOwnSchedule: true, retryScheduleMs: true },
      resolve: (endpoint) => (endpoint.hasOwnSchedule ? endpoint.retryScheduleMs : null),
    }),
    disabledAt: t.expose('disabledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the endpoint was disabled. Null if it is enabled.',
    }),
    disabledReason: t.exposeString('disabledReason', {
      nullable: true,
      description: 'Reason that the endpoint was disabled. Null if it is enabled.',
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(WebhookEndpoint, webhookEndpointListing), { list: listWebhookEndpoints, count: countWebhookEndpoints })

/** An endpoint that another object names; null when it was deleted or is not visible to the caller. */
export const endpointById = (context: GraphqlContext, info: GraphQLResolveInfo, id: string): Promise<WebhookEndpointRow | null> =>
  findVisible(context, info, webhookEndpointListing, id)

builder.queryField('webhookEndpoint', (t) =>
  t.field({
    type: WebhookEndpoint,
    nullable: true,
    description: 'Webhook endpoint with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the endpoint.' }) },
    resolve: (_root, args, context, info) => context.call(findWebhookEndpoint, args, columnsOf(info, 'WebhookEndpoint')),
  }),
)

const settingInputs = (t: InputBuilder) => ({
  ...settings.input(t, { initial: false }),
  projectId: t.id({ description: 'Send only events of this project. Null means all projects.' }),
  headers: t.field({
    type: 'JSON',
    description:
      'Additional request headers, by name, at most 20. Values are stored encrypted. Headers that Quayside sets itself, such as `Content-Type` and `webhook-*`, are refused.',
  }),
  retryScheduleMs: t.intList({
    description:
      'Retry schedule: the delay before each retry, in milliseconds. At most 20 delays, each from 0 to 604800000. Empty means no retries. Null means the schedule of the installation.',
  }),
})

const secretTextDescription =
  'Instead of `secret`: a text of 8 to 256 bytes whose UTF-8 bytes are the signing secret, for receivers that take the secret as a text. It is not returned.'

mutation(createWebhookEndpoint, {
  input: (t) => ({
    url: t.string({
      required: true,
      description:
        'URL to send POST requests to, at most 2048 characters. Must be https, unless the setting `EGRESS_ALLOW` includes its address.',
    }),
    secret: t.string({
      description:
        'Signing secret: `whsec_` followed by 24 to 64 bytes in base64, or `whsk_` followed by an Ed25519 private key in base64. Must differ from the secrets of other endpoints. When omitted, Quayside generates one.',
    }),
    secretText: t.string({ description: `${secretTextDescription} Must differ from the secrets of other endpoints.` }),
    keyType: t.field({
      type: WebhookKeyType,
      description: 'Algorithm to sign with. Defaults to the algorithm of `secret` or, without one, to `HMAC`.',
    }),
    disabled: t.boolean({ description: 'Whether the endpoint is created disabled. Defaults to false.' }),
    ...settingInputs(t),
  }),
  payload: (t) => ({
    webhookEndpoint: t.field({ type: WebhookEndpoint, description: 'The created endpoint.', resolve: (result) => result.webhookEndpoint }),
    secret: t.string({
      nullable: true,
      description:
        'Signing secret, returned only once. Null when a request is repeated with the same idempotency key, with `secretText` and with `ED25519`.',
      resolve: (result) => result.secret,
    }),
  }),
})

mutation(rotateWebhookSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the endpoint.' }),
    graceMs: t.int({
      description:
        'Time for which the former keys keep signing beside the new one, in milliseconds, from 0 to 604800000. Defaults to 86400000. With 0, the former keys stop signing immediately.',
    }),
    keyType: t.field({
      type: WebhookKeyType,
      description: 'Algorithm to sign with. Defaults to the algorithm of `secret` or, without one, to the current algorithm.',
    }),
    secret: t.string({
      description:
        'New signing secret, in the format of `CreateWebhookEndpointInput.secret`. Must differ from the secrets of all endpoints. When omitted, Quayside generates one.',
    }),
    secretText: t.string({ description: `${secretTextDescription} Must differ from the secrets of all endpoints.` }),
  }),
  payload: (t) => ({
    webhookEndpoint: t.field({ type: WebhookEndpoint, description: 'The updated endpoint.', resolve: (result) => result.webhookEndpoint }),
    secret: t.string({
      nullable: true,
      description:
        'New signing secret, returned only once. Null when a request is repeated with the same idempotency key, with `secretText` and with `ED25519`.',
      resolve: (result) => result.secret,
    }),
    publicKey: t.string({
      nullable: true,
      description: 'New public key, in base64 with the prefix `whpk_`. Null unless the algorithm is `ED25519`.',
      resolve: (result) => result.publicKey,
    }),
  }),
})

mutation(updateWebhookEndpoint, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the endpoint.' }),
    url: t.string({ description: 'New URL, at most 2048 characters. Pending retries use the new URL too.' }),
    disabled: t.boolean({
      description: 'Whether the endpoint is disabled. True skips its pending messages. False sends the events that occur from then on.',
    }),
    ...settingInputs(t),
  }),
  payload: payloadOf('webhookEndpoint', WebhookEndpoint, 'The updated endpoint.'),
})

mutation(deleteWebhookEndpoint, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the endpoint.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted endpoint.', resolve: (result) => encodeId('WebhookEndpoint', result.deletedId) }),
  }),
})
