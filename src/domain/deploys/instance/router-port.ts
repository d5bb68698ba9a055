/** Which port the router has, and which process holds it. */
import { holdLease } from '../../../platform/claim.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { routerPort } from './provided.ts'

/** The owner of this lease is a port: the one that all processes take with ROUTER_PORT=0 while the lease lasts. */
const agreement = 'router port'
const agreedForMs = 15_000
/** Over for so long, the agreement is nobody's of ours who is alive, and whose database didn't just come back. */
const abandonedAfterMs = 45_000
const steadyAfterMs = 5_000

/** Whether this process holds the router; tries to where none does. Of processes with ROUTER_PORT=0 the first one picks the port. */
export async function takeRouter(app: App): Promise<boolean> {
  const router = routerPort.use(app)
  if (app.settings.ROUTER_PORT !== 0) return router.listen()
  const agreed = await row<{ port: string; isAbandoned: boolean }>(
    app.db.prisma,
    sql`select owner as port, expires_at < app_now() - ${abandonedAfterMs} * interval '1 millisecond' as is_abandoned
        from lease where name = ${agreement}`,
  )
  const listens = await router.listen(Number(agreed?.port ?? 0))
  // Abandoned and taken: none of ours has it, so it is a stranger's now. Behind an outage everybody's word is old.
  const isStrangers = agreed?.isAbandoned && app.db.session.steadyForMs() >= steadyAfterMs
  if (!listens && !(isStrangers && (await router.listen(0)))) return false
  if ((await holdLease(app.db.prisma, agreement, String(router.port), agreedForMs)) !== null) return true
  await router.close({ graceMs: 1_000 })
  return takeRouter(app)
}
