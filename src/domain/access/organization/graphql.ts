import { builder, columnsOf, idField, Node, timestamps } from '../../../graphql/builder/index.ts'
import { currentOrganization } from './queries.ts'

export const Organization = builder.prismaObject('Organization', {
  description: 'Tenant that owns all other objects.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:organization',
  fields: (t) => ({
    id: t.id(idField('Organization')),
    name: t.exposeString('name', { description: 'Name of the organization.' }),
    slug: t.exposeString('slug', { description: 'Slug of the organization, unique within the installation.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.queryField('organization', (t) =>
  t.field({
    type: Organization,
    description: 'Organization of the caller.',
    resolve: (_root, _args, context, info) => context.call(currentOrganization, {}, columnsOf(info, 'Organization')),
  }),
)
