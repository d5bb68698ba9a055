import {
  createDatabase,
  deleteDatabase,
  findDatabase,
  revealDatabase,
  startDatabase,
  stopDatabase,
  updateDatabase,
} from '../../../domain/resources/database/index.ts'
import { sliceManagedDatabases } from '../../../domain/resources/redis/index.ts'
import { commandRow, eitherRow, queryRow, type Route } from '../../core/index.ts'
import { databaseStateBody, managedDatabaseBodies, oneDatabase, databaseSchemas as schemas } from '../database-bodies.ts'
import { disconnects } from './disconnects.ts'
import { planId } from './plan.ts'
import { redisRows } from './redis.ts'

const tag = 'Databases'
const params = { database_id: 'id' }

/** Clients of this contract also use the IDs of Redis instances as `database_id`. */
export const databaseRoutes: Route[] = [
  commandRow({
    id: 'createDatabase',
    method: 'POST',
    path: '/databases',
    tag,
    summary: 'Create a database',
    description:
      "Returns a PostgreSQL database with the status `creating`. Without `project_id`, it is created in the project that the key is restricted to, or in the organization's default project.",
    command: createDatabase,
    body: { name: 'name', project_id: 'projectId', plan_id: planId },
    status: 201,
    schema: schemas.database,
    reply: ({ database }, view) => oneDatabase(database, view),
    version: ({ database }) => database.version,
  }),
  queryRow({
    id: 'listDatabases',
    method: 'GET',
    path: '/databases',
    tag,
    summary: 'List databases',
    description: 'Returns PostgreSQL databases and Redis instances. The paths below `/databases/{database_id}` accept the ID of either.',
    read: sliceManagedDatabases,
    page: { size: null },
    status: 200,
    schema: schemas.databaseList,
    reply: async ({ rows, total }, view) => ({ databases: await managedDatabaseBodies(rows, view), total }),
  }),
  eitherRow(
    queryRow({
      id: 'getDatabase',
      method: 'GET',
      path: '/databases/{database_id}',
      tag,
      summary: 'Retrieve a database',
      read: findDatabase,
      params,
      status: 200,
      schema: schemas.database,
      reply: oneDatabase,
      version: ({ version }) => version,
    }),
    redisRows.get,
  ),
  eitherRow(
    commandRow({
      id: 'updateDatabase',
      method: 'PATCH',
      path: '/databases/{database_id}',
      tag,
      summary: 'Update a database',
      command: updateDatabase,
      params,
      body: { name: 'name' },
      status: 200,
      schema: schemas.database,
      reply: ({ database }, view) => oneDatabase(database, view),
      version: ({ database }) => database.version,
    }),
    redisRows.update,
  ),
  eitherRow(
    commandRow({
      id: 'deleteDatabase',
      method: 'DELETE',
      path: '/databases/{database_id}',
      tag,
      summary: 'Delete a database',
      description: 'Until its data is removed, the database has the status `pending_deletion`.',
      command: deleteDatabase,
      params,
      query: { force: disconnects },
      status: 204,
    }),
    redisRows.remove,
  ),
  eitherRow(
    commandRow({
      id: 'startDatabase',
      method: 'POST',
      path: '/databases/{database_id}/start',
      tag,
      summary: 'Start a database',
      command: startDatabase,
      params,
      status: 200,
      schema: schemas.databaseState,
      reply: ({ database }) => databaseStateBody(database),
    }),
    redisRows.start,
  ),
  eitherRow(
    commandRow({
      id: 'stopDatabase',
      method: 'POST',
      path: '/databases/{database_id}/stop',
      tag,
      summary: 'Stop a database',
      command: stopDatabase,
      params,
      status: 200,
      schema: schemas.databaseState,
      reply: ({ database }) => databaseStateBody(database),
    }),
    redisRows.stop,
  ),
  eitherRow(
    queryRow({
      id: 'getDatabaseStatus',
      method: 'GET',
      path: '/databases/{database_id}/status',
      tag,
      summary: 'Retrieve the status of a database',
      read: findDatabase,
      params,
      status: 200,
      schema: schemas.databaseState,
      reply: databaseStateBody,
    }),
    redisRows.status,
  ),
  eitherRow(
    commandRow({
      id: 'revealDatabase',
      method: 'GET',
      path: '/databases/{database_id}/reveal',
      tag,
      summary: 'Reveal the credentials of a database',
      description: 'Reveals are audited and limited per minute.',
      command: revealDatabase,
      reveals: true,
      params,
      status: 200,
      schema: schemas.databaseCredentials,
      reply: ({ id, url, host, port, databaseName, username, password }) => ({
        id,
        url,
        host,
        port,
        database_name: databaseName,
        username,
        password,
      }),
    }),
    redisRows.reveal,
  ),
]
