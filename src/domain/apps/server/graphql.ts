import type { Server as ServerRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  idField,
  Node,
  registerNode,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { countOf } from '../../../platform/page.ts'
import { listServers, serverListing } from './index.ts'

export const Server = builder.prismaObject('Server', {
  description: 'A machine that runs builds and instances.',
  interfaces: [Node],
  authScopes: { permission: 'view:servers' },
  fields: (t) => ({
    id: t.id(idField('Server')),
    name: t.exposeString('name', { description: 'Name of the server.' }),
    kind: t.exposeString('kind', { description: 'Kind of the server. `local` is the machine that runs Quayside.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

const ServerConnection = connectionType<ServerRow>(Server as never, 'Server', 'Server')

registerNode('Server', (context, ids) =>
  rows<ServerRow>(
    context.app.db.prisma,
    sql`select * from server where id = any(${ids}::uuid[]) and organization_id = ${context.caller.organizationId}::uuid`,
  ),
)

builder.queryField('servers', (t) =>
  t.field({
    type: ServerConnection,
    description: 'Servers of the organization, oldest first.',
    args: connectionArgs,
    resolve: (_root, args, context) =>
      connection(
        () => context.call(listServers, args),
        () => countOf(context.app.db.prisma, serverListing(context.caller)),
      ),
  }),
)
