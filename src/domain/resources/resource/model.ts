/** Managed resources that run as servers: their states, and the next action for one. All pure. */
import type { DesiredState, ResourceStatus } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import type { EventDefinition, Published } from '../../../platform/events.ts'
import type { IdType } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'

/** Conditions on the row `t` of a resource: while any of them holds, it is not started, because its data is being made by another concept. */
export const startHolds = defineExtensionPoint<Sql>('holds on starts')

/** Conditions on the row `t` of a resource: while any of them holds, its data is not removed, because other resources depend on it. */
export const removalHolds = defineExtensionPoint<Sql>('holds on removals')

/** The columns that the table of every supervised kind has. */
export type SupervisedRow = {
  id: string
  organizationId: string
  projectId: string
  environmentId: string
  desiredState: DesiredState
  status: ResourceStatus
  generation: number
  appliedGeneration: number
  revision: number
  appliedRevision: number
  failures: number
}

/**
 * `silent`: the server runs, but has not answered for a while. It is not ended for that, because it may be in the middle of something.
 * `unreachable`: the state is unknown. It is neither taken for running nor for stopped. A `reason`: the server runs, but is of no use, so that
 * it must be started again.
 */
export type Observed = 'running' | 'silent' | 'stopped' | 'unreachable' | { reason: string }

/** A kind of resource that runs as servers, and how its servers are handled. The actions are idempotent and repeated after a crash. */
export type Supervised<Row extends SupervisedRow> = {
  type: IdType
  table: string
  /** What texts call a resource, such as `database`. */
  noun: string
  events: Record<'started' | 'restarted' | 'stopped' | 'failed' | 'recovered' | 'deleted', EventDefinition>
  /** The event of a change in state. `message` is why it failed. */
  eventOf(row: Row, message: string | null): Published<unknown>
  /** Whether the servers run. Called about once a second, for all resources together. */
  observe(app: App, rows: readonly Row[]): Promise<ReadonlyMap<string, Observed>>
  /** Brings the server from any state to answering requests with the row's settings and credentials. Throws PortError. */
  start(app: App, row: Row): Promise<void>
  /** Applies the row's settings and credentials to the running server. Throws PortError. */
  apply(app: App, row: Row): Promise<void>
  stop(app: App, row: Row): Promise<void>
  /** Stops the server and removes its data. */
  remove(app: App, row: Row): Promise<void>
}

export type Action = 'start' | 'lost' | 'restart' | 'apply' | 'stop' | 'stopped' | 'remove'

/** The next action for a resource. Null if it is as desired, or must wait. `startDue`: the wait after its last failure is over. */
export function planResource(row: SupervisedRow, observed: Observed, startDue: boolean): Action | null {
  if (row.desiredState === 'DELETED') return 'remove'
  if (row.desiredState === 'STOPPED') return observed !== 'stopped' ? 'stop' : row.status === 'STOPPED' ? null : 'stopped'
  if (observed !== 'running') {
    if (row.status === 'RUNNING') return 'lost'
    if (!startDue) return null
    if (observed === 'silent' && row.generation > row.appliedGeneration) return 'restart'
    // Whether it responds again is observed.
    return observed === 'silent' && row.status === 'FAILED' ? null : 'start'
  }
  if (!startDue) return null
  if (row.generation > row.appliedGeneration) return 'restart'
  // A running server is not ready before it has answered.
  if (row.status !== 'RUNNING') return 'start'
  return row.revision > row.appliedRevision ? 'apply' : null
}

/**
 * The status of a resource as soon as `desired` is RUNNING or STOPPED by a command, until the supervisor writes what it observes. One that has
 * not run yet, or has failed, remains so until it runs.
 */
export const statusOnceDesired = (desired: Sql, status: Sql): Sql =>
  sql`case when ${desired} = 'STOPPED' then 'STOPPING' when ${status} in ('CREATING', 'FAILED') then ${status} else 'STARTING' end`

/** Delay before the next attempt. The first one is immediate; then it doubles with each consecutive failure, up to five minutes. */
export const retryDelayMs = (failures: number, baseMs: number): number =>
  failures <= 1 ? 0 : Math.min(baseMs * 2 ** Math.min(failures - 2, 20), 300_000)

/** The kinds of resources that run as servers. */
// biome-ignore lint/suspicious/noExplicitAny: rows of any kind
export const supervisedKinds = defineExtensionPoint<Supervised<any>>('supervised kinds of resources')
