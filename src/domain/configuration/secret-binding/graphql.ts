import {
  builder,
  columnsOf,
  findRelated,
  type InputBuilder,
  idField,
  loadRows,
  mutation,
  Node,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { Secret } from '../secret/graphql.ts'
import { secretListing } from '../secret/index.ts'
import { WriteMode, writeWarningsField } from '../variable/graphql.ts'
import { bindSecret, setSecretBindings, unbindSecret } from './commands.ts'
import { bindingsBySecret, bindingsByService } from './queries.ts'
import './reactions.ts'

export const SecretBinding = builder.prismaObject('SecretBinding', {
  description: 'Binding of a project secret to a service.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:secrets',
  fields: (t) => ({
    id: t.id(idField('SecretBinding')),
    alias: t.exposeString('alias', { description: 'Name of the variable that the service receives.' }),
    secret: t.field({
      type: Secret,
      description:
        'The bound secret. The service receives a value of the same key, chosen by the type of its environment. See `resolvedEnv` for the value in effect.',
      select: { secretId: true },
      resolve: ({ secretId }, _args, context, info) => findRelated(context, info, secretListing, secretId),
    }),
    webService: t.field({
      type: WebService,
      description: 'The service that the secret is bound to.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) => findRelated(context, info, webServiceListing, webServiceId),
    }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(WebService, 'secretBindings', (t) =>
  t.field({
    type: [SecretBinding],
    extensions: { rows: 50 },
    description: 'Secret bindings of the service, sorted by alias.',
    resolve: (service, _args, context, info) => {
      demand(context.caller, 'view:secrets')
      return loadRows(context, 'WebService.secretBindings', service.id, columnsOf(info, 'SecretBinding'), bindingsByService)
    },
  }),
)

builder.prismaObjectField(Secret, 'usedBy', (t) =>
  t.field({
    type: [SecretBinding],
    extensions: { rows: 20 },
    description: 'Bindings of the secret, oldest first.',
    resolve: (secret, _args, context, info) =>
      loadRows(context, 'Secret.usedBy', secret.id, columnsOf(info, 'SecretBinding'), bindingsBySecret),
  }),
)

const entryFields = (t: InputBuilder) => ({
  secretId: t.id({ required: true, description: "ID of a secret in the service's project." }),
  alias: t.string({
    description:
      'Name of the variable that the service receives: letters, digits and underscores, not starting with a digit. Defaults to the key of the secret.',
  }),
})

const SecretBindingInput = builder.inputType('SecretBindingInput', {
  description: 'A secret binding to create or update.',
  fields: (t) => entryFields(t as InputBuilder),
})

const warningsText = 'Warnings about the aliases, such as an alias that is hidden by an environment variable of the service.'

mutation(bindSecret, {
  input: (t) => ({ webServiceId: t.id({ required: true, description: 'ID of the service.' }), ...entryFields(t) }),
  payload: (t) => ({
    secretBinding: t.field({ type: SecretBinding, description: 'The created binding.', resolve: (result) => result.secretBinding }),
    warnings: writeWarningsField(t, warningsText),
  }),
})

mutation(setSecretBindings, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'ID of the service.' }),
    bindings: t.field({
      type: [SecretBindingInput],
      required: true,
      description: 'Bindings to create or update, at most 500, each alias at most once. A service has at most 1000 bindings.',
    }),
    mode: t.field({ type: WriteMode, defaultValue: 'MERGE', description: "What to do with the service's other bindings." }),
  }),
  payload: (t) => ({
    secretBindings: t.field({
      type: [SecretBinding],
      description: 'All secret bindings of the service, sorted by alias.',
      resolve: (result) => result.secretBindings,
    }),
    warnings: writeWarningsField(t, warningsText),
  }),
})

mutation(unbindSecret, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the binding.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted binding.', resolve: (result) => encodeId('SecretBinding', result.deletedId) }),
  }),
})
