/** Live views of deployments and services. Rights are checked when a subscription begins; sockets end when a credential does. */
import type { GraphQLResolveInfo } from 'graphql'
import type { Deployment as DeploymentRow } from '../../../generated/prisma/client.ts'
import { builder, columnsOf, followRow, type GraphqlContext, readerOf } from '../../../graphql/builder/index.ts'
import { sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { findServiceLog, unfinishedStatuses } from '../instance/index.ts'
import { LogBatchType } from '../log/graphql.ts'
import { followLog, type LogBatch } from '../log/index.ts'
import { Deployment } from './graphql.ts'
import { findDeploymentLog } from './log.ts'
import { deploymentListing, findDeployment } from './queries.ts'

async function* followDeployment(context: GraphqlContext, id: string, info: GraphQLResolveInfo): AsyncGenerator<DeploymentRow, void, void> {
  const found = await context.call(findDeployment, { id }, [])
  if (!found) throw errors.not_found({ field: 'deploymentId' })
  const reader = readerOf(context, ['status', 'version', ...columnsOf(info, 'Deployment')])
  yield* followRow(context, {
    topic: `deployment:${found.id}`,
    read: async () => (await deploymentListing.read(reader, sql`t.id = ${found.id}::uuid`))[0],
    stateOf: ({ version }) => version,
    isLast: ({ status }) => !unfinishedStatuses.has(status),
  })
}

builder.subscriptionFields((t) => ({
  deploymentUpdated: t.field({
    type: Deployment,
    description:
      'State of a deployment: the current state, then the state after every change. Completes when the deployment is live or has ended.',
    args: { deploymentId: t.arg.id({ required: true, description: 'ID of the deployment.' }) },
    subscribe: (_root, { deploymentId }, context, info) => followDeployment(context, deploymentId, info),
    resolve: (deployment: DeploymentRow) => deployment,
  }),
  deploymentLogs: t.field({
    type: LogBatchType,
    description: 'Log of a deployment, in batches, from the first line or after a cursor. Completes after the batch with `complete: true`.',
    args: {
      deploymentId: t.arg.id({ required: true, description: 'ID of the deployment.' }),
      after: t.arg.string({ description: 'Cursor of a previous batch. Return only the lines after it.' }),
    },
    subscribe: (_root, args, context) => followDeploymentLog(context, args),
    resolve: (batch: LogBatch) => batch,
  }),
  webServiceLogs: t.field({
    type: LogBatchType,
    description:
      "Log of a service's instances, in batches. By default, only new lines are sent. `after` takes precedence over `tail` and `since`; of these two, the later start applies.",
    args: {
      webServiceId: t.arg.id({ required: true, description: 'ID of the service.' }),
      after: t.arg.string({ description: 'Cursor of a previous batch. Return only the lines after it.' }),
      tail: t.arg.int({ description: 'Start with the last n lines, from 0 to 10000.' }),
      since: t.arg({ type: 'DateTime', description: 'Start with the lines received at or after this time.' }),
    },
    subscribe: (_root, args, context) => followServiceLog(context, args),
    resolve: (batch: LogBatch) => batch,
  }),
}))

async function* followDeploymentLog(context: GraphqlContext, args: Record<string, unknown>): AsyncGenerator<LogBatch, void, void> {
  const { logId, start } = await context.call(findDeploymentLog, args)
  yield* followLog(context.app, logId, { ...start, mode: 'stored' }, context.signal)
}

async function* followServiceLog(context: GraphqlContext, args: Record<string, unknown>): AsyncGenerator<LogBatch, void, void> {
  const { logId, start } = await context.call(findServiceLog, args)
  yield* followLog(context.app, logId, { ...start, mode: 'new' }, context.signal)
}
