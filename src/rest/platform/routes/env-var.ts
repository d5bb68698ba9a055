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
import { bulkText, writeMode } from './write-mode.ts'

const tag = 'Environment variables'
const ofService = { web_service_id: 'webServiceId' }
const one = { ...ofService, var_id: 'id' }
const flags: Sources = { is_secret: { to: 'isSecret', description: 'Absent: as it is; no for a new variable.' } }
export const writtenEnvVar: Sources = { key: 'key', value: 'value', ...flags }

export const envVarRoutes: Route[] = [
  queryRow({
    id: 'listEnvVars',
    method: 'GET',
    path: '/web-services/{web_service_id}/env',
    tag,
    summary: "List a web service's variables, secret values masked",
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
    summary: 'Add a variable',
    description: 'The next deployment uses it.',
    command: createEnvVar,
    params: ofService,
    body: writtenEnvVar,
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
    summary: 'Show the values of all variables',
    description: 'Counted, limited and audited, as one reveal.',
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
    summary: 'Write variables by key',
    description: bulkText,
    command: setEnvVars,
    params: ofService,
    query: writeMode,
    body: { variables: { to: 'variables', items: writtenEnvVar } },
    status: 200,
    schema: schemas.envVarList,
    reply: async ({ envVars }, view) => ({ environment_variables: await envVarBodies(envVars, view), total: envVars.length }),
  }),
  commandRow({
    id: 'updateEnvVar',
    method: 'PATCH',
    path: '/web-services/{web_service_id}/env/{var_id}',
    tag,
    summary: 'Change a variable',
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
    summary: 'Delete a variable',
    command: deleteEnvVar,
    params: one,
    status: 204,
  }),
  commandRow({
    id: 'revealEnvVar',
    method: 'GET',
    path: '/web-services/{web_service_id}/env/{var_id}/reveal',
    tag,
    summary: 'Show the value of a variable',
    description: 'Counted, limited and audited.',
    command: revealEnvVar,
    reveals: true,
    params: one,
    status: 200,
    schema: schemas.envVar,
    reply: ({ envVar, value }) => envVarBody(envVar, value!),
  }),
]
