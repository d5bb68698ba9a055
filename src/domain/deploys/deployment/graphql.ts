import type {
  Deployment as DeploymentRow,
  DeploymentStep as DeploymentStepRow,
  Instance as InstanceRow,
  WebService as WebServiceRow,
} from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  type GraphqlContext,
  gives,
  idField,
  mutation,
  Node,
  nestedConnection,
  registerNode,
  rowById,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import '../../apps/environment/graphql.ts'
import { QueuePolicy, WebService } from '../../apps/web-service/graphql.ts'
import { Instance } from '../instance/graphql.ts'
import { LogBatchType } from '../log/graphql.ts'
import { cancelDeployment, deployWebService, rollbackDeployment } from './commands.ts'
import { readDeploymentLog } from './log.ts'
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

export const DeploymentStatus = enumType('DeploymentStatus', 'Where a deployment stands.', {
  QUEUED: 'Waits for its turn.',
  RUNNING: 'Is on its way; see the phase.',
  CANCELLING: 'Is being stopped.',
  LIVE: 'Serves; it was seen to answer.',
  SUPERSEDED: 'Served until a newer one did.',
  FAILED: 'Did not get online; what ran before goes on.',
  CANCELLED: 'Was stopped on request.',
  SKIPPED: 'Was displaced by a newer one while it waited.',
})

export const DeploymentPhase = enumType('DeploymentPhase', 'The steps of a deployment, in order.', {
  PREPARE: 'Pins the commit and the configuration.',
  BUILD: 'Makes a release.',
  RELEASE: 'Runs the release command.',
  START: 'Starts the instances.',
  VERIFY: 'Waits until they are well.',
  SWITCH: 'Moves the traffic.',
})

export const StepStatus = enumType('StepStatus', 'Where a step stands.', {
  PENDING: 'Not begun.',
  RUNNING: 'Under way.',
  SUCCEEDED: 'Done.',
  FAILED: 'Failed, and the deployment with it.',
  CANCELLED: 'Was under way when the deployment was cancelled.',
  SKIPPED: 'Not needed, or not reached.',
})

export const DeploymentKind = enumType('DeploymentKind', 'What a deployment does.', {
  DEPLOY: 'Builds a commit.',
  REDEPLOY: 'Builds the same commit again.',
  ROLLBACK: 'Goes back to a kept release.',
})

export const DeploymentTrigger = enumType('DeploymentTrigger', 'What caused a deployment.', {
  API: 'A request.',
  GIT_PUSH: 'A push to the repository. Not served yet.',
  CONFIG_CHANGE: 'A change of configuration.',
})

export const RollbackConfig = enumType('RollbackConfig', 'Which configuration a rollback uses.', {
  SNAPSHOT: 'That of the release.',
  CURRENT: 'The present one.',
})

export const DeploymentFailureCode = enumType('DeploymentFailureCode', 'Why a deployment failed.', {
  REPOSITORY_MISSING: 'The remote has no such repository.',
  SOURCE_UNREACHABLE: 'The remote could not be reached, or did not let us in.',
  SOURCE_REJECTED: 'The source is not allowed: its address, a link out of its tree, its size.',
  COMMIT_NOT_FOUND: 'The repository has no such branch, tag or commit.',
  CONFIG_UNRESOLVED: 'A variable has no value.',
  BUILD_NOT_DETECTED: 'Nothing tells how to build or start it.',
  BUILD_FAILED: 'The build ended with an error.',
  BUILD_TIMEOUT: 'The build took too long.',
  RELEASE_COMMAND_FAILED: 'The release command ended with an error.',
  START_FAILED: 'An instance could not be started, or ended before it was well.',
  HEALTH_TIMEOUT: 'The instances did not become healthy in time.',
  SWITCH_FAILED: 'The router did not answer with the new release.',
  PHASE_TIMEOUT: 'Another phase took too long.',
  ARTIFACT_MISSING: 'The kept release is gone.',
  SERVICE_DELETED: 'The service was deleted.',
  NO_CAPACITY: 'There is no room for it: disk, ports, a quota.',
  WORKER_LOST: 'The worker was lost in a step that is not begun twice.',
  INTERNAL: 'A fault of ours.',
})

export const RollbackBlockerCode = enumType('RollbackBlockerCode', 'Why there is no going back.', {
  NEVER_LIVE: 'The deployment never went live.',
  ALREADY_LIVE: 'The deployment is live.',
  ARTIFACT_EXPIRED: 'Its release is no longer kept.',
  SERVICE_DELETED: 'The service was deleted.',
  CONFIG_UNRESOLVED: 'Its configuration cannot be resolved.',
})

export const PlanChangeKind = enumType('PlanChangeKind', 'What a plan changes.', {
  COMMIT: 'The commit.',
  SETTING: 'A setting of the service.',
  VARIABLE_ADDED: 'A variable that was not there.',
  VARIABLE_REMOVED: 'A variable that goes.',
  VARIABLE_CHANGED: 'A variable with another value.',
})

const DeploymentStep = builder.objectRef<DeploymentStepRow>('DeploymentStep').implement({
  description: 'One phase of a deployment.',
  fields: (t) => ({
    phase: t.expose('phase', { type: DeploymentPhase, description: 'Which one.' }),
    status: t.expose('status', { type: StepStatus, description: 'Where it stands.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    exitCode: t.exposeInt('exitCode', { nullable: true, description: 'Of the command that it ran.' }),
    reasonCode: t.expose('reasonCode', { type: DeploymentFailureCode, nullable: true, description: 'Why it failed.' }),
  }),
})

type FailureShape = Pick<DeploymentRow, 'failurePhase' | 'failureCode' | 'failureMessage' | 'failureHint'>

const DeploymentFailure = builder.objectRef<FailureShape>('DeploymentFailure').implement({
  description: 'Why a deployment failed.',
  fields: (t) => ({
    phase: t.field({ type: DeploymentPhase, description: 'Where.', resolve: (failure) => failure.failurePhase! }),
    code: t.field({ type: DeploymentFailureCode, description: 'Why, for programs.', resolve: (failure) => failure.failureCode! }),
    message: t.string({ description: 'Why, for people.', resolve: (failure) => failure.failureMessage ?? '' }),
    hint: t.exposeString('failureHint', { nullable: true, description: 'What may help.' }),
  }),
})

export const Deployment = builder.prismaObject('Deployment', {
  description: 'One try to bring a commit, or a kept release, online.',
  interfaces: [Node],
  authScopes: { permission: 'view:deployments' },
  fields: (t) => ({
    id: t.id(idField('Deployment')),
    number: t.exposeInt('number', { description: "Counts the service's deployments from 1." }),
    kind: t.expose('kind', { type: DeploymentKind, description: 'What it does.' }),
    status: t.expose('status', { type: DeploymentStatus, description: 'Where it stands.' }),
    phase: t.expose('phase', {
      type: DeploymentPhase,
      nullable: true,
      description: 'Where it is, or where it ended; null before it began.',
    }),
    isLive: t.boolean({ description: 'Whether it serves.', resolve: (deployment) => deployment.status === 'LIVE' }),
    webService: t.field({
      type: WebService,
      description: 'Its service.',
      resolve: (deployment, _args, context) => rowById<WebServiceRow>(context, 'web_service', deployment.webServiceId),
    }),
    branch: t.exposeString('branch', { nullable: true, description: 'The branch.' }),
    commitHash: t.exposeString('commitHash', { nullable: true, description: 'The pinned commit; null before PREPARE.' }),
    commitMessage: t.exposeString('commitMessage', { nullable: true, description: "The commit's message." }),
    trigger: t.expose('trigger', { type: DeploymentTrigger, description: 'What caused it.' }),
    steps: t.field({
      type: [DeploymentStep],
      description: 'Its phases, in order.',
      resolve: (deployment, _args, context) =>
        context.load('Deployment.steps', deployment.id, (ids: readonly string[]) => stepsByDeployment(context.app.db.prisma, ids)),
    }),
    failure: t.field({
      type: DeploymentFailure,
      nullable: true,
      description: 'Why it failed.',
      resolve: (deployment) => (deployment.failureCode ? deployment : null),
    }),
    logs: t.field({
      type: LogBatchType,
      description: 'What it said and its build printed, oldest first.',
      args: {
        after: t.arg.string({ description: 'A cursor of this log: what follows it.' }),
        tail: t.arg.int({ description: 'The last so many lines, at most 10000.' }),
      },
      resolve: (deployment, args, context) => readDeploymentLog(context, deployment, args),
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When its first phase began.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it went live or ended without.' }),
    liveAt: t.expose('liveAt', { type: 'DateTime', nullable: true, description: 'When it went live.' }),
    version: t.exposeInt('version', { description: 'Raised by each change.' }),
    createdAt: t.field(timestamps.createdAt),
    updatedAt: t.field(timestamps.updatedAt),
  }),
})

builder.prismaObjectField('Deployment', 'restores', (t) =>
  t.field({
    type: Deployment,
    nullable: true,
    description: 'Of a rollback: the deployment that it goes back to.',
    resolve: (deployment, _args, context) =>
      deployment.restoresId ? rowById<DeploymentRow>(context, 'deployment', deployment.restoresId) : null,
  }),
)

builder.objectField(Instance, 'deployment', (t) =>
  t.field({
    type: Deployment,
    description: 'The deployment that it belongs to.',
    resolve: (instance: InstanceRow, _args, context) => rowById<DeploymentRow>(context, 'deployment', instance.deploymentId),
  }),
)

export const DeploymentConnection = connectionType<DeploymentRow>(Deployment as never, 'Deployment', 'Deployment')

registerNode('Deployment', (context, ids) => {
  const { select, where } = deploymentListing(context.caller)
  return rows<DeploymentRow>(context.app.db.prisma, sql`select ${select} where t.id = any(${ids}::uuid[]) and ${where}`)
})

const current = (context: GraphqlContext, which: 'live' | 'active', serviceId: string) =>
  context.load(`WebService.${which}Deployment`, serviceId, (ids: readonly string[]) => currentByService(context.app.db.prisma, which, ids))

builder.prismaObjectFields('WebService', (t) => ({
  liveDeployment: t.field({
    type: Deployment,
    nullable: true,
    description: 'The one that serves.',
    resolve: (service, _args, context) => current(context, 'live', service.id),
  }),
  activeDeployment: t.field({
    type: Deployment,
    nullable: true,
    description: 'The one that is on its way, or else the one that is next.',
    resolve: (service, _args, context) => current(context, 'active', service.id),
  }),
  deployments: t.field({
    type: DeploymentConnection,
    description: 'Its deployments, newest first.',
    args: connectionArgs,
    resolve: (service, args, context) =>
      nestedConnection<DeploymentRow>(context, service.id, args, {
        name: 'WebService.deployments',
        permission: 'view:deployments',
        listing: ({ caller }) => deploymentListing(caller),
        parent: sql`t.web_service_id`,
      }),
  }),
}))

export const EnvironmentStatus = enumType('EnvironmentStatus', 'The status of an environment: the first of these that holds.', {
  DELETING: 'It is being removed.',
  DEPLOYING: 'A deployment runs.',
  FAILED: 'A service that should run is crashed, or its newest deployment failed and nothing of it is live.',
  DEGRADED: 'A service that should run does not.',
  RUNNING: 'At least one service should run, and all do.',
  PENDING: 'Nothing was ever live.',
  STOPPED: 'Nothing should run.',
})

builder.prismaObjectField('Environment', 'status', (t) =>
  t.field({
    type: EnvironmentStatus,
    description: 'The state of its services, taken together.',
    resolve: (environment, _args, context) =>
      context.load('Environment.status', environment.id, (ids: readonly string[]) => statusByEnvironment(context.app.db.prisma, ids)),
  }),
)

builder.queryFields((t) => ({
  deployments: t.field({
    type: DeploymentConnection,
    description: 'Deployments, newest first.',
    args: {
      webServiceId: t.arg.id({ description: 'Only of this service.' }),
      status: t.arg({ type: [DeploymentStatus], description: 'Only with one of these statuses.' }),
      ...connectionArgs,
    },
    resolve: (_root, { webServiceId, status, ...page }, context) =>
      connection(
        () => context.call(listDeployments, { webServiceId, status, ...page }),
        () => context.call(countDeployments, { webServiceId, status }),
      ),
  }),
  deployment: t.field({
    type: Deployment,
    nullable: true,
    description: 'One deployment.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, args, context) => context.call(findDeployment, args),
  }),
}))

export const PlanChangeType = builder.objectRef<PlanChange>('PlanChange').implement({
  description: 'One difference that a plan would make.',
  fields: (t) => ({
    kind: t.expose('kind', { type: PlanChangeKind, description: 'What changes.' }),
    key: t.exposeString('key', { description: 'The setting or variable; `commit` for the commit.' }),
    from: t.exposeString('from', { nullable: true, description: 'What is live; a secret by its fingerprint.' }),
    to: t.exposeString('to', { nullable: true, description: 'What would be.' }),
  }),
})

const RollbackBlocker = builder.objectRef<RollbackPlanRow['blockers'][number]>('RollbackBlocker').implement({
  description: 'A reason why there is no going back.',
  fields: (t) => ({
    code: t.expose('code', { type: RollbackBlockerCode, description: 'For programs.' }),
    message: t.exposeString('message', { description: 'For people.' }),
  }),
})

const RollbackPlan = builder.objectRef<RollbackPlanRow>('RollbackPlan').implement({
  description: 'Whether a deployment can be gone back to, and what that would change.',
  fields: (t) => ({
    target: t.field({ type: Deployment, description: 'The one to go back to.', resolve: (plan) => plan.target }),
    current: t.field({ type: Deployment, nullable: true, description: 'The live one.', resolve: (plan) => plan.current }),
    eligible: t.exposeBoolean('eligible', { description: 'Whether rollbackDeployment would be accepted now.' }),
    blockers: t.field({ type: [RollbackBlocker], description: 'Why not.', resolve: (plan) => plan.blockers }),
    config: t.expose('config', { type: RollbackConfig, description: 'Which configuration it would use.' }),
    changes: t.field({ type: [PlanChangeType], description: 'What would be different.', resolve: (plan) => plan.changes }),
    warnings: t.exposeStringList('warnings', { description: 'What to know before.' }),
  }),
})

builder.queryField('rollbackPlan', (t) =>
  t.field({
    type: RollbackPlan,
    description: 'Whether a deployment can be gone back to, and what that would change.',
    args: {
      deploymentId: t.arg.id({ required: true, description: 'The one to go back to.' }),
      config: t.arg({ type: RollbackConfig, description: 'Which configuration to use; SNAPSHOT when absent.' }),
    },
    resolve: (_root, args, context) => context.call(planRollback, args),
  }),
)

mutation(deployWebService, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'The service.' }),
    branch: t.string({ description: "Instead of the service's own." }),
    commit: t.string({ description: 'A commit hash (may be shortened) or a tag, instead of the newest commit.' }),
    clearCache: t.boolean({ defaultValue: false, description: 'Builds without what former builds left.' }),
    queuePolicy: t.field({ type: QueuePolicy, description: "Instead of the service's own." }),
  }),
  payload: gives('deployment', Deployment, 'The new deployment.'),
})

mutation(cancelDeployment, {
  input: (t) => ({ id: t.id({ required: true, description: 'The deployment.' }) }),
  payload: gives('deployment', Deployment, 'The deployment.'),
})

mutation(rollbackDeployment, {
  input: (t) => ({
    deploymentId: t.id({ required: true, description: 'The one to go back to.' }),
    config: t.field({ type: RollbackConfig, defaultValue: 'SNAPSHOT', description: 'Which configuration to use.' }),
  }),
  payload: gives('deployment', Deployment, 'The new deployment.'),
})
