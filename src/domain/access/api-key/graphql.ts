import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findNode,
  findRelated,
  type GraphqlContext,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import type { Permission } from '../../../platform/access.ts'
import { parseTypeId } from '../../../platform/id.ts'
import { Organization } from '../organization/graphql.ts'
import { currentOrganization } from '../organization/index.ts'
import { User } from '../user/graphql.ts'
import { userListing } from '../user/index.ts'
import { createApiKey, revokeApiKey } from './commands.ts'
import { apiKeyListing, countApiKeys, listApiKeys } from './queries.ts'

export const ApiKeyKind = enumType('ApiKeyKind', 'REST API that accepts an API key. Every key is also accepted by GraphQL.', {
  PLATFORM: 'PaaS Public API. Keys begin with `ak_live_`.',
  OEC: 'oec.sh Public API. Keys begin with `oec_live_`. Not yet available.',
  OCORE: 'oCore API. Keys begin with `ocore_k_`. Not yet available.',
  BRIDGE: 'Odoo bridge. Not yet available.',
})

export const ApiKeyScope = enumType(
  'ApiKeyScope',
  'Permissions of an API key. A key never has more permissions than the current role of its creator.',
  {
    READ: 'Read access.',
    WRITE:
      'Read access, plus creating, updating and deploying resources and revealing secrets. Excludes deleting, and managing the organization, members, roles, API keys and audit logs.',
    ADMIN: 'All permissions, including deleting and managing API keys.',
  },
)

export const ApiKey = builder.prismaObject('ApiKey', {
  description: 'Credential for programmatic access. The plaintext key is returned only once, at creation.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('ApiKey')),
    name: t.exposeString('name', { description: 'Name of the API key.' }),
    kind: t.expose('kind', { type: ApiKeyKind, description: 'API that accepts this key. Every key is also accepted by GraphQL.' }),
    prefix: t.exposeString('prefix', { description: 'First 12 characters of the key, to recognize it by.' }),
    scope: t.expose('scope', { type: ApiKeyScope, description: 'Scope of the API key.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'Expiry time. Null means the key never expires.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of last use, accurate to the minute. Null if the key has never been used.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the key was revoked. Null if the key has not been revoked.',
    }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(ApiKey, apiKeyListing), { list: listApiKeys, count: countApiKeys })

mutation(createApiKey, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the API key, from 1 to 100 characters.' }),
    kind: t.field({ type: ApiKeyKind, defaultValue: 'PLATFORM', description: 'API that accepts the key. Only `PLATFORM` is available.' }),
    scope: t.field({
      type: ApiKeyScope,
      required: true,
      description: "Scope of the key. Fails with `forbidden` if it exceeds the caller's own permissions.",
    }),
    projectId: t.id({
      description: 'Restrict the key to this project. When omitted, the key has the same project restriction as the caller.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description:
        'Expiry time, in the future. When omitted, the key expires with the key that creates it, or never if that key does not expire. Fails with `forbidden` if it is later than the expiry of the creating key.',
    }),
  }),
  payload: (t) => ({
    apiKey: t.field({ type: ApiKey, description: 'The created API key.', resolve: (result) => result.apiKey }),
    plaintextKey: t.string({
      nullable: true,
      description: 'Plaintext key, returned only once. Null when a request is repeated with the same idempotency key.',
      resolve: (result) => result.plaintextKey,
    }),
  }),
})

mutation(revokeApiKey, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the API key to revoke.' }) }),
  payload: payloadOf('apiKey', ApiKey, 'The revoked API key.'),
})

const Viewer = builder.objectRef<{ kind: 'viewer' }>('Viewer').implement({
  description: 'The authenticated caller and its permissions.',
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'User who is signed in or who created the API key.',
      resolve: (_viewer, _args, context, info) =>
        context.caller.userId ? findRelated(context, info, userListing, context.caller.userId) : null,
    }),
    apiKey: t.field({
      type: ApiKey,
      nullable: true,
      description: 'API key used for the request. Null when a user is signed in.',
      resolve: (_viewer, _args, context, info) =>
        context.caller.apiKeyId ? findRelated(context, info, apiKeyListing, context.caller.apiKeyId) : null,
    }),
    organization: t.field({
      type: Organization,
      description: 'Organization of the caller.',
      resolve: (_viewer, _args, context, info) => context.call(currentOrganization, {}, columnsOf(info, 'Organization')),
    }),
    permissions: t.stringList({
      description: 'All permissions of the caller, each as `<verb>:<resource>`, in alphabetical order.',
      resolve: (_viewer, _args, context) => [...context.caller.permissions].sort(),
    }),
    can: t.boolean({
      description: 'Whether the caller has a permission, optionally on a given object.',
      args: {
        permission: t.arg.string({ required: true, description: 'Permission to check, such as `deploy:web_services`.' }),
        on: t.arg.id({
          description:
            'ID of an object, such as a project. The result is false if the object does not exist or is not visible to the caller.',
        }),
      },
      resolve: async (_viewer, { permission, on }, context) =>
        context.caller.permissions.has(permission as Permission) && (typeof on !== 'string' || (await covers(context, on))),
    }),
  }),
})

/** Whether the caller's permissions apply to an object: it must be visible. A caller that is limited to projects has none on the organization. */
async function covers(context: GraphqlContext, id: string): Promise<boolean> {
  if (context.caller.projectIds !== null && parseTypeId(id)?.type === 'Organization') return false
  return (await findNode(context, id)) !== null
}

builder.queryField('viewer', (t) =>
  t.field({ type: Viewer, description: 'The authenticated caller.', resolve: () => ({ kind: 'viewer' as const }) }),
)
