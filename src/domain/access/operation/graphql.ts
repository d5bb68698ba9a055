import type { Operation as OperationRow } from '../../../generated/prisma/client.ts'
import { builder, enumType, idField, Node, registerNode, timestamps } from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { findOperation } from './queries.ts'

const OperationStatus = enumType('OperationStatus', 'Status of an operation.', {
  PENDING: 'Waiting for a prerequisite.',
  QUEUED: 'Waiting for a worker.',
  RUNNING: 'In progress.',
  COMPLETED: 'Completed successfully.',
  FAILED: 'Failed before completion. See `error` for the reason.',
  CANCELLED: 'Cancelled before completion.',
})

export const Operation = builder.prismaObject('Operation', {
  description: 'Long-running operation started by a mutation. Poll it until it completes. Operations survive restarts of Quayside.',
  interfaces: [Node],
  authScopes: { permission: 'view:organization' },
  fields: (t) => ({
    id: t.id(idField('Operation')),
    type: t.exposeString('type', { description: 'Name of the mutation that started the operation.' }),
    status: t.expose('status', { type: OperationStatus, description: 'Status of the operation.' }),
    stepsCompleted: t.exposeInt('stepsCompleted', { description: 'Number of completed steps.' }),
    totalSteps: t.exposeInt('totalSteps', { nullable: true, description: 'Total number of steps. Null means the number is not known.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the first step started. Null if the operation has not started.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the operation ended. Null while it is pending or in progress.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Reason for the failure. Null unless the operation failed.' }),
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
    description: 'Operation with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the operation.' }) },
    resolve: (_root, args, context) => context.call(findOperation, args),
  }),
)
