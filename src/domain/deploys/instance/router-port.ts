/** The port of the router, and the processes that share it. Each one registers itself in a row while it is alive. */
import { holdLease } from '../../../platform/claim.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { routerPort } from './ports.ts'

/** Lease whose owner is a port: with ROUTER_PORT=0, all processes use it as long as the lease is held. */
const agreement = 'router port'
const agreedForMs = 15_000
/** After this time without renewal, no process of the installation is using the port. */
const abandonedAfterMs = 45_000
const steadyAfterMs = 5_000

/**
 * Makes this process listen as a router. Returns whether it does. A port of other processes of this installation is shared with them; a port
 * of another program is not taken. With ROUTER_PORT=0, the first process selects the port.
 */
export async function takeRouter(app: App): Promise<boolean> {
  const router = routerPort.use(app)
  const fixed = app.settings.ROUTER_PORT
  if (fixed !== 0) return router.listens || router.listen(fixed, { shared: await isOurs(app, fixed) })
  if (router.listens) {
    if ((await holdLease(app.db, agreement, String(router.port), agreedForMs)) !== null) return true
    await router.close({ graceMs: 1_000 })
  }
  const agreed = await row<{ port: string; isAbandoned: boolean }>(
    app.db,
    sql`select owner as port, expires_at < app_now() - ${abandonedAfterMs} * interval '1 millisecond' as is_abandoned
        from lease where name = ${agreement}`,
  )
  const port = Number(agreed?.port ?? 0)
  const listens = await router.listen(port, { shared: await isOurs(app, port) })
  // Abandoned and in use: another program has the port now. Right after a database outage, registrations are outdated and prove nothing.
  const isStrangers = agreed?.isAbandoned && app.db.session.steadyForMs() >= steadyAfterMs
  if (!listens && !(isStrangers && (await router.listen(0)))) return false
  if ((await holdLease(app.db, agreement, String(router.port), agreedForMs)) !== null) return true
  await router.close({ graceMs: 1_000 })
  return takeRouter(app)
}

const isOurs = async (app: App, port: number): Promise<boolean> =>
  port !== 0 && (await row(app.db, sql`select 1 as ours from router where port = ${port} and expires_at > app_now() limit 1`)) !== null

export type RouterState = {
  /** Snapshot of its table. Null before the first one. */
  snapshot: string | null
  load: Record<string, number>
  released: string[]
}

/** A snapshot before any transaction. */
const emptySnapshot = '1:1:'

/** Registers this process as a router, with the state of its table and its requests in flight. */
export const registerRouter = (app: App, { snapshot, load, released }: RouterState): Promise<number> =>
  run(
    app.db,
    sql`insert into router (process_id, port, snapshot, load, released, expires_at)
        values (${app.processId}, ${routerPort.use(app).port}, ${snapshot ?? emptySnapshot}, ${JSON.stringify(load)}::jsonb, ${released}::uuid[],
                app_now() + ${app.settings.WORKER_LEASE_MS} * interval '1 millisecond')
        on conflict (process_id) do update set port = excluded.port, snapshot = excluded.snapshot, load = excluded.load,
          released = excluded.released, expires_at = excluded.expires_at`,
  )

/** Removes the registration of this process, which has answered all its requests. */
export async function leaveRouter(app: App): Promise<void> {
  await run(app.db, sql`delete from router where process_id = ${app.processId} or expires_at < app_now() - interval '1 hour'`)
  app.wake.notify('routes', 'routed')
}

/** Resolves when the tables of all router processes include the changes of a transaction. */
export async function untilRouted(app: App, xid: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const changed = app.wake.next('routed', 200, signal)
    const behind = await row(
      app.db,
      sql`select 1 as behind from router where expires_at > app_now() and not pg_visible_in_snapshot(${xid}::xid8, snapshot::pg_snapshot) limit 1`,
    )
    if (!behind) return
    await changed
  }
}
