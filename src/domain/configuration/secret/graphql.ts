import type { Secret as SecretRow, SecretVersion as SecretVersionRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  type GraphqlContext,
  type InputBuilder,
  idField,
  makeRoom,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType, Project } from '../../apps/project/graphql.ts'
import { projectListing } from '../../apps/project/index.ts'
import { revealedValueField, texts, WriteMode, writeWarningsField } from '../variable/graphql.ts'
import { mask } from '../variable/index.ts'
import { createSecret, deleteSecret, revokeSecretVersion, setSecrets, updateSecret } from './commands.ts'
import { statusOfVersion } from './model.ts'
import { currentBySecret, currentBytes, findSecret, secretListing, type VersionFacts, versionsBySecret } from './queries.ts'
import { openVersion, revealSecret } from './reveal.ts'

const SecretVersionStatus = enumType('SecretVersionStatus', 'Status of a version of a secret.', {
  CURRENT: 'The newest version, used by the next deployment.',
  PREVIOUS: 'Replaced by a newer version.',
  REVOKED: 'Revoked permanently. Not used by deployments.',
})

type VersionShape = VersionFacts & { secret: Pick<SecretRow, 'currentVersion'> }

const SecretVersion = builder.objectRef<VersionShape>('SecretVersion').implement({
  description: 'A version of a secret. Versions are immutable.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'Number of the version, starting at 1 for each secret.' }),
    status: t.field({
      type: SecretVersionStatus,
      description: 'Status of the version.',
      resolve: (version) => statusOfVersion(version, version.secret),
    }),
    fingerprint: t.exposeString('fingerprint', { description: texts.fingerprint }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Time when the version was created.' }),
    createdBy: t.exposeString('createdBy', { nullable: true, description: 'Name of the user or API key that created the version.' }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the version was revoked. Null if the version has not been revoked.',
    }),
  }),
})

const current = (context: GraphqlContext, id: string): Promise<SecretVersionRow> =>
  context.load('Secret.current', id, async (ids: readonly string[]) => {
    await makeRoom(context, currentBytes(ids))
    return currentBySecret(context.app.db, ids)
  })

const shown = async (context: GraphqlContext, secret: { id: string }) =>
  openVersion({ app: context.app, tx: context.app.db }, await current(context, secret.id))

export const Secret = builder.prismaObject('Secret', {
  description: 'Secret of a project at one scope. A service receives a secret only through a binding.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:secrets',
  fields: (t) => ({
    id: t.id(idField('Secret')),
    key: t.exposeString('key', { description: 'Key of the secret.' }),
    scope: t.expose('scope', { type: EnvironmentType, description: 'Scope of the secret, the type of environment that it applies to.' }),
    isSecret: t.exposeBoolean('isSecret', { description: texts.isSecret }),
    value: t.string({
      nullable: true,
      description: 'Value of the newest version. Null if the value is secret.',
      select: { isSecret: true },
      resolve: (secret, _args, context) => (secret.isSecret ? null : shown(context, secret)),
    }),
    maskedValue: t.string({
      description: `Value of the newest version, or \`${mask}\` if the value is secret.`,
      select: { isSecret: true },
      resolve: (secret, _args, context) => (secret.isSecret ? mask : shown(context, secret)),
    }),
    fingerprint: t.string({
      description: 'Keyed hash of the newest value. Equal values within the organization have equal fingerprints.',
      resolve: async (secret, _args, context) => (await current(context, secret.id)).fingerprint,
    }),
    currentVersion: t.exposeInt('currentVersion', {
      description: 'Number of the newest version. While this version is revoked, the secret counts as missing.',
    }),
    versions: t.field({
      type: [SecretVersion],
      extensions: { rows: 10 },
      description: 'All versions of the secret, newest first.',
      select: { currentVersion: true },
      resolve: async (secret, _args, context) => {
        const found = await context.load('Secret.versions', secret.id, (ids: readonly string[]) => versionsBySecret(context.app.db, ids))
        return found.map((version) => ({ ...version, secret }))
      },
    }),
    project: t.field({
      type: Project,
      description: 'Project that contains the secret.',
      select: { projectId: true },
      resolve: ({ projectId }, _args, context, info) => findRelated(context, info, projectListing, projectId),
    }),
    lastRevealedAt: t.expose('lastRevealedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when a value of the secret was last revealed. Null if none has ever been revealed.',
    }),
    lastRevealedBy: t.exposeString('lastRevealedBy', {
      nullable: true,
      description: 'Name of the user or API key that last revealed a value.',
    }),
    version: t.exposeInt('version', {
      description:
        'Version of the object, incremented by every change. Not to be confused with `currentVersion`. Pass it as `ifVersion` to detect concurrent changes.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

nestedConnection(Project, 'secrets', connectionOf(Secret, secretListing), {
  by: 'projectId',
  description: 'Secrets of the project, oldest first.',
  args: builder.args((t) => ({ scope: t.field({ type: EnvironmentType, description: 'Return only secrets of this scope.' }) })),
})

builder.queryField('secret', (t) =>
  t.field({
    type: Secret,
    nullable: true,
    description: 'Secret with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the secret.' }) },
    resolve: (_root, args, context, info) => context.call(findSecret, args, columnsOf(info, 'Secret')),
  }),
)

const isSecretText = 'Whether the value is secret. Defaults to true for a new secret. When omitted, an existing secret keeps its setting.'

function entryFields(t: InputBuilder) {
  return {
    key: t.string({ required: true, description: texts.key('Key of the secret') }),
    scope: t.field({
      type: EnvironmentType,
      defaultValue: 'PRODUCTION',
      description: 'Scope of the secret, the type of environment that it applies to.',
    }),
    ...valueFields(t),
  }
}

const valueFields = (t: InputBuilder) => ({
  value: t.string({ required: true, description: texts.value('secret') }),
  isSecret: t.boolean({ description: isSecretText }),
})

const SecretInput = builder.inputType('SecretInput', {
  description: 'A secret to create or update.',
  fields: (t) => entryFields(t as InputBuilder),
})

mutation(createSecret, {
  input: (t) => ({ projectId: t.id({ required: true, description: 'ID of the project.' }), ...entryFields(t) }),
  payload: (t) => ({
    secret: t.field({ type: Secret, description: 'The created secret.', resolve: (result) => result.secret }),
    warnings: writeWarningsField(t),
  }),
})

mutation(updateSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the secret.' }),
    ...valueFields(t),
  }),
  payload: (t) => ({
    secret: t.field({ type: Secret, description: 'The updated secret.', resolve: (result) => result.secret }),
    warnings: writeWarningsField(t),
  }),
})

mutation(setSecrets, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'ID of the project.' }),
    secrets: t.field({
      type: [SecretInput],
      required: true,
      description: 'Secrets to create or update, at most 500, each key at most once per scope. A project has at most 1000 secrets.',
    }),
    mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: "What to do with the project's other secrets." }),
  }),
  payload: (t) => ({
    secrets: t.field({ type: [Secret], description: 'All secrets of the project, oldest first.', resolve: (result) => result.secrets }),
    warnings: writeWarningsField(t),
  }),
})

mutation(revokeSecretVersion, {
  versioned: true,
  input: (t) => ({
    secretId: t.id({ required: true, description: 'ID of the secret.' }),
    version: t.int({ required: true, description: 'Number of the version to revoke.' }),
  }),
  payload: payloadOf('secret', Secret, 'The secret with the revoked version.'),
})

mutation(deleteSecret, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the secret.' }),
    force: t.boolean({
      defaultValue: false,
      description: "Whether to delete the secret's bindings too. If false, the mutation fails with `secret_bound` when there are any.",
    }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted secret.', resolve: (result) => encodeId('Secret', result.deletedId) }),
  }),
})

mutation(revealSecret, {
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the secret.' }),
    version: t.int({
      description:
        'Number of the version to reveal. Defaults to the newest version. Fails with `version_revoked` if the version has been revoked.',
    }),
  }),
  payload: (t) => ({
    key: t.string({ description: 'Key of the secret.', resolve: (result) => result.key }),
    value: revealedValueField(t),
    secret: t.field({ type: Secret, description: 'The secret, with the time of this reveal.', resolve: (result) => result.secret }),
  }),
})
