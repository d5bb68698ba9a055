import type { Organization as OrganizationRow } from '../../../generated/prisma/client.ts'
import { builder, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { currentOrganization } from './queries.ts'

export const Organization = builder.prismaObject('Organization', {
  description: 'Tenant that owns all other objects.',
  interfaces: [Node],
  authScopes: { permission: 'view:organization' },
  fields: (t) => ({
    id: t.id(idField('Organization')),
    name: t.exposeString('name', { description: 'Name of the organization.' }),
    slug: t.exposeString('slug', { description: 'Slug of the organization, unique within the installation.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

registerNode('Organization', (context, ids) =>
  rows<OrganizationRow>(
    context.app.db.prisma,
    sql`select * from organization where id = any(${ids}::uuid[]) and id = ${context.caller.organizationId}::uuid`,
  ),
)

builder.queryField('organization', (t) =>
  t.field({
    type: Organization,
    description: 'Organization of the caller.',
    resolve: (_root, _args, context) => context.call(currentOrganization, {}),
  }),
)
