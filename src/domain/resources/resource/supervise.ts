/**
 * Supervises resources that run as servers: each pass reads what is desired, observes the servers, plans with a pure function (model.ts) and
 * acts. One process at a time does it for each kind, by lease. Servers outlive the control plane, so a pass after its restart finds them
 * running; an interrupted action is repeated. Only an end that this process could watch is a failure: a server that is gone at its first look was
 * ended by a stop of the platform or of the machine, or nobody can tell.
 */
import { availableParallelism } from 'node:os'
import type { ResourceStatus } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Chore, dropLease, holdLease } from '../../../platform/claim.ts'
import { anyOf, outageOf, raw, row as readRow, rows, type Sql, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { type EventDefinition, publish } from '../../../platform/events.ts'
import { createFailureLog, type FailureLog, reportFailure } from '../../../platform/failure-log.ts'
import { encodeId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import {
  type Action,
  type Observed,
  planResource,
  removalHolds,
  retryDelayMs,
  type Supervised,
  type SupervisedRow,
  startHolds,
  supervisedKinds,
} from './model.ts'
import { removeResource, resourceTopic } from './store.ts'

/** Servers of one kind that are started, stopped or changed at the same time. These actions mostly need CPU time. */
const concurrency = Math.max(3, availableParallelism())
/** Time after which an action no longer counts as one of them, because it waits for something. */
const patienceMs = 5_000
const watchMs = 1_000
/** Uptime after which an end counts as the first failure again. */
const calmMs = 60_000

/** What one process remembers between passes; all of it can be lost without harm. */
type Memory = {
  /** Resources with an action under way, and when it began. */
  busy: Map<string, number>
  running: Set<Promise<void>>
  failures: FailureLog
  leases: Set<string>
  /** Kinds whose servers this process has looked at. */
  adopted: Set<string>
  /** Kinds of which there are resources, so that the next pass must not wait for a wake-up. */
  watched: Set<string>
}

const memoryOf = perApp((app): Memory => {
  const failures = createFailureLog(app, { failed: 'a resource could not be handled', recovered: 'a resource is handled again' })
  return { busy: new Map(), running: new Set(), failures, leases: new Set(), adopted: new Set(), watched: new Set() }
})

type Due<Row> = Row & { startDue: boolean; ranCalmly: boolean; isHeld: boolean }

/** The chore that keeps the resources of a kind as desired. Its wake-up topic is the kind's table. */
export function superviseResources<Row extends SupervisedRow>(kind: Supervised<Row>): Chore {
  return {
    name: `supervise ${kind.table}`,
    emits: Object.values(kind.events),
    topic: kind.table,
    everyMs: 60_000,
    dueInMs: (app) => (memoryOf(app).watched.has(kind.table) ? watchMs : null),
    async run(app, signal) {
      const memory = memoryOf(app)
      // The rows of these may be read before their action ends, and acted on after it.
      const busyBefore = new Set(memory.busy.keys())
      const found = await look(app, kind)
      const now = app.clock.elapsedMs()
      const places = () =>
        concurrency - found.filter(({ row }) => now - (memory.busy.get(row.id) ?? Number.NEGATIVE_INFINITY) < patienceMs).length
      for (const { row, observed } of found) {
        if (signal.aborted || places() <= 0) return
        if (memory.busy.has(row.id) || busyBefore.has(row.id)) continue
        const action = planResource(row, observed, row.startDue)
        if (action) background(app, kind, row, action, observed)
      }
    },
  }
}

/**
 * For a process that is about to serve: looks at the servers, so that none that ended while no process watched it is shown as running. What
 * fails here is repeated by the chores.
 */
export async function adoptResources(app: App): Promise<void> {
  const adopted = supervisedKinds.of(app).map((kind) =>
    look(app, kind).catch((error) => {
      reportFailure(app, error, 'the state of resources could not be observed', { kind: kind.table }, 'warn')
    }),
  )
  await Promise.all(adopted)
}

type Sight<Row> = { row: Due<Row>; observed: Observed }

/** What is desired of the servers of a kind, and what they do. Empty if another process supervises them. */
async function look<Row extends SupervisedRow>(app: App, kind: Supervised<Row>): Promise<Sight<Row>[]> {
  const memory = memoryOf(app)
  const lease = `${kind.table} supervisor`
  memory.watched.delete(kind.table)
  const all = await readDue(app, kind)
  if (all.length === 0) return []
  memory.watched.add(kind.table)
  if ((await holdLease(app.db, lease, app.processId, app.settings.WORKER_LEASE_MS)) === null) return []
  memory.leases.add(lease)
  const found = all.filter(({ isHeld }) => !isHeld)
  const states = await kind.observe(app, found)
  const sights = found.map((row) => ({ row, observed: states.get(row.id) ?? 'stopped' }))
  if (memory.adopted.has(kind.table)) return sights
  const adopted = await Promise.all(sights.map((sight) => adopt(app, kind, sight)))
  memory.adopted.add(kind.table)
  return adopted
}

/** The end of a server that no process watched is no failure: it is only started again. */
async function adopt<Row extends SupervisedRow>(app: App, kind: Supervised<Row>, { row, observed }: Sight<Row>): Promise<Sight<Row>> {
  if (row.desiredState !== 'RUNNING' || row.status !== 'RUNNING' || observed !== 'stopped') return { row, observed }
  app.log.info({ [kind.noun]: encodeId(kind.type, row.id) }, `a ${kind.noun} was not running at the first look and is started`)
  await setStatus(app, kind, row, 'STARTING')
  return { row: { ...row, status: 'STARTING' }, observed }
}

const readDue = <Row extends SupervisedRow>(app: App, { table }: Supervised<Row>): Promise<Due<Row>[]> =>
  rows<Due<Row>>(
    app.db,
    sql`select t.*, coalesce(t.next_start_at <= app_now(), true) as start_due,
               coalesce(t.started_at < app_now() - ${calmMs} * interval '1 millisecond', true) as ran_calmly,
               case when t.desired_state = 'DELETED' then ${anyOf(removalHolds.of(app))} else ${anyOf(startHolds.of(app))} end as is_held
        from ${raw(table)} t where not (t.status = 'STOPPED' and t.desired_state = 'STOPPED') order by t.id`,
  )

/** For a process that is stopping: waits for actions in progress, then releases the leases, so that another process takes over at once. */
export async function settleResources(app: App): Promise<void> {
  const memory = memoryOf(app)
  await Promise.allSettled(memory.running)
  for (const lease of memory.leases) {
    try {
      await dropLease(app.db, lease, app.processId)
    } catch (error) {
      // It expires anyway.
      reportFailure(app, error, 'the lease of a supervisor could not be released', {}, 'warn')
    }
  }
}

function background<Row extends SupervisedRow>(app: App, kind: Supervised<Row>, row: Due<Row>, action: Action, observed: Observed): void {
  const memory = memoryOf(app)
  memory.busy.set(row.id, app.clock.elapsedMs())
  const running = act(app, kind, row, action, observed)
    .then(
      () => memory.failures.succeeded(row.id),
      (error) => void memory.failures.failed(error, { [kind.noun]: encodeId(kind.type, row.id), action }, row.id),
    )
    .finally(() => {
      memory.busy.delete(row.id)
      memory.running.delete(running)
      app.wake.notify(kind.table)
    })
  memory.running.add(running)
}

async function act<Row extends SupervisedRow>(
  app: App,
  kind: Supervised<Row>,
  row: Due<Row>,
  action: Action,
  observed: Observed,
): Promise<void> {
  switch (action) {
    case 'lost':
      return noteFailure(app, kind, row, reasonOf(kind, observed))
    case 'start':
    case 'restart':
      return attempt(app, kind, row, async () => {
        if (row.status !== 'CREATING' && row.status !== 'FAILED') await setStatus(app, kind, row, 'STARTING')
        if (action === 'restart') await kind.stop(app, row)
        await kind.start(app, row)
        await becameRunning(app, kind, row, action)
      })
    case 'apply':
      return attempt(app, kind, row, async () => {
        await kind.apply(app, row)
        await change(app, kind, row, sql`applied_revision = ${row.revision}, failures = 0, status_message = null`, null)
      })
    case 'stop':
      await setStatus(app, kind, row, 'STOPPING')
      await kind.stop(app, row)
      return becameStopped(app, kind, row)
    case 'stopped':
      return becameStopped(app, kind, row)
    case 'remove':
      await kind.remove(app, row)
      return transact(app, systemCaller(row.organizationId), { emits: [kind.events.deleted] }, async (work) => {
        if (await removeResource(work, row.id)) await publish(work, kind.events.deleted, kind.eventOf(row, null))
      })
  }
}

function reasonOf({ noun }: Pick<Supervised<never>, 'noun'>, observed: Observed): string {
  if (typeof observed === 'object') return observed.reason
  if (observed === 'silent') return `The ${noun} does not respond. To end its server and start another one, restart the ${noun}.`
  return `The ${noun} exited unexpectedly. It is being restarted.`
}

/** Performs an action whose failure is the resource's, and is shown to users. */
async function attempt<Row extends SupervisedRow>(
  app: App,
  kind: Supervised<Row>,
  row: Due<Row>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    // The state is unknown: the next pass checks again.
    if (outageOf(error) === 'database') throw error
    if (!(error instanceof PortError)) app.log.error({ err: error, [kind.noun]: row.id }, `a ${kind.noun} could not be started`)
    await noteFailure(app, kind, row, error instanceof PortError ? error.message : `The ${kind.noun} could not be started.`)
  }
}

const becameRunning = <Row extends SupervisedRow>(app: App, kind: Supervised<Row>, row: Row, action: Action) =>
  change(
    app,
    kind,
    row,
    sql`status = 'RUNNING', status_message = null, applied_generation = ${row.generation}, applied_revision = ${row.revision},
        started_at = app_now(), next_start_at = null`,
    runningEvent(kind, row, action),
  )

/** A failure is always followed by a recovery, and a creation by a start, also if a restart was requested meanwhile. */
function runningEvent<Row extends SupervisedRow>({ events }: Supervised<Row>, { status }: Row, action: Action): EventDefinition {
  if (status === 'FAILED') return events.recovered
  return action === 'restart' && status !== 'CREATING' ? events.restarted : events.started
}

const becameStopped = <Row extends SupervisedRow>(app: App, kind: Supervised<Row>, row: Row) =>
  change(
    app,
    kind,
    row,
    sql`status = 'STOPPED', status_message = null, applied_generation = generation, failures = 0, next_start_at = null`,
    kind.events.stopped,
  )

/** Records a failure. The next attempt follows after a wait that grows with each consecutive failure. */
function noteFailure<Row extends SupervisedRow>(app: App, kind: Supervised<Row>, row: Due<Row>, message: string): Promise<void> {
  const failures = row.status === 'RUNNING' && row.ranCalmly ? 1 : row.failures + 1
  const delayMs = retryDelayMs(failures, app.settings.RESTART_BACKOFF_MS)
  return change(
    app,
    kind,
    row,
    sql`status = 'FAILED', status_message = ${message}, failures = ${failures}, next_start_at = app_now() + ${delayMs} * interval '1 millisecond'`,
    row.status === 'FAILED' ? null : kind.events.failed,
    message,
  )
}

/** Writes what was observed, with its event, unless another state is desired by now. */
async function change<Row extends SupervisedRow>(
  app: App,
  { table, eventOf }: Supervised<Row>,
  row: Row,
  assignments: Sql,
  event: EventDefinition | null,
  message: string | null = null,
): Promise<void> {
  await transact(app, systemCaller(row.organizationId), { emits: event ? [event] : [] }, async (work) => {
    const changed = await readRow<Row>(
      work.tx,
      sql`update ${raw(table)} set ${assignments} where id = ${row.id}::uuid and desired_state = ${row.desiredState}::desired_state returning *`,
    )
    if (!changed) return
    if (event) await publish(work, event, eventOf(changed, message))
    work.wake(resourceTopic(row.id))
  })
}

const setStatus = <Row extends SupervisedRow>(app: App, kind: Supervised<Row>, row: Row, status: ResourceStatus): Promise<void> =>
  change(app, kind, row, sql`status = ${status}::resource_status`, null)
