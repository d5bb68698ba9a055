import type { GraphQLResolveInfo } from 'graphql'
import type { Deployment as DeploymentRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  type GraphqlContext,
  idField,
  loadRows,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { operationListing } from '../../access/operation/index.ts'
import { Environment } from '../../apps/environment/graphql.ts'
import { QueuePolicy, WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { Instance } from '../instance/graphql.ts'
import { LogBatchType, loadLog, logCost } from '../log/graphql.ts'
import { cancelDeployment, deployWebService, rollbackDeployment } from './commands.ts'
import type { PlanChange } from './model.ts'
import {
  countDeployments,
  currentByService,
  deploymentListing,
  findDeployment,
  listDeployments,
  planRollback,
  type RollbackPlan as RollbackPlanRow,
  statusByEnvironment,
  stepsByDeployment,
} from './queries.ts'

export const DeploymentStatus = enumType('DeploymentStatus', 'Status of a deployment.', {
  QUEUED: 'Waiting to start.',
  RUNNING: 'In progress. See `phase`.',
  CANCELLING: 'Being cancelled.',
  LIVE: 'Live: its release has answered through the router and serves the traffic.',
  SUPERSEDED: 'Was live, and has been replaced by a newer deployment.',
  FAILED: 'Failed. The previous release, if any, keeps running.',
  CANCELLED: 'Cancelled on request.',
  SKIPPED: 'Skipped while queued, because a newer deployment replaced it.',
})

export const DeploymentPhase = enumType(
  'DeploymentPhase',
  'Phase of a deployment. The phases run in this order: `PREPARE`, `BUILD`, `RELEASE`, `START`, `VERIFY`, `SWITCH`.',
  {
    PREPARE: 'Resolve the commit and the configuration.',
    BUILD: 'Build the release.',
    RELEASE: 'Run the release command, or update the modules of an Odoo instance.',
    START: 'Start the instances.',
    VERIFY: 'Wait until the instances are healthy.',
    SWITCH: 'Switch the traffic to the new release.',
  },
)

export const StepStatus = enumType('StepStatus', 'Status of a step.', {
  PENDING: 'Not started.',
  RUNNING: 'In progress.',
  SUCCEEDED: 'Completed successfully.',
  FAILED: 'Failed. The deployment failed too.',
  CANCELLED: 'In progress when the deployment was cancelled.',
  SKIPPED: 'Not required or not reached.',
})

export const DeploymentKind = enumType('DeploymentKind', 'Kind of a deployment.', {
  DEPLOY: 'Build and deploy a commit.',
  REDEPLOY: 'Build and deploy the commit of the live deployment again, with the current configuration.',
  ROLLBACK: 'Restore the release of an earlier deployment.',
})

export const DeploymentTrigger = enumType('DeploymentTrigger', 'Cause of a deployment.', {
  API: 'API request.',
  GIT_PUSH: 'Push to the repository. Not yet available.',
  CONFIG_CHANGE: 'Change of the configuration.',
})

export const RollbackConfig = enumType('RollbackConfig', 'Configuration used by a rollback.', {
  SNAPSHOT:
    'The variables, secret versions and settings of the earlier deployment. A secret version that has been revoked or deleted is replaced by the current one, with a warning.',
  CURRENT: 'The current variables, secrets and settings of the service.',
})

export const DeploymentFailureCode = enumType('DeploymentFailureCode', 'Reason that a deployment failed.', {
  REPOSITORY_MISSING: 'The repository does not exist.',
  SOURCE_UNREACHABLE: 'The repository could not be reached, or denied access.',
  SOURCE_REJECTED: 'The source is not allowed, because of its address, its size, or a link that points outside the repository.',
  COMMIT_NOT_FOUND: 'The branch, tag or commit does not exist in the repository.',
  CONFIG_UNRESOLVED: 'A required variable has no value, or the variables are too large.',
  BUILD_NOT_DETECTED: 'Quayside could not detect how to build or start the service.',
  BUILD_FAILED: 'The build failed.',
  BUILD_TIMEOUT: 'The build exceeded its timeout.',
  RELEASE_COMMAND_FAILED: 'The release command failed.',
  MODULE_UPDATE_FAILED: 'The modules of an Odoo instance could not be installed or updated, or its database could not be reached.',
  START_FAILED: 'An instance could not be started, or exited before it became healthy.',
  HEALTH_TIMEOUT: 'The instances did not become healthy in time.',
  SWITCH_FAILED: 'The router did not respond with the new release in time.',
  PHASE_TIMEOUT: 'The phase `PREPARE`, `RELEASE` or `START` exceeded its timeout.',
  ARTIFACT_MISSING: 'The release to restore no longer exists.',
  SERVICE_DELETED: 'The service was deleted.',
  NO_CAPACITY: 'Not enough capacity: disk space, ports or quota.',
  WORKER_LOST:
    'The worker was lost during a step that must not run twice, or three workers in a row were lost while they ran the deployment.',
  INTERNAL: 'Internal error of Quayside.',
})

export const RollbackBlockerCode = enumType('RollbackBlockerCode', 'Reason that a deployment cannot be rolled back to.', {
  NEVER_LIVE: 'The deployment has never been live.',
  ALREADY_LIVE: 'The deployment is currently live.',
  ARTIFACT_EXPIRED: 'The release of the deployment is no longer stored.',
  SERVICE_DELETED: 'The service was deleted.',
  CONFIG_UNRESOLVED: 'The configuration cannot be resolved.',
})

export const PlanChangeKind = enumType('PlanChangeKind', 'Kind of a planned change.', {
  COMMIT: 'The commit changes.',
  SETTING: 'A setting of the service changes.',
  VARIABLE_ADDED: 'A variable is added.',
  VARIABLE_REMOVED: 'A variable is removed.',
  VARIABLE_CHANGED: 'The value or a flag of a variable changes.',
})

const DeploymentStep = builder.prismaObject('DeploymentStep', {
  description: 'A phase of a deployment.',
  select: { phase: true },
  fields: (t) => ({
    phase: t.expose('phase', { type: DeploymentPhase, description: 'Phase that the step runs.' }),
    status: t.expose('status', { type: StepStatus, description: 'Status of the step.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the step started. Null if it has not started.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the step ended. Null if it has not ended.',
    }),
    exitCode: t.exposeInt('exitCode', {
      nullable: true,
      description: 'Exit code of the command or instance that the step ran. Null if there is none.',
    }),
    reasonCode: t.expose('reasonCode', {
      type: DeploymentFailureCode,
      nullable: true,
      description: 'Machine-readable reason for the failure. Null unless the step failed.',
    }),
  }),
})

type FailureShape = Pick<DeploymentRow, 'failurePhase' | 'failureCode' | 'failureMessage' | 'failureHint'>

const DeploymentFailure = builder.objectRef<FailureShape>('DeploymentFailure').implement({
  description: 'Reason that a deployment failed.',
  fields: (t) => ({
    phase: t.field({
      type: DeploymentPhase,
      description: 'Phase in which the deployment failed.',
      resolve: (failure) => failure.failurePhase!,
    }),
    code: t.field({ type: DeploymentFailureCode, description: 'Machine-readable reason.', resolve: (failure) => failure.failureCode! }),
    message: t.string({ description: 'Human-readable reason.', resolve: (failure) => failure.failureMessage ?? '' }),
    hint: t.exposeString('failureHint', { nullable: true, description: 'Suggestion for resolving the failure.' }),
  }),
})

export const Deployment = builder.prismaObject('Deployment', {
  description: 'A deployment of a commit, or of an earlier release, to a service.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:deployments',
  fields: (t) => ({
    id: t.id(idField('Deployment')),
    number: t.exposeInt('number', { description: 'Number of the deployment, starting at 1 for each service.' }),
    kind: t.expose('kind', { type: DeploymentKind, description: 'Kind of the deployment.' }),
    status: t.expose('status', { type: DeploymentStatus, description: 'Status of the deployment.' }),
    phase: t.expose('phase', {
      type: DeploymentPhase,
      nullable: true,
      description: 'Current phase, or the phase in which the deployment ended. Null if the deployment has not started.',
    }),
    isLive: t.boolean({
      description: 'Whether the deployment is live.',
      select: { status: true },
      resolve: (deployment) => deployment.status === 'LIVE',
    }),
    webService: t.field({
      type: WebService,
      description: 'Service that is deployed.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) => findRelated(context, info, webServiceListing, webServiceId),
    }),
    branch: t.exposeString('branch', { nullable: true, description: 'Deployed branch.' }),
    commitHash: t.exposeString('commitHash', {
      nullable: true,
      description: 'Hash of the deployed commit. Null until the phase `PREPARE` has resolved it.',
    }),
    commitMessage: t.exposeString('commitMessage', { nullable: true, description: 'Message of the deployed commit.' }),
    commitAuthor: t.exposeString('commitAuthor', {
      nullable: true,
      description: 'Name of the author of the deployed commit. Null for deployments from before it was recorded.',
    }),
    operation: t.field({
      type: Operation,
      nullable: true,
      description: 'Operation that the deployment is part of. Null if it was requested by itself.',
      select: { operationId: true },
      resolve: ({ operationId }, _args, context, info) => (operationId ? findRelated(context, info, operationListing, operationId) : null),
    }),
    trigger: t.expose('trigger', { type: DeploymentTrigger, description: 'Cause of the deployment.' }),
    steps: t.field({
      type: [DeploymentStep],
      extensions: { rows: 6 },
      description: 'Steps of the deployment, one for each phase, in order.',
      resolve: (deployment, _args, context, info) =>
        loadRows(context, 'Deployment.steps', deployment.id, columnsOf(info, 'DeploymentStep'), stepsByDeployment),
    }),
    failure: t.field({
      type: DeploymentFailure,
      nullable: true,
      description: 'Reason for the failure. Null unless the deployment failed.',
      select: { failurePhase: true, failureCode: true, failureMessage: true, failureHint: true },
      resolve: (deployment) => (deployment.failureCode ? deployment : null),
    }),
    logs: t.field({
      type: LogBatchType,
      description:
        'Log of the deployment, including the build output. By default, it starts at the first line. A batch contains at most 1000 lines, or `tail` lines if given, and at most about 1 MiB. Pass its cursor as `after` to continue.',
      args: {
        after: t.arg.string({ description: 'Cursor of a previous batch. Return only the lines after it.' }),
        tail: t.arg.int({ description: 'Number of newest lines to return, from 0 to 10000. Ignored if `after` is given.' }),
      },
      extensions: logCost,
      select: { organizationId: true, webServiceId: true },
      resolve: ({ id, organizationId, webServiceId }, args, context) =>
        loadLog(context, { organizationId, webServiceId, deploymentId: id }, args),
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the deployment started. Null if it has not started.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the deployment went live or ended without going live. Null while it is queued or in progress.',
    }),
    liveAt: t.expose('liveAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the deployment went live. Null if it has never been live.',
    }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.prismaObjectField(Deployment, 'restores', (t) =>
  t.field({
    type: Deployment,
    nullable: true,
    description: 'Deployment that a rollback restores. Null for other kinds.',
    select: { restoresId: true },
    resolve: ({ restoresId }, _args, context, info) => (restoresId ? findRelated(context, info, deploymentListing, restoresId) : null),
  }),
)

builder.prismaObjectField(Instance, 'deployment', (t) =>
  t.field({
    type: Deployment,
    description: 'Deployment that the instance belongs to.',
    select: { deploymentId: true },
    resolve: ({ deploymentId }, _args, context, info) => findRelated(context, info, deploymentListing, deploymentId),
  }),
)

const deployments = connectionOf(Deployment, deploymentListing)
rootConnection(deployments, {
  list: listDeployments,
  count: countDeployments,
  args: builder.args((t) => ({
    webServiceId: t.id({ description: 'Return only deployments of this service.' }),
    status: t.field({ type: [DeploymentStatus], description: 'Return only deployments with one of these statuses.' }),
  })),
})
nestedConnection(Operation, 'deployments', deployments, {
  by: 'operationId',
  description: 'Deployments that are part of the operation, newest first.',
})
nestedConnection(WebService, 'deployments', deployments, { by: 'webServiceId', description: 'Deployments of the service, newest first.' })

const current = (context: GraphqlContext, info: GraphQLResolveInfo, which: 'live' | 'active', serviceId: string) =>
  loadRows(context, `WebService.${which}Deployment`, serviceId, columnsOf(info, 'Deployment'), (reader, ids) =>
    currentByService(reader, which, ids),
  )

builder.prismaObjectFields(WebService, (t) => ({
  liveDeployment: t.field({
    type: Deployment,
    nullable: true,
    description: 'Deployment that is currently live. Null if none is.',
    resolve: (service, _args, context, info) => current(context, info, 'live', service.id),
  }),
  activeDeployment: t.field({
    type: Deployment,
    nullable: true,
    description: 'Deployment that is in progress or, if none is, the next one in the queue. Null if there is neither.',
    resolve: (service, _args, context, info) => current(context, info, 'active', service.id),
  }),
}))

export const EnvironmentStatus = enumType(
  'EnvironmentStatus',
  'Status of an environment, derived from its services. The first status that applies is used, in this order: `DELETING`, `DEPLOYING`, `FAILED`, `DEGRADED`, `RUNNING`, `STOPPED`, `PENDING`.',
  {
    DELETING: 'The environment is being deleted.',
    DEPLOYING: 'A deployment of one of its services is in progress.',
    FAILED: 'A service that should run has crashed, or the newest deployment of a service without a live deployment failed.',
    DEGRADED: 'A service that should run is not running.',
    RUNNING: 'At least one service should run, and all services that should run are running.',
    PENDING: 'No deployment has been live yet.',
    STOPPED: 'No service should run.',
  },
)

builder.prismaObjectField(Environment, 'status', (t) =>
  t.field({
    type: EnvironmentStatus,
    description: 'Status of the environment, derived from its services.',
    resolve: (environment, _args, context) =>
      context.load('Environment.status', environment.id, (ids: readonly string[]) => statusByEnvironment(context.app.db, ids)),
  }),
)

builder.queryField('deployment', (t) =>
  t.field({
    type: Deployment,
    nullable: true,
    description: 'Deployment with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the deployment.' }) },
    resolve: (_root, args, context, info) => context.call(findDeployment, args, columnsOf(info, 'Deployment')),
  }),
)

export const PlanChangeType = builder.objectRef<PlanChange>('PlanChange').implement({
  description: 'A change that a deployment would make.',
  fields: (t) => ({
    kind: t.expose('kind', { type: PlanChangeKind, description: 'Kind of the change.' }),
    key: t.exposeString('key', { description: 'Name of the setting or variable, or `commit`.' }),
    from: t.exposeString('from', {
      nullable: true,
      description: 'Value in the live deployment. Secret values are shown as fingerprints. Null if there is none.',
    }),
    to: t.exposeString('to', {
      nullable: true,
      description: 'Value after the deployment. Secret values are shown as fingerprints. Null if there is none.',
    }),
  }),
})

const RollbackBlocker = builder.objectRef<RollbackPlanRow['blockers'][number]>('RollbackBlocker').implement({
  description: 'A reason that a deployment cannot be rolled back to.',
  fields: (t) => ({
    code: t.expose('code', { type: RollbackBlockerCode, description: 'Machine-readable reason.' }),
    message: t.exposeString('message', { description: 'Human-readable reason.' }),
  }),
})

const RollbackPlan = builder.objectRef<RollbackPlanRow>('RollbackPlan').implement({
  description: 'Plan of a rollback: whether the deployment can be rolled back to, and the changes that the rollback would make.',
  fields: (t) => ({
    target: t.field({ type: Deployment, description: 'Deployment to roll back to.', resolve: (plan) => plan.target }),
    current: t.field({
      type: Deployment,
      nullable: true,
      description: 'Deployment that is currently live. Null if none is.',
      resolve: (plan) => plan.current,
    }),
    eligible: t.exposeBoolean('eligible', {
      description: 'Whether the deployment can be rolled back to.',
    }),
    blockers: t.field({
      type: [RollbackBlocker],
      description: 'Reasons that the deployment cannot be rolled back to. Empty if it is eligible.',
      resolve: (plan) => plan.blockers,
    }),
    config: t.expose('config', { type: RollbackConfig, description: 'Configuration that the rollback would use.' }),
    changes: t.field({
      type: [PlanChangeType],
      description: 'Changes to the commit, settings and variables.',
      resolve: (plan) => plan.changes,
    }),
    warnings: t.exposeStringList('warnings', { description: 'Warnings about the configuration, such as revoked secret versions.' }),
  }),
})

builder.queryField('rollbackPlan', (t) =>
  t.field({
    type: RollbackPlan,
    nullable: true,
    extensions: { cost: 100 },
    description:
      'Plan of a rollback to the given deployment. Null if the deployment does not exist. Requires the permission `view:secrets`.',
    args: {
      deploymentId: t.arg.id({ required: true, description: 'ID of the deployment to roll back to.' }),
      config: t.arg({ type: RollbackConfig, description: 'Configuration to use. Defaults to `SNAPSHOT`.' }),
    },
    resolve: (_root, args, context) => context.call(planRollback, args),
  }),
)

mutation(deployWebService, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'ID of the service.' }),
    branch: t.string({ description: 'Branch to deploy. Defaults to the branch of the service.' }),
    commit: t.string({
      description: 'Hash, possibly abbreviated, or tag of the commit to deploy. Defaults to the latest commit of the branch.',
    }),
    clearCache: t.boolean({ defaultValue: false, description: "Whether to delete the service's build cache before the build." }),
    queuePolicy: t.field({
      type: QueuePolicy,
      description: 'Behavior when another deployment of the service is in progress. Defaults to the policy of the service.',
    }),
  }),
  payload: payloadOf('deployment', Deployment, 'The queued deployment.'),
})

mutation(cancelDeployment, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the deployment.' }) }),
  payload: payloadOf('deployment', Deployment, 'The deployment that is being cancelled or has been cancelled.'),
})

mutation(rollbackDeployment, {
  input: (t) => ({
    deploymentId: t.id({ required: true, description: 'ID of the deployment to roll back to.' }),
    config: t.field({ type: RollbackConfig, defaultValue: 'SNAPSHOT', description: 'Configuration to use.' }),
  }),
  payload: payloadOf('deployment', Deployment, 'The queued deployment.'),
})
