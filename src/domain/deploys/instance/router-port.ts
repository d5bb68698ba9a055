/** Which port the router has, and which processes take requests on it: together, and each says so in a row while it lives. */
import { holdLease } from '../../../platform/claim.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { routerPort } from './ports.ts'

/** The owner of this lease is a port: the one that all processes take with ROUTER_PORT=0 while the lease lasts. */
const agreement = 'router port'
const agreedForMs = 15_000
/** Over for so long, the agreement is nobody's of ours who is alive, and whose database didn't just come back. */
const abandonedAfterMs = 45_000
const steadyAfterMs = 5_000

/**
 * Whether this process takes requests; tries to where it doesn't. A port that others of this installation have is shared with them; one
 * that a stranger has is not. Of processes with ROUTER_PORT=0 the first one picks the port.
 */
export async function takeRouter(app: App): Promise<boolean> {
  const router = routerPort.use(app)
  const fixed = app.settings.ROUTER_PORT
  if (fixed !== 0) return router.listens || router.listen(fixed, { shared: await isOurs(app, fixed) })
  if (router.listens) {
    if ((await holdLease(app.db.prisma, agreement, String(router.port), agreedForMs)) !== null) return true
    await router.close({ graceMs: 1_000 })
  }
  const agreed = await row<{ port: string; isAbandoned: boolean }>(
    app.db.prisma,
    sql`select owner as port, expires_at < app_now() - ${abandonedAfterMs} * interval '1 millisecond' as is_abandoned
        from lease where name = ${agreement}`,
  )
  const port = Number(agreed?.port ?? 0)
  const listens = await router.listen(port, { shared: await isOurs(app, port) })
  // Abandoned and taken: none of ours has it, so it is a stranger's now. Behind an outage everybody's word is old.
  const isStrangers = agreed?.isAbandoned && app.db.session.steadyForMs() >= steadyAfterMs
  if (!listens && !(isStrangers && (await router.listen(0)))) return false
  if ((await holdLease(app.db.prisma, agreement, String(router.port), agreedForMs)) !== null) return true
  await router.close({ graceMs: 1_000 })
  return takeRouter(app)
}

const isOurs = async (app: App, port: number): Promise<boolean> =>
  port !== 0 &&
  (await row(app.db.prisma, sql`select 1 as ours from router where port = ${port} and expires_at > app_now() limit 1`)) !== null

export type RouterState = {
  /** What its table knows; null before the first one. */
  snapshot: string | null
  load: Record<string, number>
  released: string[]
}

/** Before any transaction: nothing is known. */
const nothingKnown = '1:1:'

/** Says that this process takes requests, and what it knows and has in flight. */
export const registerRouter = (app: App, { snapshot, load, released }: RouterState): Promise<number> =>
  run(
    app.db.prisma,
    sql`insert into router (process_id, port, snapshot, load, released, expires_at)
        values (${app.processId}, ${routerPort.use(app).port}, ${snapshot ?? nothingKnown}, ${JSON.stringify(load)}::jsonb, ${released}::uuid[],
                app_now() + ${app.settings.WORKER_LEASE_MS} * interval '1 millisecond')
        on conflict (process_id) do update set port = excluded.port, snapshot = excluded.snapshot, load = excluded.load,
          released = excluded.released, expires_at = excluded.expires_at`,
  )

/** Says that this process takes no more requests and has answered those that it had. */
export async function leaveRouter(app: App): Promise<void> {
  await run(app.db.prisma, sql`delete from router where process_id = ${app.processId} or expires_at < app_now() - interval '1 hour'`)
  app.wake.notify('routes', 'routed')
}

/** Resolves when every process that takes requests knows the changes of a transaction. */
export async function untilRouted(app: App, xid: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const changed = app.wake.next('routed', 200, signal)
    const behind = await row(
      app.db.prisma,
      sql`select 1 as behind from router where expires_at > app_now() and not pg_visible_in_snapshot(${xid}::xid8, snapshot::pg_snapshot) limit 1`,
    )
    if (!behind) return
    await changed
  }
}
