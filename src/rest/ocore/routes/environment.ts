import { z } from 'zod'
import {
  createEnvironment,
  deleteEnvironment,
  findEnvironment,
  listEnvironments,
  updateEnvironment,
} from '../../../domain/apps/environment/index.ts'
import { commandRow, queryRow, type Route, type View } from '../../core/index.ts'
import { accepted } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { type EnvironmentRow, environmentBodies, oneEnvironment, projectSchemas as schemas } from '../project-bodies.ts'
import { environmentTypes } from '../vocabulary.ts'

const tag = 'Environments'
const params = { environmentId: 'id' }

/** Response of a command that returns the environment. */
const theEnvironment = {
  schema: schemas.environment,
  reply: ({ environment }: { environment: EnvironmentRow }, view: View) => oneEnvironment(environment, view),
  version: ({ environment }: { environment: { version: number } }) => environment.version,
}

export const environmentRoutes: Route[] = [
  queryRow({
    id: 'listEnvironments',
    method: 'GET',
    path: '/environments',
    tag,
    summary: 'List environments',
    read: listEnvironments,
    query: { projectId: { to: 'projectId', schema: z.string(), description: 'Only environments of this project.' } },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.environmentList,
    reply: async (page, view) => pageOf(page, await environmentBodies(page.rows, view)),
  }),
  commandRow({
    id: 'createEnvironment',
    method: 'POST',
    path: '/environments',
    tag,
    summary: 'Create an environment',
    description: 'A branch is a setting of the services of an environment, not of the environment.',
    command: createEnvironment,
    body: {
      projectId: { to: 'projectId', required: true, schema: z.string(), description: 'ID of the project.' },
      name: 'name',
      environmentType: { to: 'type', words: environmentTypes, schema: z.enum(Object.values(environmentTypes)) },
    },
    status: 201,
    ...theEnvironment,
  }),
  queryRow({
    id: 'getEnvironment',
    method: 'GET',
    path: '/environments/{environmentId}',
    tag,
    summary: 'Retrieve an environment',
    read: findEnvironment,
    params,
    status: 200,
    schema: schemas.environment,
    reply: oneEnvironment,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateEnvironment',
    method: 'PATCH',
    path: '/environments/{environmentId}',
    tag,
    summary: 'Rename an environment',
    description: 'The type cannot be changed.',
    command: updateEnvironment,
    params,
    body: { name: 'name' },
    status: 200,
    ...theEnvironment,
  }),
  commandRow({
    id: 'deleteEnvironment',
    method: 'DELETE',
    path: '/environments/{environmentId}',
    tag,
    summary: 'Delete an environment',
    description: 'Its services are stopped and deleted in the background. A production environment answers 422.',
    command: deleteEnvironment,
    params,
    fixed: { cascade: true, keepProduction: true },
    status: 202,
    schema: accepted,
    reply: ({ deletedId }) => ({ id: deletedId, status: 'deleting', message: 'Environment deletion in progress' }),
  }),
]
