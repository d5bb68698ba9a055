import type { Project as ProjectRow, Secret as SecretRow, SecretVersion as SecretVersionRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connectionArgs,
  connectionType,
  enumType,
  type GraphqlContext,
  gives,
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
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType, Project } from '../../apps/project/graphql.ts'
import { WriteMode } from '../env-var/graphql.ts'
import { mask } from '../env-var/index.ts'
import { createSecret, deleteSecret, revokeSecretVersion, setSecrets, updateSecret } from './commands.ts'
import { statusOfVersion } from './model.ts'
import { currentBySecret, findSecret, secretListing, versionsBySecret } from './queries.ts'
import { openVersion, revealSecret } from './reveal.ts'

const SecretVersionStatus = enumType('SecretVersionStatus', 'Where a version of a secret stands.', {
  CURRENT: 'Used by what is deployed next.',
  PREVIOUS: 'Followed by a newer one.',
  REVOKED: 'Not to be used any more.',
})

type VersionShape = SecretVersionRow & { secret: SecretRow }

const SecretVersion = builder.objectRef<VersionShape>('SecretVersion').implement({
  description: 'One value of a secret. It never changes.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'Counts from 1.' }),
    status: t.field({
      type: SecretVersionStatus,
      description: 'Where it stands.',
      resolve: (version) => statusOfVersion(version, version.secret),
    }),
    fingerprint: t.exposeString('fingerprint', { description: 'Alike for equal values of the organization.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was written.' }),
    createdBy: t.exposeString('createdBy', { nullable: true, description: 'Who wrote it.' }),
    revokedAt: t.expose('revokedAt', { type: 'DateTime', nullable: true, description: 'When it was revoked.' }),
  }),
})

const current = (context: GraphqlContext, id: string): Promise<SecretVersionRow> =>
  context.load('Secret.current', id, (ids: readonly string[]) => currentBySecret(context.app.db.prisma, ids))

const shown = async (context: GraphqlContext, secret: SecretRow) =>
  openVersion({ app: context.app, tx: context.app.db.prisma }, await current(context, secret.id))

export const Secret = builder.prismaObject('Secret', {
  description: 'A secret of a project at one scope; a service gets it through a binding.',
  interfaces: [Node],
  authScopes: { permission: 'view:secrets' },
  fields: (t) => ({
    id: t.id(idField('Secret')),
    key: t.exposeString('key', { description: 'Its name.' }),
    scope: t.expose('scope', { type: EnvironmentType, description: 'The type of environment that it is for.' }),
    isSecret: t.exposeBoolean('isSecret', { description: 'Whether its value is shown only by a reveal.' }),
    value: t.string({
      nullable: true,
      description: 'Its value; null when it is secret.',
      resolve: (secret, _args, context) => (secret.isSecret ? null : shown(context, secret)),
    }),
    maskedValue: t.string({
      description: `Its value, or \`${mask}\` when it is secret.`,
      resolve: (secret, _args, context) => (secret.isSecret ? mask : shown(context, secret)),
    }),
    fingerprint: t.string({
      description: 'Of its newest value: alike for equal values of the organization, and says nothing else of them.',
      resolve: async (secret, _args, context) => (await current(context, secret.id)).fingerprint,
    }),
    currentVersion: t.exposeInt('currentVersion', {
      description: 'Its newest version. While that is revoked, the secret counts as missing.',
    }),
    versions: t.field({
      type: [SecretVersion],
      description: 'All of its versions, newest first.',
      resolve: async (secret, _args, context) => {
        const found = await context.load('Secret.versions', secret.id, (ids: readonly string[]) =>
          versionsBySecret(context.app.db.prisma, ids),
        )
        return found.map((version) => ({ ...version, secret }))
      },
    }),
    project: t.field({
      type: Project,
      description: 'Its project.',
      resolve: (secret, _args, context) => rowById<ProjectRow>(context, 'project', secret.projectId),
    }),
    lastRevealedAt: t.expose('lastRevealedAt', { type: 'DateTime', nullable: true, description: 'When its value was last shown.' }),
    lastRevealedBy: t.exposeString('lastRevealedBy', { nullable: true, description: 'To whom.' }),
    version: t.exposeInt('version', { description: 'Of the row: raised by each change; see `ifVersion`.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

export const SecretConnection = connectionType<SecretRow>(Secret as never, 'Secret', 'Secret')

registerNode('Secret', async ({ app, caller }, ids) =>
  caller.permissions.has('view:secrets')
    ? rows<SecretRow>(app.db.prisma, sql`select t.* from secret t where t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)}`)
    : [],
)

builder.queryField('secret', (t) =>
  t.field({
    type: Secret,
    nullable: true,
    description: 'One secret.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, args, context) => context.call(findSecret, args),
  }),
)

builder.prismaObjectField('Project', 'secrets', (t) =>
  t.field({
    type: SecretConnection,
    description: 'Its secrets, of one scope where that is given; oldest first.',
    args: { scope: t.arg({ type: EnvironmentType, description: 'Only of this scope.' }), ...connectionArgs },
    resolve: (project, args, context) =>
      nestedConnection<SecretRow>(context, project.id, args, {
        name: 'Project.secrets',
        permission: 'view:secrets',
        listing: ({ caller }) => secretListing(caller, { scope: args.scope }),
        parent: sql`t.project_id`,
      }),
  }),
)

const keyText = 'Letters, digits and `_`, not beginning with a digit.'
const valueText = `At most 64 KiB of text without NUL; not \`${mask}\`.`
const isSecretText = 'Whether its value is shown only by a reveal; absent: as it is, or yes for a new one.'
const scopeText = 'The type of environment that it is for.'
const warningsText = 'What to know of what was written.'

const SecretInput = builder.inputType('SecretInput', {
  description: 'One secret to write.',
  fields: (t) => ({
    key: t.string({ required: true, description: keyText }),
    scope: t.field({ type: EnvironmentType, defaultValue: 'PRODUCTION', description: scopeText }),
    value: t.string({ required: true, description: valueText }),
    isSecret: t.boolean({ description: isSecretText }),
  }),
})

mutation(createSecret, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    key: t.string({ required: true, description: keyText }),
    scope: t.field({ type: EnvironmentType, defaultValue: 'PRODUCTION', description: scopeText }),
    value: t.string({ required: true, description: valueText }),
    isSecret: t.boolean({ description: isSecretText }),
  }),
  payload: (t) => ({
    secret: t.field({ type: Secret, description: 'The secret.', resolve: (result) => result.secret }),
    warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
  }),
})

mutation(updateSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The secret.' }),
    value: t.string({ required: true, description: valueText }),
    isSecret: t.boolean({ description: isSecretText }),
  }),
  payload: (t) => ({
    secret: t.field({ type: Secret, description: 'The secret.', resolve: (result) => result.secret }),
    warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
  }),
})

mutation(setSecrets, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    secrets: t.field({ type: [SecretInput], required: true, description: 'At most 500, each key once a scope.' }),
    mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: 'What happens to the others.' }),
  }),
  payload: (t) => ({
    secrets: t.field({ type: [Secret], description: 'All secrets of the project, oldest first.', resolve: (result) => result.secrets }),
    warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
  }),
})

mutation(revokeSecretVersion, {
  versioned: true,
  input: (t) => ({
    secretId: t.id({ required: true, description: 'The secret.' }),
    version: t.int({ required: true, description: 'Which version.' }),
  }),
  payload: gives('secret', Secret, 'The secret.'),
})

mutation(deleteSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The secret.' }),
    force: t.boolean({ defaultValue: false, description: 'Unbind it, too.' }),
  }),
  payload: (t) => ({ deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('Secret', result.deletedId) }) }),
})

mutation(revealSecret, {
  input: (t) => ({
    id: t.id({ required: true, description: 'The secret.' }),
    version: t.int({ description: 'Which version; the newest when absent.' }),
  }),
  payload: (t) => ({
    key: t.string({ description: 'Its name.', resolve: (result) => result.key }),
    value: t.string({
      nullable: true,
      description: 'The value: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.value,
    }),
    secret: t.field({ type: Secret, description: 'The secret, with the mark of this reveal.', resolve: (result) => result.secret }),
  }),
})
