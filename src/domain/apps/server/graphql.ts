import { builder, connectionOf, idField, Node, rootConnection, timestamps } from '../../../graphql/builder/index.ts'
import { countServers, listServers, serverListing } from './queries.ts'

export const Server = builder.prismaObject('Server', {
  description: 'A machine that runs builds and instances.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:servers',
  fields: (t) => ({
    id: t.id(idField('Server')),
    name: t.exposeString('name', { description: 'Name of the server.' }),
    kind: t.exposeString('kind', { description: 'Kind of the server. `local` is the machine that runs Quayside.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(Server, serverListing), { list: listServers, count: countServers })
