/** The contract's words for the domain's words. Every record lists all of the domain's words, so that a missing one is a type error. */
import type { JobRow } from '../../domain/access/job/index.ts'
import type { ServiceHost } from '../../domain/apps/custom-domain/index.ts'
import type { ServerRow } from '../../domain/apps/server/index.ts'
import type { CertificateView } from '../../domain/deploys/certificate/index.ts'
import type { EnvironmentStatus, ServiceOverview } from '../../domain/deploys/deployment/index.ts'
import type { OdooInstanceStatus } from '../../domain/odoo/odoo-instance/index.ts'
import type { EndpointDelivery } from '../../domain/webhooks/attempt/index.ts'

export const environmentTypes = { PRODUCTION: 'production', STAGING: 'staging', DEVELOPMENT: 'development' } as const satisfies Record<
  'PRODUCTION' | 'STAGING' | 'DEVELOPMENT',
  string
>

export const environmentStatuses = {
  PENDING: 'pending',
  DEPLOYING: 'deploying',
  RUNNING: 'running',
  DEGRADED: 'running',
  STOPPED: 'stopped',
  FAILED: 'error',
  DELETING: 'deleting',
} as const satisfies Record<EnvironmentStatus, string>

export const dnsStatuses = { PENDING: 'pending', VERIFIED: 'verified', FAILED: 'failed' } as const satisfies Record<
  ServiceHost['dnsStatus'],
  string
>

export const sslStatuses = {
  NONE: 'none',
  PENDING: 'pending',
  ACTIVE: 'active',
  FAILED: 'failed',
  EXPIRED: 'expired',
} as const satisfies Record<CertificateView['status'] | 'NONE', string>

type OurDeploymentStatus = NonNullable<ServiceOverview['newestStatus']>
type Phase = 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'

export const deploymentStatuses = ['pending', 'building', 'deploying', 'completed', 'failed', 'rolled_back', 'cancelled'] as const
export type DeploymentStatus = (typeof deploymentStatuses)[number]

const phaseWords = {
  PREPARE: 'building',
  BUILD: 'building',
  RELEASE: 'deploying',
  START: 'deploying',
  VERIFY: 'deploying',
  SWITCH: 'deploying',
} as const satisfies Record<Phase, DeploymentStatus>

/** Null: the phase decides. */
const deploymentWords = {
  QUEUED: 'pending',
  RUNNING: null,
  CANCELLING: null,
  LIVE: 'completed',
  SUPERSEDED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  SKIPPED: 'cancelled',
} as const satisfies Record<OurDeploymentStatus, DeploymentStatus | null>

/** A deployment that is being cancelled shows its last phase until it has ended. */
export const deploymentWordOf = (
  { status, phase }: { status: OurDeploymentStatus; phase: Phase | null },
  isRolledBack: boolean,
): DeploymentStatus => (isRolledBack ? 'rolled_back' : (deploymentWords[status] ?? (phase ? phaseWords[phase] : 'pending')))

export const deliveryWords = {
  PENDING: 'pending',
  DELIVERED: 'delivered',
  EXHAUSTED: 'failed',
  ABORTED: 'failed',
  SKIPPED: 'skipped',
  CANCELLED: 'cancelled',
  UNKNOWN: 'unknown',
} as const satisfies Record<EndpointDelivery['status'], string>

export const serverStatuses = {
  PENDING: 'pending',
  VALIDATING: 'validating',
  ACTIVE: 'active',
  ERROR: 'error',
  REMOVING: 'removing',
} as const satisfies Record<ServerRow['status'], string>

/** The document has no words for them. */
export const authMethods = { PASSWORD: 'password', PRIVATE_KEY: 'private_key' } as const satisfies Record<
  NonNullable<ServerRow['authMethod']>,
  string
>

export const jobStatuses = { QUEUED: 'queued', RUNNING: 'running', FAILED: 'failed' } as const satisfies Record<JobRow['status'], string>

/** Of the audit log. */
export const exportFormats = { NDJSON: 'ndjson', CSV: 'csv' } as const

export const odooEditions = { COMMUNITY: 'community', ENTERPRISE: 'enterprise' } as const satisfies Record<
  'COMMUNITY' | 'ENTERPRISE',
  string
>

export const instanceStatuses = {
  PROVISIONING: 'provisioning',
  RUNNING: 'running',
  STOPPED: 'stopped',
  RESTARTING: 'restarting',
  ERROR: 'error',
  DELETING: 'deleting',
} as const satisfies Record<OdooInstanceStatus, string>
