import type { Project as ProjectRow, WebhookEndpoint as WebhookEndpointRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  type GraphqlContext,
  gives,
  type InputBuilder,
  idField,
  mutation,
  Node,
  registerNode,
  rowById,
  written,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Project } from '../../apps/project/graphql.ts'
import { createWebhookEndpoint, deleteWebhookEndpoint, updateWebhookEndpoint } from './commands.ts'
import { countWebhookEndpoints, findWebhookEndpoint, listWebhookEndpoints } from './queries.ts'
import { rotateWebhookSecret } from './rotate.ts'

const WebhookFormat = enumType('WebhookFormat', 'The shape of the body that is sent.', {
  RAW: 'The event itself, as JSON.',
  SLACK: 'A message for an incoming webhook of Slack.',
  TEAMS: 'An adaptive card for a workflow of Microsoft Teams.',
  DISCORD: 'A message for a webhook of Discord.',
})

const WebhookKeyType = enumType('WebhookKeyType', 'How requests are signed.', {
  HMAC: 'HMAC-SHA256 with a secret that both sides know: `v1`.',
  ED25519: 'ed25519 with a private key that never leaves Quayside: `v1a`.',
})

export const WebhookEndpoint = builder.prismaObject('WebhookEndpoint', {
  description: 'Where events are sent, signed after Standard Webhooks 1.0.',
  interfaces: [Node],
  authScopes: { permission: 'view:webhooks' },
  fields: (t) => ({
    id: t.id(idField('WebhookEndpoint')),
    url: t.exposeString('url', { description: 'The address that is sent POST requests.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is for.' }),
    eventTypes: t.exposeStringList('eventTypes', { description: 'The types that it is sent, such as `deployment.*`; empty: all.' }),
    project: t.field({
      type: Project,
      nullable: true,
      description: 'The only project whose events it is sent; null: all of them.',
      resolve: (endpoint, _args, context) => (endpoint.projectId ? rowById<ProjectRow>(context, 'project', endpoint.projectId) : null),
    }),
    channels: t.exposeStringList('channels', { description: 'Only messages of one of these channels; empty: all messages.' }),
    filter: t.expose('filter', {
      type: 'JSON',
      nullable: true,
      description: 'Conditions on `data`, by path, all of which must hold: `equals`, `in` or `range`.',
    }),
    headers: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The headers that it adds; values are masked.',
      resolve: ({ headerNames }) => (headerNames.length > 0 ? Object.fromEntries(headerNames.map((name) => [name, '[masked]'])) : null),
    }),
    rateLimitPerSecond: t.exposeInt('rateLimitPerSecond', { nullable: true, description: 'At most so many requests a second.' }),
    maxConcurrency: t.exposeInt('maxConcurrency', { nullable: true, description: 'At most so many requests at once.' }),
    ordered: t.exposeBoolean('ordered', {
      description: 'Whether messages come strictly in the order of events, each after the former one was accepted or given up.',
    }),
    atMostOnce: t.exposeBoolean('atMostOnce', { description: 'Whether nothing is sent again after a try whose outcome is unknown.' }),
    legacyHeaders: t.exposeBoolean('legacyHeaders', { description: 'Whether `svix-id`, `svix-timestamp` and `svix-signature` are added.' }),
    schemaVersion: t.exposeInt('schemaVersion', { description: 'The newest version of a type that it is sent.' }),
    timeoutMs: t.exposeInt('timeoutMs', { nullable: true, description: 'How long a try may take in all; null: 15000.' }),
    format: t.expose('format', { type: WebhookFormat, description: 'The shape of the body.' }),
    selection: t.exposeString('selection', {
      nullable: true,
      description: "A GraphQL selection on the event's subject, which makes `data`.",
    }),
    keyType: t.expose('keyType', { type: WebhookKeyType, description: 'How requests are signed with the newest key.' }),
    publicKey: t.exposeString('publicKey', {
      nullable: true,
      description: 'With ED25519: `whpk_` and the base64 of the newest public key.',
    }),
    retryScheduleMs: t.intList({
      nullable: true,
      description: 'After how many milliseconds each retry follows; empty: there is none; null: the schedule of the installation.',
      resolve: (endpoint) => (endpoint.hasOwnSchedule ? endpoint.retryScheduleMs : null),
    }),
    disabledAt: t.expose('disabledAt', { type: 'DateTime', nullable: true, description: 'Since when it is sent nothing.' }),
    disabledReason: t.exposeString('disabledReason', { nullable: true, description: 'Why it is disabled.' }),
    ...written(t),
  }),
})

export const WebhookEndpointConnection = connectionType<WebhookEndpointRow>(WebhookEndpoint as never, 'WebhookEndpoint', 'WebhookEndpoint')

const visibleEndpoints = async (context: GraphqlContext, ids: readonly string[]): Promise<WebhookEndpointRow[]> =>
  context.caller.permissions.has('view:webhooks')
    ? rows<WebhookEndpointRow>(
        context.app.db.prisma,
        sql`select e.* from webhook_endpoint e where e.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`e`)}`,
      )
    : []

registerNode('WebhookEndpoint', visibleEndpoints)

/** An endpoint that something else names; null when it is gone or not the caller's. One statement for all of a level. */
export const endpointById = (context: GraphqlContext, id: string): Promise<WebhookEndpointRow | null> =>
  context.load('webhook endpoint', id, async (ids: readonly string[]) => {
    const found = new Map((await visibleEndpoints(context, [...new Set(ids)])).map((endpoint) => [endpoint.id, endpoint]))
    return ids.map((key) => found.get(key) ?? null)
  })

builder.queryFields((t) => ({
  webhookEndpoints: t.field({
    type: WebhookEndpointConnection,
    description: 'The webhook endpoints, oldest first.',
    args: connectionArgs,
    resolve: (_root, args, context) =>
      connection(
        () => context.call(listWebhookEndpoints, args),
        () => context.call(countWebhookEndpoints, {}),
      ),
  }),
  webhookEndpoint: t.field({
    type: WebhookEndpoint,
    nullable: true,
    description: 'One webhook endpoint.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, args, context) => context.call(findWebhookEndpoint, args),
  }),
}))

const settingFields = (t: InputBuilder) => ({
  description: t.string({ description: 'What it is for, at most 2000 characters.' }),
  eventTypes: t.stringList({ description: 'The types to send: names, or `deployment.*` for all that begin so. None: all types.' }),
  projectId: t.id({ description: 'Only events of this project; null: of all.' }),
  channels: t.stringList({ description: 'Only messages of one of these channels, at most 10; none: all messages.' }),
  filter: t.field({
    type: 'JSON',
    description: 'Conditions on `data`: `{"path.to.field": {"equals": …} | {"in": […]} | {"range": {"min": …, "max": …}}}`; all must hold.',
  }),
  headers: t.field({ type: 'JSON', description: 'Headers to add, by name; they are stored sealed. At most 20.' }),
  rateLimitPerSecond: t.int({ description: 'At most so many requests a second, 1 to 1000; null: no limit.' }),
  maxConcurrency: t.int({ description: 'At most so many requests at once, 1 to 1000; null: no limit of its own.' }),
  ordered: t.boolean({ description: 'Strictly in the order of events, one at a time.' }),
  atMostOnce: t.boolean({ description: 'Send nothing again after a try whose outcome is unknown.' }),
  legacyHeaders: t.boolean({ description: 'Add `svix-id`, `svix-timestamp` and `svix-signature`.' }),
  schemaVersion: t.int({
    description:
      'The newest version of a type to send, one that a type of `eventTypes` has; absent: what is newest when the endpoint is made.',
  }),
  timeoutMs: t.int({ description: 'How long a try may take in all, 1000 to 30000.' }),
  format: t.field({ type: WebhookFormat, description: 'The shape of the body; RAW when absent.' }),
  selection: t.string({
    description:
      "A GraphQL selection on the event's subject, such as `{ id ... on Deployment { status } }`, which then makes `data`. It is run with your present rights to view.",
  }),
  retryScheduleMs: t.intList({
    description: 'After how many milliseconds each retry follows, at most 20; empty: a single try; null: the schedule of the installation.',
  }),
})

mutation(createWebhookEndpoint, {
  input: (t) => ({
    url: t.string({ required: true, description: 'An https address; http only where EGRESS_ALLOW names it.' }),
    secret: t.string({
      description:
        'Your own signing secret: `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and that of an ed25519 key; not that of another endpoint. Absent: one is made.',
    }),
    keyType: t.field({ type: WebhookKeyType, description: 'How to sign; absent: what the secret is, else HMAC.' }),
    ...settingFields(t),
  }),
  payload: (t) => ({
    webhookEndpoint: t.field({ type: WebhookEndpoint, description: 'The endpoint.', resolve: (result) => result.webhookEndpoint }),
    secret: t.string({
      nullable: true,
      description: 'The signing secret: here once, null when an idempotent answer is repeated, and with ED25519.',
      resolve: (result) => result.secret,
    }),
  }),
})

mutation(rotateWebhookSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The endpoint.' }),
    graceMs: t.int({ description: 'How long the present keys sign beside the new one: 0 to 604800000; absent: a day.' }),
    keyType: t.field({ type: WebhookKeyType, description: 'How to sign from now on; absent: as before.' }),
    secret: t.string({ description: 'Your own new secret, which no endpoint has yet. Absent: one is made.' }),
  }),
  payload: (t) => ({
    webhookEndpoint: t.field({ type: WebhookEndpoint, description: 'The endpoint.', resolve: (result) => result.webhookEndpoint }),
    secret: t.string({
      nullable: true,
      description: 'The new signing secret: here once, null when an idempotent answer is repeated, and with ED25519.',
      resolve: (result) => result.secret,
    }),
    publicKey: t.string({ nullable: true, description: 'With ED25519: the new public key.', resolve: (result) => result.publicKey }),
  }),
})

mutation(updateWebhookEndpoint, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The endpoint.' }),
    url: t.string({ description: 'Its new address; also used for retries that are waiting.' }),
    disabled: t.boolean({ description: 'True: nothing is sent to it, what waits is skipped. False: what happens from now on is sent.' }),
    ...settingFields(t),
  }),
  payload: gives('webhookEndpoint', WebhookEndpoint, 'The endpoint.'),
})

mutation(deleteWebhookEndpoint, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'The endpoint.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('WebhookEndpoint', result.deletedId) }),
  }),
})
