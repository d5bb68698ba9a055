/** The contract's words for the domain's words. Every record lists all of the domain's words, so that a missing one is a type error. */
import type { EnvironmentStatus } from '../../domain/deploys/deployment/index.ts'

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
