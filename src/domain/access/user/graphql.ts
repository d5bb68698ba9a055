import { builder, findRelated, idField, mutation, Node, payloadOf, timestamps } from '../../../graphql/builder/index.ts'
import { Member } from '../member/graphql.ts'
import { updateViewer } from './commands.ts'
import { userListing } from './queries.ts'

export const User = builder.prismaObject('User', {
  description: 'A person with access to the organization.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('User')),
    email: t.exposeString('email', { description: 'Email address of the user, in lower case.' }),
    name: t.exposeString('name', { description: 'Name of the user.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

mutation(updateViewer, {
  versioned: true,
  input: (t) => ({ name: t.string({ description: 'New name of the user.' }) }),
  payload: payloadOf('user', User, 'The updated user.'),
})

builder.prismaObjectField(Member, 'user', (t) =>
  t.field({
    type: User,
    description: 'User who is the member.',
    select: { userId: true },
    resolve: ({ userId }, _args, context, info) => findRelated(context, info, userListing, userId),
  }),
)
