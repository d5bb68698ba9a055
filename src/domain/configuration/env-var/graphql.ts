import type { ObjectFieldBuilder } from '@pothos/core'
import type { EnvVar as EnvVarRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  type InputBuilder,
  idField,
  loadRows,
  makeRoom,
  mutation,
  Node,
  type Types,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { revealedValueField, revealedValuesField, texts, WriteMode, writeWarningsField } from '../variable/graphql.ts'
import { mask } from '../variable/index.ts'
import { createEnvVar, deleteEnvVar, importEnvVars, setEnvVars, updateEnvVar } from './commands.ts'
import { envVarBytes, envVarsByService } from './queries.ts'
import { exportEnvVars, openEnvVar, revealEnvVar, revealEnvVars } from './reveal.ts'

const valueColumns = { organizationId: true, isSecret: true, value: true } as const

export const EnvVar = builder.prismaObject('EnvVar', {
  description: 'Environment variable of a service. It takes precedence over a bound secret with the same name.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:secrets',
  fields: (t) => ({
    id: t.id(idField('EnvVar')),
    key: t.exposeString('key', { description: 'Name of the variable.' }),
    value: t.string({
      nullable: true,
      description: 'Value of the variable. Null if the variable is secret.',
      select: valueColumns,
      resolve: (item, _args, { app }) => (item.isSecret ? null : openEnvVar({ app, tx: app.db }, item)),
    }),
    maskedValue: t.string({
      description: `Value of the variable, or \`${mask}\` if the variable is secret.`,
      select: valueColumns,
      resolve: (item, _args, { app }) => (item.isSecret ? mask : openEnvVar({ app, tx: app.db }, item)),
    }),
    fingerprint: t.exposeString('fingerprint', { description: texts.fingerprint }),
    isSecret: t.exposeBoolean('isSecret', { description: texts.isSecret }),
    buildTime: t.exposeBoolean('buildTime', { description: 'Whether the variable is set during builds.' }),
    runTime: t.exposeBoolean('runTime', { description: 'Whether the variable is set for instances and for the release command.' }),
    lastRevealedAt: t.expose('lastRevealedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the value was last revealed. Null if it has never been revealed.',
    }),
    lastRevealedBy: t.exposeString('lastRevealedBy', {
      nullable: true,
      description: 'Name of the user or API key that last revealed the value.',
    }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(WebService, 'envVars', (t) =>
  t.field({
    type: [EnvVar],
    extensions: { rows: 50 },
    description:
      'Environment variables of the service itself, sorted by key. See `resolvedEnv` for all variables that the service receives.',
    resolve: (service, _args, context, info) => {
      demand(context.caller, 'view:secrets')
      return loadRows(context, 'WebService.envVars', service.id, columnsOf(info, 'EnvVar'), async (reader, ids) => {
        if (reader.columns?.includes('value')) await makeRoom(context, envVarBytes(ids))
        return envVarsByService(reader, ids)
      })
    },
  }),
)

export const EnvVarInput = builder.inputType('EnvVarInput', {
  description: 'An environment variable to create or update.',
  fields: (t) => ({
    ...entryFields(t as InputBuilder),
  }),
})

function entryFields(t: InputBuilder) {
  return {
    key: t.string({ required: true, description: texts.key('Name of the variable') }),
    value: t.string({ required: true, description: texts.value('variable') }),
    ...flagFields(t),
  }
}

function flagFields(t: InputBuilder) {
  return {
    isSecret: t.boolean({
      description:
        'Whether the value is secret. Defaults to false for a new variable. When omitted, an existing variable keeps its setting.',
    }),
    buildTime: t.boolean({
      description:
        'Whether the variable is set during builds. Defaults to true for a new variable. When omitted, an existing variable keeps its setting.',
    }),
    runTime: t.boolean({
      description:
        'Whether the variable is set for instances and for the release command. Defaults to true for a new variable. When omitted, an existing variable keeps its setting.',
    }),
  }
}

const ofService = (t: InputBuilder) => t.id({ required: true, description: 'ID of the service.' })
const deployField = (t: InputBuilder) =>
  t.boolean({
    defaultValue: false,
    description: 'Whether to queue a deployment with the new configuration. Requires the permission `deploy:web_services`.',
  })

const modeField = (t: InputBuilder) =>
  t.field({ type: WriteMode, defaultValue: 'MERGE', description: "What to do with the service's other variables." })
const allEnvVarsField = (t: Pick<ObjectFieldBuilder<Types, { envVars: EnvVarRow[] }>, 'field'>) =>
  t.field({
    type: [EnvVar],
    description: 'All environment variables of the service, sorted by key.',
    resolve: ({ envVars }) => envVars,
  })

/** Exported so that a later concept can add the requested deployment. */
export const envVarPayloads = [
  mutation(setEnvVars, {
    input: (t) => ({
      webServiceId: ofService(t),
      variables: t.field({
        type: [EnvVarInput],
        required: true,
        description: 'Variables to create or update, at most 500, each key at most once. A service has at most 1000 variables.',
      }),
      mode: modeField(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({ envVars: allEnvVarsField(t), warnings: writeWarningsField(t) }),
  }),
  mutation(importEnvVars, {
    input: (t) => ({
      webServiceId: ofService(t),
      text: t.string({
        required: true,
        description: 'Contents of a `.env` file. Comments, `export`, quoted values and multi-line values are supported.',
      }),
      mode: modeField(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({ envVars: allEnvVarsField(t), warnings: writeWarningsField(t) }),
  }),
  mutation(createEnvVar, {
    input: (t) => ({
      webServiceId: ofService(t),
      ...entryFields(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVar: t.field({ type: EnvVar, description: 'The created variable.', resolve: (result) => result.envVar }),
      warnings: writeWarningsField(t),
    }),
  }),
  mutation(updateEnvVar, {
    versioned: true,
    input: (t) => ({
      id: t.id({ required: true, description: 'ID of the variable.' }),
      value: t.string({ description: 'New value of the variable, at most 64 KiB of text without NUL characters.' }),
      ...flagFields(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVar: t.field({ type: EnvVar, description: 'The updated variable.', resolve: (result) => result.envVar }),
      warnings: writeWarningsField(t),
    }),
  }),
]

mutation(deleteEnvVar, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the variable.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted variable.', resolve: (result) => encodeId('EnvVar', result.deletedId) }),
  }),
})

mutation(revealEnvVar, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the variable.' }) }),
  payload: (t) => ({
    key: t.string({ description: 'Name of the variable.', resolve: (result) => result.key }),
    value: revealedValueField(t),
    envVar: t.field({ type: EnvVar, description: 'The variable, with the time of this reveal.', resolve: (result) => result.envVar }),
  }),
})

mutation(revealEnvVars, {
  input: (t) => ({ webServiceId: ofService(t) }),
  payload: (t) => ({ values: revealedValuesField(t) }),
})

mutation(exportEnvVars, {
  input: (t) => ({
    webServiceId: ofService(t),
    includeSecrets: t.boolean({
      defaultValue: false,
      description: 'Whether to include secret values. Requires the permission `reveal:secrets` and counts as a reveal.',
    }),
  }),
  payload: (t) => ({
    text: t.string({
      nullable: true,
      description: `Contents of the \`.env\` file, returned only once. ${texts.once}`,
      resolve: (result) => result.text,
    }),
    warnings: t.stringList({
      description: 'Variables that the text holds only in a comment, because programs would read their values differently.',
      resolve: (result) => result.warnings,
    }),
  }),
})
