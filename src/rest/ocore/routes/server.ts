import { z } from 'zod'
import { createServer, deleteServer, findServer, listServers, type ServerRow, validateServer } from '../../../domain/apps/server/index.ts'
import { commandRow, queryRow, type Route } from '../../core/index.ts'
import { accepted } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { serverSchemas as schemas, serverBody } from '../server-bodies.ts'
import { authMethods } from '../vocabulary.ts'

const tag = 'Servers'
const params = { serverId: 'id' }

export const serverRoutes: Route[] = [
  commandRow({
    id: 'createServer',
    method: 'POST',
    path: '/servers',
    tag,
    summary: 'Register a server',
    description:
      'The validation over SSH begins at once; see `status`. Credentials are stored encrypted and never returned. Instances cannot be placed on the server yet.',
    command: createServer,
    body: {
      name: 'name',
      host: 'host',
      port: 'port',
      sshUser: 'sshUser',
      authMethod: { to: 'authMethod', words: authMethods, schema: z.enum(Object.values(authMethods)) },
      sshPassword: { to: 'sshPassword', description: 'Password. Required with `password`.' },
      sshPrivateKey: {
        to: 'sshPrivateKey',
        description: 'Private key in OpenSSH or PEM format, without a passphrase. Required with `private_key`.',
      },
    },
    status: 201,
    schema: schemas.server,
    reply: ({ server }) => serverBody(server),
    version: ({ server }) => server.version,
  }),
  queryRow({
    id: 'listServers',
    method: 'GET',
    path: '/servers',
    tag,
    summary: 'List servers',
    description: 'The local server, on which everything runs, is one of them.',
    read: listServers,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.serverList,
    reply: (page) => pageOf(page, page.rows.map(serverBody)),
  }),
  queryRow({
    id: 'getServer',
    method: 'GET',
    path: '/servers/{serverId}',
    tag,
    summary: 'Retrieve a server',
    read: findServer,
    params,
    status: 200,
    schema: schemas.server,
    reply: (row: ServerRow) => serverBody(row),
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'validateServer',
    method: 'POST',
    path: '/servers/{serverId}/validate',
    tag,
    summary: 'Validate a server',
    description: 'Connects and reads the facts of the machine again. The status of the server shows the outcome.',
    command: validateServer,
    params,
    status: 202,
    schema: accepted,
    reply: ({ server }) => ({ id: server.id, status: 'validating', message: 'Server validation in progress' }),
  }),
  commandRow({
    id: 'deleteServer',
    method: 'DELETE',
    path: '/servers/{serverId}',
    tag,
    summary: 'Remove a server',
    description: 'Its credentials are deleted at once. Nothing is changed on the machine. The local server answers 422.',
    command: deleteServer,
    params,
    status: 202,
    schema: accepted,
    reply: ({ deletedId }) => ({ id: deletedId, status: 'removing', message: 'Server removal in progress' }),
  }),
]
