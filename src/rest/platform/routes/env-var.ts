import {
  createEnvVar,
  deleteEnvVar,
  revealEnvVar,
  revealEnvVars,
  setEnvVars,
  sliceEnvVars,
  updateEnvVar,
} from '../../../domain/configuration/env-var/index.ts'
import { commandRow, queryRow, type Route, type Sources } from '../../core/index.ts'
import { envVarBody, configurationSchemas as schemas } from '../configuration-bodies.ts'
import { envVarBodies, oneEnvVar } from '../serialize.ts'
import { writeMode } from './write-mode.ts'

const tag = 'Environment variables'
const ofService = { web_service_id: 'webServiceId' }
const one = { ...ofService, var_id: 'id' }
const flags: Sources = {
  is_secret: {
    to: 'isSecret',
    description: 'Whether the value is secret. Defaults to false for a new variable. When omitted, an existing variable keeps its setting.',
  },
}
export const envVarFields: Sources = { key: 'key', value: 'value', ...flags }

export const envVarRoutes: Route[] = [
  queryRow({
    id: 'listEnvVars',
    method: 'GET',
    path: '/web-services/{web_service_id}/env',
    tag,
    summary: 'List environment variables',
    read: sliceEnvVars,
    params: ofService,
    page: { size: null },
    status: 200,
    schema: schemas.envVarList,
    reply: async ({ rows, total }, view) => ({ environment_variables: await envVarBodies(rows, view), total }),
  }),
  commandRow({
    id: 'createEnvVar',
    method: 'POST',
    path: '/web-services/{web_service_id}/env',
    tag,
    summary: 'Create an environment variable',
    description: 'The variable takes effect with the next deployment.',
    command: createEnvVar,
    params: ofService,
    body: envVarFields,
    status: 201,
    schema: schemas.envVar,
    reply: ({ envVar }, view) => oneEnvVar(envVar, view),
    version: ({ envVar }) => envVar.version,
  }),
  commandRow({
    id: 'revealEnvVars',
    method: 'GET',
    path: '/web-services/{web_service_id}/env/reveal-all',
    tag,
    summary: 'Reveal all environment variables',
    description: 'Returns all values in plaintext. Counts as one reveal. Reveals are audited and limited per minute.',
    command: revealEnvVars,
    reveals: true,
    params: ofService,
    status: 200,
    schema: schemas.envVarList,
    reply({ envVars, values }) {
      const byKey = new Map(values?.map(({ key, value }) => [key, value]))
      return { environment_variables: envVars.map((row) => envVarBody(row, byKey.get(row.key))), total: envVars.length }
    },
  }),
  commandRow({
    id: 'setEnvVars',
    method: 'PUT',
    path: '/web-services/{web_service_id}/env/bulk',
    tag,
    summary: 'Create or update environment variables',
    description:
      'All items are written, or none. Items that are equal to the stored ones are left unchanged. A variable is found by its `key`; an `id` that is not that of the variable with this key is refused.',
    command: setEnvVars,
    params: ofService,
    query: writeMode,
    body: { variables: { to: 'variables', items: { id: 'id', ...envVarFields } } },
    status: 200,
    schema: schemas.envVarList,
    reply: async ({ envVars }, view) => ({ environment_variables: await envVarBodies(envVars, view), total: envVars.length }),
  }),
  commandRow({
    id: 'updateEnvVar',
    method: 'PATCH',
    path: '/web-services/{web_service_id}/env/{var_id}',
    tag,
    summary: 'Update an environment variable',
    command: updateEnvVar,
    params: one,
    body: { value: 'value', ...flags },
    status: 200,
    schema: schemas.envVar,
    reply: ({ envVar }, view) => oneEnvVar(envVar, view),
    version: ({ envVar }) => envVar.version,
  }),
  commandRow({
    id: 'deleteEnvVar',
    method: 'DELETE',
    path: '/web-services/{web_service_id}/env/{var_id}',
    tag,
    summary: 'Delete an environment variable',
    command: deleteEnvVar,
    params: one,
    status: 204,
  }),
  commandRow({
    id: 'revealEnvVar',
    method: 'GET',
    path: '/web-services/{web_service_id}/env/{var_id}/reveal',
    tag,
    summary: 'Reveal an environment variable',
    description: 'Returns the value in plaintext. Reveals are audited and limited per minute.',
    command: revealEnvVar,
    reveals: true,
    params: one,
    status: 200,
    schema: schemas.envVar,
    reply: ({ envVar, value }) => envVarBody(envVar, value!),
  }),
]
