import type { GraphQLResolveInfo } from 'graphql'
import type { Operation as OperationRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  enumType,
  followRow,
  type GraphqlContext,
  idField,
  mutation,
  Node,
  payloadOf,
  readerOf,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { cancelOperation } from './commands.ts'
import { endedStatuses, operationTopic, progressPercent } from './model.ts'
import { findOperation, operationListing } from './queries.ts'

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
  select: { id: true },
  permission: 'view:organization',
  fields: (t) => ({
    id: t.id(idField('Operation')),
    type: t.exposeString('type', { description: 'Name of the mutation that started the operation.' }),
    status: t.expose('status', { type: OperationStatus, description: 'Status of the operation.' }),
    stepsCompleted: t.exposeInt('stepsCompleted', { description: 'Number of completed steps.' }),
    totalSteps: t.exposeInt('totalSteps', { nullable: true, description: 'Total number of steps. Null means the number is not known.' }),
    currentStep: t.exposeString('currentStep', {
      nullable: true,
      description: 'Description of the current step. Null if the operation has ended, or reports no steps by name.',
    }),
    progressPercent: t.int({
      nullable: true,
      description: 'Share of completed steps, from 0 to 100. Null means the number of steps is not known.',
      select: { status: true, stepsCompleted: true, totalSteps: true },
      resolve: progressPercent,
    }),
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
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.queryField('operation', (t) =>
  t.field({
    type: Operation,
    nullable: true,
    description: 'Operation with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the operation.' }) },
    resolve: (_root, args, context, info) => context.call(findOperation, args, columnsOf(info, 'Operation')),
  }),
)

async function* followOperation(context: GraphqlContext, id: string, info: GraphQLResolveInfo): AsyncGenerator<OperationRow, void, void> {
  const found = await context.call(findOperation, { id }, [])
  if (!found) throw errors.not_found({ field: 'id' })
  const reader = readerOf(context, ['status', 'stepsCompleted', 'totalSteps', 'currentStep', ...columnsOf(info, 'Operation')])
  yield* followRow(context, {
    topic: operationTopic(found.id),
    read: async () => (await operationListing.read(reader, sql`t.id = ${found.id}::uuid`))[0],
    stateOf: ({ status, stepsCompleted, totalSteps, currentStep }) => `${status} ${stepsCompleted} ${totalSteps} ${currentStep}`,
    isLast: ({ status }) => endedStatuses.has(status),
  })
}

builder.subscriptionField('operationUpdated', (t) =>
  t.field({
    type: Operation,
    description: 'State of an operation: the current state, then the state after every change. Completes when the operation has ended.',
    args: { id: t.arg.id({ required: true, description: 'ID of the operation.' }) },
    subscribe: (_root, { id }, context, info) => followOperation(context, id, info),
    resolve: (operation: OperationRow) => operation,
  }),
)

mutation(cancelOperation, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the operation.' }) }),
  payload: payloadOf('operation', Operation, 'The operation, which is cancelled or is being cancelled.'),
})
