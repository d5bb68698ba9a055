import { z } from 'zod'
import { bindSecret, setSecretBindings, sliceSecretBindings, unbindSecret } from '../../../domain/configuration/secret-binding/index.ts'
import { listPlannedEnv } from '../../../domain/deploys/deployment/index.ts'
import { commandRow, queryRow, type Route, type Sources, trueOrFalse } from '../../core/index.ts'
import { bindingBody, resolvedBody, configurationSchemas as schemas } from '../configuration-bodies.ts'
import { bulkText, writeMode } from './write-mode.ts'

const tag = 'Secret bindings'
const ofService = { web_service_id: 'webServiceId' }
const written: Sources = {
  project_secret_id: 'secretId',
  alias_key: { to: 'alias', description: "The variable that the web service gets; the secret's key when absent." },
}

export const secretBindingRoutes: Route[] = [
  queryRow({
    id: 'listSecretBindings',
    method: 'GET',
    path: '/web-services/{web_service_id}/secret-bindings',
    tag,
    summary: 'List what secrets a web service gets',
    read: sliceSecretBindings,
    params: ofService,
    page: { size: null },
    status: 200,
    schema: schemas.bindingList,
    reply: ({ rows, total }) => ({ bindings: rows.map((row) => bindingBody(row, row.secretKey)), total }),
  }),
  commandRow({
    id: 'bindSecret',
    method: 'POST',
    path: '/web-services/{web_service_id}/secret-bindings',
    tag,
    summary: 'Give a web service a secret',
    description: "It gets the value for its environment's scope, or the one that this falls back to, from the next deployment on.",
    command: bindSecret,
    params: ofService,
    body: written,
    status: 201,
    schema: schemas.binding,
    reply: ({ secretBinding, secretKey }) => bindingBody(secretBinding, secretKey),
    version: ({ secretBinding }) => secretBinding.version,
  }),
  queryRow({
    id: 'getResolvedEnv',
    method: 'GET',
    path: '/web-services/{web_service_id}/secret-bindings/resolved',
    tag,
    summary: 'What the next deployment gives to a web service, and why',
    description: 'With the final values for a key that may reveal, which is counted, limited and audited; masked for others.',
    read: listPlannedEnv,
    reveals: true,
    params: ofService,
    query: {
      reveal: {
        to: 'reveal',
        read: trueOrFalse,
        fallback: true,
        schema: z.boolean(),
        description: '`false` masks secret values for everybody.',
      },
    },
    status: 200,
    schema: schemas.resolved,
    reply: resolvedBody,
  }),
  commandRow({
    id: 'setSecretBindings',
    method: 'PUT',
    path: '/web-services/{web_service_id}/secret-bindings/bulk',
    tag,
    summary: 'Write bindings by alias',
    description: bulkText,
    command: setSecretBindings,
    params: ofService,
    query: writeMode,
    body: { bindings: { to: 'bindings', items: written } },
    status: 200,
    schema: schemas.bindingList,
    reply: ({ secretBindings }) => ({
      bindings: secretBindings.map((row) => bindingBody(row, row.secretKey)),
      total: secretBindings.length,
    }),
  }),
  commandRow({
    id: 'unbindSecret',
    method: 'DELETE',
    path: '/web-services/{web_service_id}/secret-bindings/{binding_id}',
    tag,
    summary: 'Take a secret from a web service',
    command: unbindSecret,
    params: { ...ofService, binding_id: 'id' },
    status: 204,
  }),
]
