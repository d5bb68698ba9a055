import type { EnvVar as EnvVarRow } from '../../../generated/prisma/client.ts'
import { builder, enumType, type InputBuilder, idField, mutation, Node, registerNode, written } from '../../../graphql/builder/index.ts'
import { demand, visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import '../../apps/web-service/graphql.ts'
import { createEnvVar, deleteEnvVar, importEnvVars, setEnvVars, updateEnvVar } from './commands.ts'
import { mask } from './model.ts'
import { envVarsByService } from './queries.ts'
import { exportEnvVars, openEnvVar, type RevealedValue as RevealedValueRow, revealEnvVar, revealEnvVars } from './reveal.ts'

export const WriteMode = enumType('WriteMode', 'What a bulk does with what it does not name.', {
  MERGE: 'Leaves it alone.',
  REPLACE: 'Deletes it.',
})

export const EnvVar = builder.prismaObject('EnvVar', {
  description: 'A variable of one service. It wins over a bound secret of the same name.',
  interfaces: [Node],
  authScopes: { permission: 'view:secrets' },
  fields: (t) => ({
    id: t.id(idField('EnvVar')),
    key: t.exposeString('key', { description: 'Its name.' }),
    value: t.string({
      nullable: true,
      description: 'Its value; null when it is secret.',
      resolve: (item, _args, { app }) => (item.isSecret ? null : openEnvVar({ app, tx: app.db.prisma }, item)),
    }),
    maskedValue: t.string({
      description: `Its value, or \`${mask}\` when it is secret.`,
      resolve: (item, _args, { app }) => (item.isSecret ? mask : openEnvVar({ app, tx: app.db.prisma }, item)),
    }),
    fingerprint: t.exposeString('fingerprint', {
      description: 'Alike for equal values of the organization, and says nothing else of them.',
    }),
    isSecret: t.exposeBoolean('isSecret', { description: 'Whether its value is shown only by a reveal.' }),
    buildTime: t.exposeBoolean('buildTime', { description: 'Whether builds get it.' }),
    runTime: t.exposeBoolean('runTime', { description: 'Whether instances and the release command get it.' }),
    lastRevealedAt: t.expose('lastRevealedAt', { type: 'DateTime', nullable: true, description: 'When its value was last shown.' }),
    lastRevealedBy: t.exposeString('lastRevealedBy', { nullable: true, description: 'To whom.' }),
    ...written(t),
  }),
})

registerNode('EnvVar', async ({ app, caller }, ids) =>
  caller.permissions.has('view:secrets')
    ? rows<EnvVarRow>(app.db.prisma, sql`select t.* from env_var t where t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)}`)
    : [],
)

builder.prismaObjectField('WebService', 'envVars', (t) =>
  t.field({
    type: [EnvVar],
    description: 'Its own variables, by key. `resolvedEnv` shows all that it is given.',
    resolve: (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      return context.load('WebService.envVars', service.id, (ids: readonly string[]) => envVarsByService(context.app.db.prisma, ids))
    },
  }),
)

export const RevealedValue = builder.objectRef<RevealedValueRow>('RevealedValue').implement({
  description: 'A value that was asked for.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Its name.' }),
    value: t.exposeString('value', { description: 'The value itself.' }),
  }),
})

const EnvVarInput = builder.inputType('EnvVarInput', {
  description: 'One variable to write.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'Letters, digits and `_`, not beginning with a digit.' }),
    value: t.string({ required: true, description: `At most 64 KiB of text without NUL; not \`${mask}\`.` }),
    ...flagFields(t as InputBuilder),
  }),
})

function flagFields(t: InputBuilder) {
  return {
    isSecret: t.boolean({ description: 'Whether its value is shown only by a reveal; absent: as it is, or no for a new one.' }),
    buildTime: t.boolean({ description: 'Whether builds get it; absent: as it is, or yes for a new one.' }),
    runTime: t.boolean({ description: 'Whether instances and the release command get it; absent: as it is, or yes for a new one.' }),
  }
}

const ofService = (t: InputBuilder) => t.id({ required: true, description: 'The service.' })
const deployField = (t: InputBuilder) => t.boolean({ defaultValue: false, description: 'Whether one deployment follows.' })
const warningsText = 'What to know of what was written.'

/** A later concept adds the deployment that was asked for. */
export const envVarPayloads = [
  mutation(setEnvVars, {
    input: (t) => ({
      webServiceId: ofService(t),
      variables: t.field({ type: [EnvVarInput], required: true, description: 'At most 500, each key once.' }),
      mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: 'What happens to the others.' }),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVars: t.field({ type: [EnvVar], description: "All of the service's variables, by key.", resolve: (result) => result.envVars }),
      warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
    }),
  }),
  mutation(importEnvVars, {
    input: (t) => ({
      webServiceId: ofService(t),
      text: t.string({ required: true, description: 'Comments, `export`, quotes and values of several lines are understood.' }),
      mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: 'What happens to the others.' }),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVars: t.field({ type: [EnvVar], description: "All of the service's variables, by key.", resolve: (result) => result.envVars }),
      warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
    }),
  }),
  mutation(createEnvVar, {
    input: (t) => ({
      webServiceId: ofService(t),
      key: t.string({ required: true, description: 'Letters, digits and `_`, not beginning with a digit.' }),
      value: t.string({ required: true, description: `At most 64 KiB of text without NUL; not \`${mask}\`.` }),
      ...flagFields(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVar: t.field({ type: EnvVar, description: 'The variable.', resolve: (result) => result.envVar }),
      warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
    }),
  }),
  mutation(updateEnvVar, {
    versioned: true,
    input: (t) => ({
      id: t.id({ required: true, description: 'The variable.' }),
      value: t.string({ description: 'Its new value.' }),
      ...flagFields(t),
      deploy: deployField(t),
    }),
    payload: (t) => ({
      envVar: t.field({ type: EnvVar, description: 'The variable.', resolve: (result) => result.envVar }),
      warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
    }),
  }),
]

mutation(deleteEnvVar, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'The variable.' }) }),
  payload: (t) => ({ deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('EnvVar', result.deletedId) }) }),
})

mutation(revealEnvVar, {
  input: (t) => ({ id: t.id({ required: true, description: 'The variable.' }) }),
  payload: (t) => ({
    key: t.string({ description: 'Its name.', resolve: (result) => result.key }),
    value: t.string({
      nullable: true,
      description: 'Its value: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.value,
    }),
    envVar: t.field({ type: EnvVar, description: 'The variable, with the mark of this reveal.', resolve: (result) => result.envVar }),
  }),
})

mutation(revealEnvVars, {
  input: (t) => ({ webServiceId: ofService(t) }),
  payload: (t) => ({
    values: t.field({
      type: [RevealedValue],
      nullable: true,
      description: 'All values by key: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.values,
    }),
  }),
})

mutation(exportEnvVars, {
  input: (t) => ({
    webServiceId: ofService(t),
    includeSecrets: t.boolean({ defaultValue: false, description: 'Whether secret values are in it; needs the right to reveal.' }),
  }),
  payload: (t) => ({
    text: t.string({
      nullable: true,
      description: 'The text: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.text,
    }),
  }),
})
