import type { User as UserRow } from '../../../generated/prisma/client.ts'
import { builder, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'

export const User = builder.prismaObject('User', {
  description: 'A person with access to the organization.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.id(idField('User')),
    email: t.exposeString('email', { description: 'Email address of the user, in lower case.' }),
    name: t.exposeString('name', { description: 'Name of the user.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

registerNode('User', async (context, ids) =>
  context.caller.permissions.has('view:members')
    ? rows<UserRow>(
        context.app.db.prisma,
        sql`select u.* from user_account u join member m on m.user_id = u.id
            where u.id = any(${ids}::uuid[]) and m.organization_id = ${context.caller.organizationId}::uuid`,
      )
    : [],
)
