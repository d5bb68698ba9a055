import { z } from 'zod'
import {
  deleteWebService,
  findWebService,
  restartWebService,
  sliceWebServices,
  startWebService,
  stopWebService,
  updateWebService,
} from '../../../domain/apps/web-service/index.ts'
import { createWebServiceWithEnvVars } from '../../../domain/configuration/env-var/index.ts'
import { tailServiceLog } from '../../../domain/deploys/deployment/index.ts'
import { commandRow, queryRow, type Route, type Sources, type View, wholeNumber } from '../../core/index.ts'
import { type ServiceRow, schemas, serviceLogsBody } from '../bodies.ts'
import { oneWebService, webServiceBodies } from '../serialize.ts'
import { environmentTypes, projectTypes, serviceSettingFields, sourceTypes } from '../vocabulary.ts'
import { envVarFields } from './env-var.ts'

const tag = 'Web services'
const params = { web_service_id: 'id' }
const port = 8080

const settings: Sources = {
  name: 'name',
  subdomain: 'slug',
  source_type: { to: 'sourceType', words: sourceTypes, schema: z.enum(['git', 'image']) },
  ...serviceSettingFields.sources,
}

/** Response of a command that creates or changes a service. */
const theService = {
  schema: schemas.webService,
  reply: ({ webService }: { webService: ServiceRow }, view: View) => oneWebService(webService, view),
  version: ({ webService }: { webService: { version: number } }) => webService.version,
}

const unixSeconds = (value: unknown): unknown => {
  const seconds = wholeNumber(value)
  return typeof seconds === 'number' && seconds >= 0 ? new Date(seconds * 1000) : value
}

export const webServiceRoutes: Route[] = [
  queryRow({
    id: 'listWebServices',
    method: 'GET',
    path: '/web-services',
    tag,
    summary: 'List web services',
    read: sliceWebServices,
    query: { project_id: { to: 'projectId', schema: z.string(), description: 'Return only services of this project.' } },
    page: { size: null },
    status: 200,
    schema: schemas.webServiceList,
    reply: async ({ rows, total }, view) => ({ web_services: await webServiceBodies(rows, view), total }),
  }),
  commandRow({
    id: 'createWebService',
    method: 'POST',
    path: '/web-services',
    tag,
    summary: 'Create a web service',
    description:
      "Nothing is deployed until a deployment is created. Without `project_id`, the service is created in the project that the key is restricted to, or in the organization's default project.",
    command: createWebServiceWithEnvVars,
    body: {
      ...settings,
      project_id: 'projectId',
      project_type: { to: 'kind', words: projectTypes, schema: z.enum(['web_service', 'static_site', 'worker']) },
      environment: {
        to: 'environmentType',
        words: environmentTypes,
        fallback: 'production',
        schema: z.enum(['production', 'staging', 'development']),
      },
      port: { to: 'port', fallback: port },
      env_vars: {
        to: 'envVars',
        items: envVarFields,
        description: 'Environment variables of the service. If one of them is not valid, the service is not created.',
      },
    },
    status: 201,
    ...theService,
  }),
  queryRow({
    id: 'getWebService',
    method: 'GET',
    path: '/web-services/{web_service_id}',
    tag,
    summary: 'Retrieve a web service',
    read: findWebService,
    params,
    status: 200,
    schema: schemas.webService,
    reply: oneWebService,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateWebService',
    method: 'PATCH',
    path: '/web-services/{web_service_id}',
    tag,
    summary: 'Update a web service',
    description:
      'Omitted fields keep their value. Null clears an optional field or restores its default. `subdomain`, `min_instances` and `max_instances` take effect immediately. Other settings of builds and instances take effect with the next deployment.',
    command: updateWebService,
    params,
    body: settings,
    status: 200,
    ...theService,
  }),
  commandRow({
    id: 'deleteWebService',
    method: 'DELETE',
    path: '/web-services/{web_service_id}',
    tag,
    summary: 'Delete a web service',
    description: 'Its instances are stopped first. Until it is removed, the service is listed with the status `pending_deletion`.',
    command: deleteWebService,
    params,
    status: 204,
  }),
  commandRow({
    id: 'startWebService',
    method: 'POST',
    path: '/web-services/{web_service_id}/start',
    tag,
    summary: 'Start a web service',
    command: startWebService,
    params,
    status: 200,
    ...theService,
  }),
  commandRow({
    id: 'stopWebService',
    method: 'POST',
    path: '/web-services/{web_service_id}/stop',
    tag,
    summary: 'Stop a web service',
    command: stopWebService,
    params,
    status: 200,
    ...theService,
  }),
  commandRow({
    id: 'restartWebService',
    method: 'POST',
    path: '/web-services/{web_service_id}/restart',
    tag,
    summary: 'Restart a web service',
    description: 'New instances of the live release are started before the old ones are stopped, unless the service has a disk.',
    command: restartWebService,
    params,
    status: 200,
    ...theService,
  }),
  queryRow({
    id: 'getWebServiceLogs',
    method: 'GET',
    path: '/web-services/{web_service_id}/logs',
    tag,
    summary: 'Retrieve logs',
    read: tailServiceLog,
    params,
    query: {
      tail: {
        to: 'tail',
        read: wholeNumber,
        fallback: 100,
        schema: z.int().min(1).max(10_000),
        description: 'Number of lines to return, counted from the end of the log.',
      },
      since: {
        to: 'since',
        read: unixSeconds,
        schema: z.int().min(0),
        description: 'Unix timestamp in seconds. Return only lines received at or after this time.',
      },
    },
    status: 200,
    schema: schemas.serviceLogs,
    reply: (lines, { app }) => serviceLogsBody(lines, app.clock.now()),
  }),
]
