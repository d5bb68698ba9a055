/** The contract's words for the domain's words. Every record lists all of the domain's words, so that a missing one is a type error. */
import type { PlanServiceType } from '../../domain/apps/plan/index.ts'
import { type SettingColumns, serviceSettings } from '../../domain/apps/web-service/index.ts'
import type { ShadowReason, SourceKind } from '../../domain/configuration/resolution/index.ts'
import type { ServiceOverview } from '../../domain/deploys/deployment/index.ts'
import type { DatabaseRow } from '../../domain/resources/database/index.ts'
import type { EmailMessageRow, EmailServiceRow, SendingDomainRow } from '../../domain/resources/email/index.ts'
import type { KeyScope } from '../../platform/access.ts'
import { settingFields } from '../core/index.ts'

export const serviceStatuses = [
  'running',
  'stopped',
  'deploying',
  'starting',
  'stopping',
  'restarting',
  'failed',
  'pending_deletion',
] as const
export type ServiceStatus = (typeof serviceStatuses)[number]

export const deploymentStatuses = ['pending', 'cloning', 'building', 'deploying', 'rolling_back', 'running', 'failed', 'cancelled'] as const
export type DeploymentStatus = (typeof deploymentStatuses)[number]

type RuntimeStatus = ServiceOverview['runtimeStatus']
type OurDeploymentStatus = NonNullable<ServiceOverview['newestStatus']>
type Phase = 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
type Kind = 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
type DesiredState = 'RUNNING' | 'STOPPED' | 'DELETED'

export const environmentTypes = { PRODUCTION: 'production', STAGING: 'staging', DEVELOPMENT: 'development' } as const satisfies Record<
  ServiceOverview['environmentType'],
  string
>

/** The scope of a secret is a type of environment. */
export const scopes = environmentTypes

export const writeModes = { MERGE: 'merge', REPLACE: 'replace' } as const satisfies Record<'MERGE' | 'REPLACE', string>

export const variableSources = {
  ENV_VAR: 'env_var',
  SECRET_BINDING: 'secret',
  RESOURCE_CONNECTION: 'connection',
  PLATFORM_DEFAULT: 'platform',
} as const satisfies Record<SourceKind, string>

export const shadowReasons = {
  reserved: 'reserved',
  env_var_wins: 'env_var_wins',
  secret_binding_wins: 'secret_wins',
  connection_wins: 'connection_wins',
} as const satisfies Record<ShadowReason, string>

/** Kinds of managed databases, by the type of their ids. */
export const databaseKinds = { Database: 'postgresql', Redis: 'valkey' } as const
export type DatabaseKind = keyof typeof databaseKinds

/** The kinds that a web service can be connected to. `database` and `redis` are the words of existing command line clients. */
const targetTypes: Readonly<Record<string, DatabaseKind>> = {
  postgresql: 'Database',
  valkey: 'Redis',
  database: 'Database',
  redis: 'Redis',
}
export const targetWords = Object.keys(targetTypes) as [string, ...string[]]

/** A text that is none of the words becomes an empty text, which the domain rejects. */
export const targetTypeOf = (word: unknown): unknown =>
  typeof word === 'string' ? (Object.hasOwn(targetTypes, word) ? targetTypes[word] : '') : word

export const databaseStatuses = {
  CREATING: 'creating',
  RUNNING: 'running',
  STARTING: 'starting',
  STOPPING: 'stopping',
  STOPPED: 'stopped',
  FAILED: 'failed',
  DELETING: 'pending_deletion',
} as const satisfies Record<DatabaseRow['status'], string>

export const planServiceTypes = {
  WEB_SERVICE: 'web_service',
  POSTGRESQL: 'postgresql',
  REDIS: 'redis',
} as const satisfies Record<PlanServiceType, string>

export const keyScopes = { READ: 'read', WRITE: 'write', ADMIN: 'admin' } as const satisfies Record<KeyScope, string>

export const emailModes = { SANDBOX: 'sandbox', PRODUCTION: 'production' } as const satisfies Record<EmailServiceRow['mode'], string>

export const dnsStatuses = { PENDING: 'pending', VERIFIED: 'verified', FAILED: 'failed' } as const satisfies Record<
  SendingDomainRow['status'],
  string
>

export const emailStatuses = {
  QUEUED: 'queued',
  SENT: 'sent',
  DELIVERED: 'delivered',
  BOUNCED: 'bounced',
  COMPLAINED: 'complained',
  FAILED: 'failed',
} as const satisfies Record<EmailMessageRow['status'], string>

export const projectTypes = { WEB: 'web_service', STATIC_SITE: 'static_site', WORKER: 'worker', ODOO: 'odoo' } as const satisfies Record<
  Kind,
  string
>

export const sourceTypes = { GIT: 'git', IMAGE: 'image' } as const satisfies Record<SettingColumns['sourceType'], string>

export const triggerTypes = { API: 'api', GIT_PUSH: 'git_push', CONFIG_CHANGE: 'config_change' } as const

/** Null: the contract has no field for the setting. */
export const serviceSettingFields = settingFields(serviceSettings, {
  // Enums need words: see `sourceTypes`.
  sourceType: null,
  repositoryUrl: { name: 'git_repository_url', description: 'URL of the git repository, without credentials. Null if none is set.' },
  branch: { name: 'github_branch', description: 'Branch to deploy when a deployment names none.' },
  autoDeploy: {
    name: 'auto_deploy',
    description:
      'Whether pushes to the branch are to be deployed. Stored, but without effect yet: deployments are created by requests only.',
  },
  imageRef: {
    name: 'image_ref',
    description: 'Container image of a service whose source is an image. Such a service cannot be deployed yet.',
  },
  dockerfilePath: {
    name: 'dockerfile_path',
    description: 'Path of the Dockerfile within the repository. Stored, and ignored by builds without containers.',
  },
  buildCommand: 'build_command',
  releaseCommand: 'pre_deploy_command',
  startCommand: 'start_command',
  healthCheckPath: 'health_check_path',
  rootDirectory: 'root_directory',
  publishDirectory: 'publish_directory',
  port: 'port',
  minInstances: 'min_instances',
  maxInstances: 'max_instances',
  singlePage: null,
  queuePolicy: null,
  buildTimeoutMs: null,
  healthTimeoutMs: null,
  shutdownGraceMs: null,
})

const whenRunning: Record<RuntimeStatus, ServiceStatus> = {
  STARTING: 'starting',
  RUNNING: 'running',
  DEGRADED: 'running',
  CRASHED: 'failed',
  STOPPING: 'starting',
  STOPPED: 'starting',
}

const whenStopped: Record<RuntimeStatus, ServiceStatus> = {
  STARTING: 'stopping',
  RUNNING: 'stopping',
  DEGRADED: 'stopping',
  CRASHED: 'stopping',
  STOPPING: 'stopping',
  STOPPED: 'stopped',
}

/** While the observed state differs from the desired one, the status is a transition, such as `stopping`. A service without a live release has the status of its newest deployment if that failed. */
export function serviceStatusOf(desiredState: DesiredState, seen: ServiceOverview): ServiceStatus {
  if (desiredState === 'DELETED') return 'pending_deletion'
  if (seen.isDeploying) return 'deploying'
  if (!seen.isLive && seen.newestStatus === 'FAILED') return 'failed'
  if (desiredState === 'STOPPED' || !seen.isLive) return whenStopped[seen.runtimeStatus]
  return seen.isRestarting ? 'restarting' : whenRunning[seen.runtimeStatus]
}

const phaseWords: Record<Phase, DeploymentStatus> = {
  PREPARE: 'cloning',
  BUILD: 'building',
  RELEASE: 'deploying',
  START: 'deploying',
  VERIFY: 'deploying',
  SWITCH: 'deploying',
}

type DeploymentState = { status: OurDeploymentStatus; phase: Phase | null; kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK' }

const whileActive = ({ phase, kind }: DeploymentState): DeploymentStatus => {
  if (kind === 'ROLLBACK') return 'rolling_back'
  return phase === null ? 'pending' : phaseWords[phase]
}

const deploymentWords: Record<OurDeploymentStatus, (deployment: DeploymentState) => DeploymentStatus> = {
  QUEUED: () => 'pending',
  RUNNING: whileActive,
  CANCELLING: whileActive,
  LIVE: () => 'running',
  SUPERSEDED: () => 'running',
  FAILED: () => 'failed',
  CANCELLED: () => 'cancelled',
  SKIPPED: () => 'cancelled',
}

export const deploymentStatusOf = (deployment: DeploymentState): DeploymentStatus => deploymentWords[deployment.status](deployment)
