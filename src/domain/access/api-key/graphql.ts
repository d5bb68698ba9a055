import type { ApiKey as ApiKeyRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  findNode,
  type GraphqlContext,
  gives,
  idField,
  mutation,
  Node,
  registerNode,
  rowById,
  timestamps,
} from '../../../graphql/builder/index.ts'
import type { Permission } from '../../../platform/access.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { parseTypeId } from '../../../platform/id.ts'
import { countOf } from '../../../platform/page.ts'
import { Organization } from '../organization/graphql.ts'
import { currentOrganization } from '../organization/index.ts'
import { User } from '../user/graphql.ts'
import { createApiKey, revokeApiKey } from './commands.ts'
import { apiKeyListing, listApiKeys } from './queries.ts'

export const ApiKeyKind = enumType('ApiKeyKind', 'The face that a key works at; every key works in GraphQL too.', {
  PLATFORM: 'The PaaS Public API, `ak_live_`.',
  OEC: 'The oec.sh Public API, `oec_live_`. Not served yet.',
  OCORE: 'The oCore API, `ocore_k_`. Not served yet.',
  BRIDGE: 'The Odoo bridge. Not served yet.',
})

export const ApiKeyScope = enumType('ApiKeyScope', "What a key may do, within its maker's role.", {
  READ: 'Read.',
  WRITE: 'Read, create, change, deploy.',
  ADMIN: 'Everything, deletion and keys too.',
})

export const ApiKey = builder.prismaObject('ApiKey', {
  description: 'A credential for programs. Its text is shown once, when it is made.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.id(idField('ApiKey')),
    name: t.exposeString('name', { description: 'Its name.' }),
    kind: t.expose('kind', { type: ApiKeyKind, description: 'The face that it works at.' }),
    prefix: t.exposeString('prefix', { description: 'The first characters of its text, to recognise it by.' }),
    scope: t.expose('scope', { type: ApiKeyScope, description: 'What it may do.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'When it ends by itself.' }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', nullable: true, description: 'When it was last used, to the minute.' }),
    revokedAt: t.expose('revokedAt', { type: 'DateTime', nullable: true, description: 'When it was revoked.' }),
    version: t.exposeInt('version', { description: 'Raised by each change.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

export const ApiKeyConnection = connectionType<ApiKeyRow>(ApiKey as never, 'ApiKey', 'ApiKey')

registerNode('ApiKey', async (context, ids) =>
  context.caller.permissions.has('view:api_keys')
    ? rows<ApiKeyRow>(
        context.app.db.prisma,
        sql`select k.* from api_key k where k.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`k`)}`,
      )
    : [],
)

builder.queryField('apiKeys', (t) =>
  t.field({
    type: ApiKeyConnection,
    description: 'The API keys, without their texts.',
    args: connectionArgs,
    resolve: (_root, args, context) =>
      connection(
        () => context.call(listApiKeys, args),
        () => countOf(context.app.db.prisma, apiKeyListing(context.caller)),
      ),
  }),
)

mutation(createApiKey, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Its name, 1 to 100 characters.' }),
    kind: t.field({ type: ApiKeyKind, defaultValue: 'PLATFORM', description: 'The face that it works at; only PLATFORM is served yet.' }),
    scope: t.field({ type: ApiKeyScope, required: true, description: 'What it may do; no more than the caller.' }),
    projectId: t.id({ description: 'Makes the key see this project alone.' }),
    expiresAt: t.field({ type: 'DateTime', description: 'When it ends by itself.' }),
  }),
  payload: (t) => ({
    apiKey: t.field({ type: ApiKey, description: 'The key.', resolve: (result) => result.apiKey }),
    plaintextKey: t.string({
      nullable: true,
      description: 'Its text: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.plaintextKey,
    }),
  }),
})

mutation(revokeApiKey, {
  input: (t) => ({ id: t.id({ required: true, description: 'The key.' }) }),
  payload: gives('apiKey', ApiKey, 'The key.'),
})

const Viewer = builder.objectRef<{ kind: 'viewer' }>('Viewer').implement({
  description: 'Who asks, and what they may do.',
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'The person, or the maker of the key.',
      resolve: (_viewer, _args, context) => (context.caller.userId ? rowById(context, 'user_account', context.caller.userId) : null),
    }),
    apiKey: t.field({
      type: ApiKey,
      nullable: true,
      description: 'The key that was sent; null for a person.',
      resolve: (_viewer, _args, context) => (context.caller.apiKeyId ? rowById(context, 'api_key', context.caller.apiKeyId) : null),
    }),
    organization: t.field({
      type: Organization,
      description: 'The organization that is acted in.',
      resolve: (_viewer, _args, context) => context.call(currentOrganization, {}),
    }),
    permissions: t.stringList({
      description: 'Every permission, as `<verb>:<resource>`.',
      resolve: (_viewer, _args, context) => [...context.caller.permissions].sort(),
    }),
    can: t.boolean({
      description: 'Whether the caller has a permission, on one thing where that is given.',
      args: {
        permission: t.arg.string({ required: true, description: 'Such as `deploy:web_services`.' }),
        on: t.arg.id({ description: 'Anything with an id, such as a project; what is not there, or not yours, gives false.' }),
      },
      resolve: async (_viewer, { permission, on }, context) =>
        context.caller.permissions.has(permission as Permission) && (typeof on !== 'string' || (await covers(context, on))),
    }),
  }),
})

/** Whether the caller's rights reach a thing: it is there to be seen, and a key of one project has none on the organization. */
async function covers(context: GraphqlContext, id: string): Promise<boolean> {
  if (context.caller.projectId !== null && parseTypeId(id)?.type === 'Organization') return false
  return (await findNode(context, id)) !== null
}

builder.queryField('viewer', (t) => t.field({ type: Viewer, description: 'Who asks.', resolve: () => ({ kind: 'viewer' as const }) }))
