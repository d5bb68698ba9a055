import { z } from 'zod'
import { bindSecret, setSecretBindings, sliceSecretBindings, unbindSecret } from '../../../domain/configuration/secret-binding/index.ts'
import { listPlannedEnv } from '../../../domain/deploys/deployment/index.ts'
import { commandRow, queryRow, type Route, type Sources, trueOrFalse } from '../../core/index.ts'
import { bindingBody, resolvedBody, configurationSchemas as schemas } from '../configuration-bodies.ts'
import { bulkText, writeMode } from './write-mode.ts'

const tag = 'Secret bindings'
const ofService = { web_service_id: 'webServiceId' }
const bindingFields: Sources = {
  project_secret_id: 'secretId',
  alias_key: { to: 'alias', description: 'Name of the variable that the web service receives. Defaults to the key of the secret.' },
}

export const secretBindingRoutes: Route[] = [
  queryRow({
    id: 'listSecretBindings',
    method: 'GET',
    path: '/web-services/{web_service_id}/secret-bindings',
    tag,
    summary: 'List secret bindings',
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
    summary: 'Bind a secret',
    description: 'From the next deployment on, the web service receives the value of the scope that its environment resolves to.',
    command: bindSecret,
    params: ofService,
    body: bindingFields,
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
    summary: 'List resolved variables',
    description:
      'Returns all variables that the next deployment gives to the web service, with their sources. If the key may reveal, secret values are returned in plaintext; this counts as a reveal, is audited, and is limited per minute. Otherwise they are masked.',
    read: listPlannedEnv,
    reveals: true,
    params: ofService,
    query: {
      reveal: {
        to: 'reveal',
        read: trueOrFalse,
        fallback: true,
        schema: z.boolean(),
        description: 'Whether to reveal secret values. `false` masks them even if the key may reveal.',
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
    summary: 'Create or update secret bindings',
    description: bulkText,
    command: setSecretBindings,
    params: ofService,
    query: writeMode,
    body: { bindings: { to: 'bindings', items: bindingFields } },
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
    summary: 'Unbind a secret',
    command: unbindSecret,
    params: { ...ofService, binding_id: 'id' },
    status: 204,
  }),
]
