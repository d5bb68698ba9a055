import { builder, columnsOf, findRelated, idField, mutation, Node, timestamps } from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { User } from '../user/graphql.ts'
import { userListing } from '../user/index.ts'
import { changePassword, revokeSession } from './commands.ts'
import { listSessions } from './queries.ts'

const Session = builder.prismaObject('Session', {
  description: 'A device on which the user is signed in.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('Session')),
    ipAddress: t.exposeString('ipAddress', { nullable: true, description: 'Client address when the session was last renewed.' }),
    userAgent: t.exposeString('userAgent', { nullable: true, description: 'User agent when the session was last renewed.' }),
    current: t.boolean({
      description: 'Whether the request was made with this session.',
      select: { id: true },
      resolve: ({ id }, _args, { caller }) => id === caller.sessionId,
    }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', description: 'Time when the session was last renewed.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Time when the session expires unless it is renewed.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.queryField('sessions', (t) =>
  t.field({
    type: [Session],
    description: listSessions.description,
    resolve: (_root, _args, context, info) => context.call(listSessions, {}, columnsOf(info, 'Session')) as never,
  }),
)

mutation(revokeSession, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the session to end.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the ended session.', resolve: ({ deletedId }) => encodeId('Session', deletedId) }),
  }),
})

mutation(changePassword, {
  input: (t) => ({
    currentPassword: t.string({ required: true, description: 'Current password.' }),
    newPassword: t.string({ required: true, description: 'New password, 8 to 256 characters.' }),
  }),
  payload: (t) => ({
    user: t.field({
      type: User,
      description: 'The user whose password was changed.',
      resolve: ({ userId }, _args, context, info) => findRelated(context, info, userListing, userId),
    }),
  }),
})
