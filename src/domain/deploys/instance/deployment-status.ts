/**
 * Statuses of a deployment in the groups that queries and rules ask for, each declared once for SQL and TypeScript. They are declared
 * here, below `deployment`, because instances depend on the status of the deployment that they belong to.
 */
import type { DeploymentStatus } from '../../../generated/prisma/client.ts'
import { raw, type Sql } from '../../../platform/db/index.ts'

export type StatusGroup = {
  has(status: DeploymentStatus): boolean
  /** For `status in ${group.list}`. Literals, not parameters, so that partial indexes on the status apply. */
  readonly list: Sql
}

const group = (...statuses: DeploymentStatus[]): StatusGroup => ({
  has: (status) => statuses.includes(status),
  list: raw(`(${statuses.map((status) => `'${status}'`).join(', ')})`),
})

/** In the hands of a worker. */
export const activeStatuses = group('RUNNING', 'CANCELLING')
/** Queued or active. */
export const unfinishedStatuses = group('QUEUED', 'RUNNING', 'CANCELLING')
/** On its way to going live. */
export const advancingStatuses = group('QUEUED', 'RUNNING')
/** Using its release, or about to. */
export const usingReleaseStatuses = group('LIVE', 'QUEUED', 'RUNNING', 'CANCELLING')
/** Running the service's code, or about to: the kind of the service is fixed. */
export const deployedStatuses = group('RUNNING', 'CANCELLING', 'LIVE')
