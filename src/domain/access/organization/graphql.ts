import type { Organization as OrganizationRow } from '../../../generated/prisma/client.ts'
import { builder, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { currentOrganization } from './queries.ts'

export const Organization = builder.prismaObject('Organization', {
  description: 'The tenant: owns everything else.',
  interfaces: [Node],
  authScopes: { permission: 'view:organization' },
  fields: (t) => ({
    id: t.id(idField('Organization')),
    name: t.exposeString('name', { description: 'Its name.' }),
    slug: t.exposeString('slug', { description: 'Its short name, unique in the installation.' }),
    version: t.exposeInt('version', { description: 'Raised by each change.' }),
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
    description: "The caller's organization.",
    resolve: (_root, _args, context) => context.call(currentOrganization, {}),
  }),
)
