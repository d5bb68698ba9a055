import type {
  SecretBinding as SecretBindingRow,
  Secret as SecretRow,
  WebService as WebServiceRow,
} from '../../../generated/prisma/client.ts'
import { builder, idField, mutation, Node, registerNode, rowById, written } from '../../../graphql/builder/index.ts'
import { demand, visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { WriteMode } from '../env-var/graphql.ts'
import { Secret } from '../secret/graphql.ts'
import { bindSecret, setSecretBindings, unbindSecret } from './commands.ts'
import { bindingsBySecret, bindingsByService } from './queries.ts'
import './reactions.ts'

export const SecretBinding = builder.prismaObject('SecretBinding', {
  description: "Gives a service a secret's key under an alias.",
  interfaces: [Node],
  authScopes: { permission: 'view:secrets' },
  fields: (t) => ({
    id: t.id(idField('SecretBinding')),
    alias: t.exposeString('alias', { description: 'The name under which the service gets it.' }),
    secret: t.field({
      type: Secret,
      description: "The secret by which the key is named; which scope's value the service gets, `resolvedEnv` says.",
      resolve: (binding, _args, context) => rowById<SecretRow>(context, 'secret', binding.secretId),
    }),
    webService: t.field({
      type: WebService,
      description: 'The service.',
      resolve: (binding, _args, context) => rowById<WebServiceRow>(context, 'web_service', binding.webServiceId),
    }),
    ...written(t),
  }),
})

registerNode('SecretBinding', async ({ app, caller }, ids) =>
  caller.permissions.has('view:secrets')
    ? rows<SecretBindingRow>(
        app.db.prisma,
        sql`select t.* from secret_binding t where t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)}`,
      )
    : [],
)

builder.prismaObjectField('WebService', 'secretBindings', (t) =>
  t.field({
    type: [SecretBinding],
    description: 'The secrets that are bound to it, by alias.',
    resolve: (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      return context.load('WebService.secretBindings', service.id, (ids: readonly string[]) =>
        bindingsByService(context.app.db.prisma, ids),
      )
    },
  }),
)

builder.prismaObjectField('Secret', 'usedBy', (t) =>
  t.field({
    type: [SecretBinding],
    description: 'The bindings that name it, oldest first.',
    resolve: (secret, _args, context) =>
      context.load('Secret.usedBy', secret.id, (ids: readonly string[]) => bindingsBySecret(context.app.db.prisma, ids)),
  }),
)

const SecretBindingInput = builder.inputType('SecretBindingInput', {
  description: 'One binding to write.',
  fields: (t) => ({
    secretId: t.id({ required: true, description: "A secret of the service's project." }),
    alias: t.string({ description: "The name under which the service gets it; the secret's key when absent." }),
  }),
})

const warningsText = 'What to know of what was bound.'

mutation(bindSecret, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'The service.' }),
    secretId: t.id({ required: true, description: "A secret of the service's project." }),
    alias: t.string({ description: "The name under which the service gets it; the secret's key when absent." }),
  }),
  payload: (t) => ({
    secretBinding: t.field({ type: SecretBinding, description: 'The binding.', resolve: (result) => result.secretBinding }),
    warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
  }),
})

mutation(setSecretBindings, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'The service.' }),
    bindings: t.field({ type: [SecretBindingInput], required: true, description: 'At most 500, each alias once.' }),
    mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: 'What happens to the others.' }),
  }),
  payload: (t) => ({
    secretBindings: t.field({
      type: [SecretBinding],
      description: "All of the service's bindings, by alias.",
      resolve: (result) => result.secretBindings,
    }),
    warnings: t.stringList({ description: warningsText, resolve: (result) => result.warnings }),
  }),
})

mutation(unbindSecret, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'The binding.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('SecretBinding', result.deletedId) }),
  }),
})
