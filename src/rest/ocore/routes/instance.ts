import { z } from 'zod'
import { deleteWebService, restartWebService, startWebService, stopWebService } from '../../../domain/apps/web-service/index.ts'
import {
  createOdooInstance,
  findOdooInstance,
  listOdooInstances,
  type OdooInstanceRow,
  updateOdooInstance,
} from '../../../domain/odoo/odoo-instance/index.ts'
import { commandRow, queryRow, type Route, type Source, type View } from '../../core/index.ts'
import { accepted } from '../field.ts'
import { bodiesOfInstances, oneInstance, instanceSchemas as schemas } from '../instance-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { environmentTypes, odooEditions } from '../vocabulary.ts'

const tag = 'Instances'
const params = { instanceId: 'id' }

/** The commands are those of web services, and other services are none of this contract. */
const ofInstance = { params, within: { query: findOdooInstance, params } } as const

const envVars: Source = {
  to: 'envVars',
  read: (given) =>
    typeof given === 'object' && given !== null && !Array.isArray(given)
      ? Object.entries(given).map(([key, value]) => ({ key, value, isSecret: true }))
      : given,
  schema: z.record(z.string(), z.string()),
  description: 'Environment variables, by name. They are stored encrypted, and others are kept.',
}

const settings = {
  addonsPath: { to: 'addonsPath', description: 'Directories of addons in the repository, separated by commas.' },
  workers: { to: 'workers', description: 'Number of worker processes.' },
  config: { to: 'config', description: 'Further lines of the configuration file.' },
  envVars,
} as const

export const instanceRoutes: Route[] = [
  queryRow({
    id: 'listInstances',
    method: 'GET',
    path: '/instances',
    tag,
    summary: 'List instances',
    read: listOdooInstances,
    query: {
      projectId: { to: 'projectId', schema: z.string(), description: 'Only instances of this project.' },
      environmentId: { to: 'environmentId', schema: z.string(), description: 'Only instances of this environment.' },
    },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.instanceList,
    reply: async (page, view) => pageOf(page, await bodiesOfInstances(page.rows, view)),
  }),
  commandRow({
    id: 'createInstance',
    method: 'POST',
    path: '/instances',
    tag,
    summary: 'Create an instance',
    description:
      'Its database and its disk are created, and its first deployment begins; see `status`. Another server than the local one answers 422.',
    command: createOdooInstance,
    body: {
      name: 'name',
      slug: 'slug',
      projectId: { to: 'projectId', required: true, schema: z.string(), description: 'ID of the project.' },
      environmentId: 'environmentId',
      environmentType: {
        to: 'environmentType',
        words: environmentTypes,
        schema: z.enum(Object.values(environmentTypes)),
        description: 'Without environmentId: the type of the environment, by default production.',
      },
      serverId: { to: 'serverId', description: 'ID of the local server.' },
      odooVersion: { to: 'odooVersion', description: 'Version of Odoo, such as 17.0.' },
      odooEdition: { to: 'edition', words: odooEditions, schema: z.enum(Object.values(odooEditions)) },
      repositoryUrl: { to: 'repositoryUrl', description: 'Git repository with the addons.' },
      branch: 'branch',
      ...settings,
    },
    status: 202,
    schema: accepted,
    reply: ({ odooInstance }) => ({ id: odooInstance.id, status: 'provisioning', message: 'Instance creation in progress' }),
  }),
  queryRow({
    id: 'getInstance',
    method: 'GET',
    path: '/instances/{instanceId}',
    tag,
    summary: 'Retrieve an instance',
    read: findOdooInstance,
    params,
    status: 200,
    schema: schemas.instance,
    reply: oneInstance,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateInstance',
    method: 'PATCH',
    path: '/instances/{instanceId}',
    tag,
    summary: 'Update an instance',
    description:
      'Omitted fields keep their value. `workers` and `config` take effect with a restart or a deployment, other settings with the next deployment.',
    command: updateOdooInstance,
    params,
    body: { name: 'name', ...settings },
    status: 200,
    schema: schemas.instance,
    reply: ({ odooInstance }: { odooInstance: OdooInstanceRow }, view: View) => oneInstance(odooInstance, view),
    version: ({ odooInstance }) => odooInstance.version,
  }),
  commandRow({
    id: 'startInstance',
    method: 'POST',
    path: '/instances/{instanceId}/start',
    tag,
    summary: 'Start an instance',
    command: startWebService,
    ...ofInstance,
    status: 202,
    schema: accepted,
    reply: ({ webService }) => ({ id: webService.id, status: 'starting', message: 'Instance start in progress' }),
  }),
  commandRow({
    id: 'stopInstance',
    method: 'POST',
    path: '/instances/{instanceId}/stop',
    tag,
    summary: 'Stop an instance',
    description: 'Its database and its disk are kept.',
    command: stopWebService,
    ...ofInstance,
    status: 202,
    schema: accepted,
    reply: ({ webService }) => ({ id: webService.id, status: 'stopping', message: 'Instance stop in progress' }),
  }),
  commandRow({
    id: 'restartInstance',
    method: 'POST',
    path: '/instances/{instanceId}/restart',
    tag,
    summary: 'Restart an instance',
    description: 'Applies changed workers and lines of the configuration file.',
    command: restartWebService,
    ...ofInstance,
    status: 202,
    schema: accepted,
    reply: ({ webService }) => ({ id: webService.id, status: 'restarting', message: 'Instance restart in progress' }),
  }),
  commandRow({
    id: 'deleteInstance',
    method: 'DELETE',
    path: '/instances/{instanceId}',
    tag,
    summary: 'Delete an instance',
    description: 'With its database and its disk.',
    command: deleteWebService,
    ...ofInstance,
    status: 202,
    schema: accepted,
    reply: ({ deletedId }) => ({ id: deletedId, status: 'deleting', message: 'Instance deletion in progress' }),
  }),
]
