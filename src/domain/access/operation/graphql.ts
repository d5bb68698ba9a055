import type { Operation as OperationRow } from '../../../generated/prisma/client.ts'
import { builder, enumType, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { findOperation } from './queries.ts'

const OperationStatus = enumType('OperationStatus', 'How far an operation has come.', {
  PENDING: 'Something else must happen first.',
  QUEUED: 'Waits for a worker.',
  RUNNING: 'Steps are being made.',
  COMPLETED: 'All of it is done.',
  FAILED: 'It ended before it was done; `error` says why.',
  CANCELLED: 'It was called off.',
})

export const Operation = builder.prismaObject('Operation', {
  description: 'Long work that a mutation started; ask again until it has ended. It survives restarts.',
  interfaces: [Node],
  authScopes: { permission: 'view:organization' },
  fields: (t) => ({
    id: t.id(idField('Operation')),
    type: t.exposeString('type', { description: 'The mutation that started it.' }),
    status: t.expose('status', { type: OperationStatus, description: 'How far it has come.' }),
    stepsCompleted: t.exposeInt('stepsCompleted', { description: 'How many steps are done.' }),
    totalSteps: t.exposeInt('totalSteps', { nullable: true, description: 'How many there are; null: not known.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When its first step was begun.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

registerNode('Operation', async (context, ids) =>
  context.caller.permissions.has('view:organization')
    ? rows<OperationRow>(
        context.app.db.prisma,
        sql`select t.* from operation t where t.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`t`)}`,
      )
    : [],
)

builder.queryField('operation', (t) =>
  t.field({
    type: Operation,
    nullable: true,
    description: 'One operation.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, args, context) => context.call(findOperation, args),
  }),
)
