import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  type GraphqlContext,
  type InputBuilder,
  idField,
  loadRows,
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
import { maxAllowed } from './binding.ts'
import { createApiKey, importApiKey, revokeApiKey } from './commands.ts'
import { defaultGraceMs, keyStatus, maxGraceMs, permissionsOfKey } from './model.ts'
import { apiKeyListing, countApiKeys, listApiKeys } from './queries.ts'
import { rotateApiKey } from './rotate.ts'

export const ApiKeyKind = enumType('ApiKeyKind', 'REST API that accepts an API key. Every key is also accepted by GraphQL.', {
  PLATFORM: 'PaaS Public API. Keys begin with `ak_live_`.',
  OEC: 'oec.sh Public API. Keys begin with `oec_live_ro_` (scope `READ`) or `oec_live_rw_` (scope `WRITE`).',
  OCORE: 'oCore API. Keys begin with `ocore_k_` and have a list of permissions.',
  BRIDGE: 'Odoo bridge. Keys begin with `qb_live_`, are bound to an Odoo account, and do nothing else.',
})

export const ApiKeyScope = enumType(
  'ApiKeyScope',
  'Permissions of an API key. A key never has more permissions than the current role of its creator.',
  {
    READ: 'Read access.',
    WRITE:
      'Read access, plus creating, updating and deploying resources and revealing secrets. Excludes deleting, and managing the organization, members, roles, API keys and audit logs. Keys of kind `OEC` can also delete those resources and manage API keys with this scope.',
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
    prefix: t.exposeString('prefix', { description: 'First characters of the key, to recognize it by.' }),
    scope: t.expose('scope', { type: ApiKeyScope, description: 'Scope of the API key.' }),
    permissions: t.stringList({
      description:
        "Permissions of the key, each as `<verb>:<resource>`, in alphabetical order: those listed for a key of kind `OCORE`, otherwise those of its scope. At any time, the key has only those of them that its creator's role has too.",
      select: { kind: true, scope: true, permissions: true },
      resolve: (key) => [...permissionsOfKey(key)].sort(),
    }),
    status: t.string({
      description: 'Status of the key: `active`, `expired` or `revoked`. A revoked key stays `revoked` after its expiry time.',
      select: { revokedAt: true, expiresAt: true },
      resolve: (key, _args, { app }) => keyStatus(key, app.clock.now()),
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'User who created the key. Null if the caller has no permission to view members and did not create it.',
      select: { createdById: true },
      resolve: ({ createdById }, _args, context, info) =>
        context.caller.permissions.has(userListing.permission) || createdById === context.caller.userId
          ? findRelated(context, info, userListing, createdById)
          : null,
    }),
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

/** The fields of a new key, created or imported. */
const newKeyFields = (t: InputBuilder) => ({
  name: t.string({ required: true, description: 'Name of the API key, from 1 to 100 characters.' }),
  scope: t.field({
    type: ApiKeyScope,
    required: true,
    description:
      "Scope of the key. Keys of kind `OEC` have the scope `READ` or `WRITE`. Fails with `forbidden` if it exceeds the caller's own permissions.",
  }),
  permissions: t.stringList({
    description:
      "Permissions of a key of kind `OCORE`, which must all be within its scope. Required for that kind, and must be omitted for the others. Fails with `forbidden` if they exceed the caller's own permissions.",
  }),
  projectId: t.id({
    description:
      'Restrict the key to this project. When omitted, the key has access to all projects. A caller whose access is limited to one project creates keys of that project; a caller whose access is limited to several must name one.',
  }),
  odooAccountId: t.id({
    description:
      'ID of the Odoo account that a key of kind `BRIDGE` is bound to. Required for that kind, and must be omitted for the others. Such a key belongs to no project.',
  }),
  allowedModels: t.stringList({
    description: `Models that a key of kind \`BRIDGE\` may call, each by its name or by how its name begins, such as \`sale.*\`. From 1 to ${maxAllowed} items. When omitted, all models.`,
  }),
  allowedMethods: t.stringList({
    description: `Methods that a key of kind \`BRIDGE\` may call, in the same form. When omitted, all methods. With the scope \`READ\`, only those of them that read, such as \`search_read\`. Methods that begin with \`_\` are never called.`,
  }),
  expiresAt: t.field({
    type: 'DateTime',
    description:
      'Expiry time, in the future. When omitted, the key expires with the key that creates it, or never if that key does not expire. Fails with `forbidden` if it is later than the expiry of the creating key.',
  }),
})

const plaintextDescription = 'Plaintext key, returned only once. Null when a request is repeated with the same idempotency key.'

mutation(createApiKey, {
  input: (t) => ({
    ...newKeyFields(t),
    kind: t.field({
      type: ApiKeyKind,
      defaultValue: 'PLATFORM',
      description: 'API that accepts the key.',
    }),
  }),
  payload: (t) => ({
    apiKey: t.field({ type: ApiKey, description: 'The created API key.', resolve: (result) => result.apiKey }),
    plaintextKey: t.string({ nullable: true, description: plaintextDescription, resolve: (result) => result.plaintextKey }),
  }),
})

mutation(importApiKey, {
  input: (t) => ({
    ...newKeyFields(t),
    kind: t.field({
      type: ApiKeyKind,
      required: true,
      description: 'API that accepts the key.',
    }),
    sha256: t.string({
      required: true,
      description:
        'SHA-256 hash of the whole key in hexadecimal. The key must begin with the prefix of its kind and scope, followed by 8 to 200 letters, digits, hyphens and underscores, but not 51 of them; otherwise it is refused when it is used.',
    }),
    prefix: t.string({
      required: true,
      description:
        'First characters of the key, to recognize it by: the prefix of its kind and scope, such as `ak_live_`, and at most 8 characters after it.',
    }),
  }),
  payload: payloadOf('apiKey', ApiKey, 'The imported API key.'),
})

mutation(rotateApiKey, {
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the API key to rotate.' }),
    graceMs: t.int({
      description: `Time in milliseconds for which the former plaintext key is still accepted, from 0 to ${maxGraceMs}. Defaults to ${defaultGraceMs}, which is one day.`,
    }),
  }),
  payload: (t) => ({
    apiKey: t.field({ type: ApiKey, description: 'The rotated API key.', resolve: (result) => result.apiKey }),
    plaintextKey: t.string({ nullable: true, description: plaintextDescription, resolve: (result) => result.plaintextKey }),
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
        permission: t.arg.string({
          required: true,
          description: 'Permission to check, such as `deploy:web_services`. The result is false for a name that does not exist.',
        }),
        on: t.arg.id({
          description:
            "ID of an object, such as a project. The result is false if the object does not exist or is outside the caller's projects.",
        }),
      },
      resolve: async (_viewer, { permission, on }, context) =>
        context.caller.permissions.has(permission as Permission) && (typeof on !== 'string' || (await covers(context, on))),
    }),
  }),
})

/** Whether the caller's permissions apply to an object. Those of a caller that is limited to projects don't apply to the organization. */
async function covers(context: GraphqlContext, id: string): Promise<boolean> {
  const parsed = parseTypeId(id)
  const listing = parsed && context.app.domain.nodes.get(parsed.type)
  if (!listing || (parsed.type === 'Organization' && context.caller.projectIds !== null)) return false
  return loadRows(context, `covers:${parsed.type}`, parsed.uuid, ['id'], async (reader, ids) => {
    const found = new Set((await listing.find(reader, ids)).map((row) => row.id))
    return ids.map((each) => found.has(each))
  })
}

builder.queryField('viewer', (t) =>
  t.field({ type: Viewer, description: 'The authenticated caller.', resolve: () => ({ kind: 'viewer' as const }) }),
)
