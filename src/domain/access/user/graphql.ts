import type { User as UserRow } from '../../../generated/prisma/client.ts'
import { builder, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'

export const User = builder.prismaObject('User', {
  description: 'A person.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.id(idField('User')),
    email: t.exposeString('email', { description: 'Their address, in lower case.' }),
    name: t.exposeString('name', { description: 'Their name.' }),
    version: t.exposeInt('version', { description: 'Raised by each change.' }),
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
