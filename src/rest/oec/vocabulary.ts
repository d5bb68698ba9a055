/** The contract's words for the domain's words. Every record lists all of the domain's words, so that a missing one is a type error. */
import type { EnvironmentOverview, EnvironmentStatus } from '../../domain/deploys/deployment/index.ts'
import type { EnvironmentTask, ModuleUpdateMode, TaskDeployment } from '../../domain/deploys/environment-action/index.ts'
import type { EndpointDelivery } from '../../domain/webhooks/attempt/index.ts'

type WebhookEndpointFormat = 'RAW' | 'SLACK' | 'TEAMS' | 'DISCORD' | 'EMAIL' | 'OEC' | 'OCORE'

export const environmentTypes = { PRODUCTION: 'production', STAGING: 'staging', DEVELOPMENT: 'development' } as const satisfies Record<
  'PRODUCTION' | 'STAGING' | 'DEVELOPMENT',
  string
>

/** From best to worst: the status of a project is the worst of its environments'. Quayside has no environment in `error` or `deleted`. */
export const environmentStatuses = ['running', 'pending', 'stopped', 'deploying', 'destroying', 'deleted', 'error', 'failed'] as const
export type EnvironmentWord = (typeof environmentStatuses)[number]

export const environmentWords = {
  PENDING: 'pending',
  DEPLOYING: 'deploying',
  RUNNING: 'running',
  DEGRADED: 'running',
  STOPPED: 'stopped',
  FAILED: 'failed',
  DELETING: 'destroying',
} as const satisfies Record<EnvironmentStatus, EnvironmentWord>

/** An environment of which nothing runs yet, because its services are starting, is not `running`. */
export const environmentWordOf = ({ status, isRunning }: Pick<EnvironmentOverview, 'status' | 'isRunning'>): EnvironmentWord =>
  status === 'DEGRADED' && !isRunning ? 'pending' : environmentWords[status]

/** `pending` for a project without environments. */
export const worstOf = (words: readonly EnvironmentWord[]): EnvironmentWord =>
  environmentStatuses.findLast((word) => words.includes(word)) ?? 'pending'

export const taskTypes = {
  DEPLOY: 'deploy',
  REDEPLOY: 'redeploy',
  ROLLBACK: 'rollback',
  START: 'start',
  STOP: 'stop',
  RESTART: 'restart',
  UPDATE_MODULES: 'update_modules',
} as const satisfies Record<EnvironmentTask['type'], string>

export const taskStatuses = {
  PENDING: 'pending',
  QUEUED: 'queued',
  RUNNING: 'running',
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
} as const satisfies Record<EnvironmentTask['status'], string>

/** Of the deployment of one service. */
export const deploymentStatuses = {
  QUEUED: 'queued',
  RUNNING: 'running',
  CANCELLING: 'cancelled',
  LIVE: 'completed',
  SUPERSEDED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  SKIPPED: 'cancelled',
} as const satisfies Record<TaskDeployment['status'], string>

export const updateModes = {
  PULL_RESTART: 'pull_restart',
  UPDATE_ALL: 'update_all',
  UPDATE_SPECIFIC: 'update_specific',
  REINITIALIZE_SPECIFIC: 'reinitialize_specific',
} as const satisfies Record<ModuleUpdateMode, string>

/** Event types by the names that they have in this contract. */
export const eventTypes = {
  'deploy.started': 'deployment.started',
  'deploy.completed': 'deployment.succeeded',
  'deploy.failed': 'deployment.failed',
  'deploy.cancelled': 'deployment.cancelled',
  'environment.created': 'environment.created',
  'environment.deleted': 'environment.deleted',
  'environment.status_changed': 'environment.status_changed',
} as const

export const eventWords = Object.keys(eventTypes) as (keyof typeof eventTypes)[]

const wordByType = new Map<string, string>(Object.entries(eventTypes).map(([word, type]) => [type, word]))

/** An event type without a name in this contract, which an endpoint of GraphQL may have, keeps its own. */
export const eventWordOf = (type: string): string => wordByType.get(type) ?? type
export const eventTypeOf = (word: unknown): unknown =>
  typeof word === 'string' && Object.hasOwn(eventTypes, word) ? eventTypes[word as keyof typeof eventTypes] : word

/** Formats that a webhook can be given. `graphql` is that of GraphQL, with its event types, and `ocore` that of the oCore API. */
export const formats = { OEC: 'raw', SLACK: 'slack', TEAMS: 'teams', DISCORD: 'discord', RAW: 'graphql', OCORE: 'ocore' } as const

/** Endpoints of email services are listed too. */
export const formatWords = { ...formats, EMAIL: 'email' } as const satisfies Record<WebhookEndpointFormat, string>

export const deliveryWords = {
  PENDING: 'pending',
  DELIVERED: 'delivered',
  EXHAUSTED: 'failed',
  ABORTED: 'failed',
  SKIPPED: 'skipped',
  CANCELLED: 'cancelled',
  UNKNOWN: 'unknown',
} as const satisfies Record<EndpointDelivery['status'], string>

export const keyTypes = { READ: 'read_only', WRITE: 'full_access', ADMIN: 'full_access' } as const
