/** How the servers of replicas are handled. In addition to what every server needs, it is checked that a running replica can follow its database. */
import type { DatabaseReplica } from '../../../generated/prisma/client.ts'
import { PortError } from '../../../platform/errors.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import type { Observed, Supervised } from '../resource/index.ts'
import { eventOf, replicaEvents } from './events.ts'
import { replicaSpecOf } from './model.ts'
import { replicaEngine } from './ports.ts'

export const supervisedReplicas: Supervised<DatabaseReplica> = {
  type: 'DatabaseReplica',
  table: 'database_replica',
  noun: 'replica',
  events: replicaEvents,
  eventOf,
  async observe(app, replicas) {
    const states = await replicaEngine.use(app).observe(replicas)
    const observed = replicas.map((replica): [string, Observed] => {
      const state = states.get(replica.id) ?? 'stopped'
      const reason = state === 'running' ? lastReason(app, replica) : null
      return [replica.id, reason === null ? state : { reason }]
    })
    forgetOthers(app, replicas)
    return new Map(observed)
  },
  async start(app, replica) {
    await replicaEngine.use(app).start(await replicaSpecOf(app, replica))
    checksOf(app).delete(replica.id)
  },
  apply: async (app, replica) => replicaEngine.use(app).apply(await replicaSpecOf(app, replica)),
  stop: (app, replica) => replicaEngine.use(app).stop(replica),
  remove: async (app, replica) => replicaEngine.use(app).remove(await replicaSpecOf(app, replica)),
}

const checkEveryMs = 5_000

/** The last check of each replica. `reason`: why it cannot follow its database. */
type Check = { atMs: number; isUnderWay: boolean; reason: string | null }

const checksOf = perApp(() => new Map<string, Check>())

/** What the last check found. The next one runs in the background, so that it delays no other replica. */
function lastReason(app: App, replica: DatabaseReplica): string | null {
  const checks = checksOf(app)
  const last = checks.get(replica.id)
  const now = app.clock.elapsedMs()
  if (last && (last.isUnderWay || now - last.atMs < checkEveryMs)) return last.reason
  const check: Check = { atMs: now, isUnderWay: true, reason: last?.reason ?? null }
  checks.set(replica.id, check)
  void reasonOf(app, replica).then((reason) => Object.assign(check, { reason, isUnderWay: false }))
  return check.reason
}

async function reasonOf(app: App, replica: DatabaseReplica): Promise<string | null> {
  try {
    await replicaEngine.use(app).check(await replicaSpecOf(app, replica))
    return null
  } catch (error) {
    // A database that is away says nothing about its replicas.
    return error instanceof PortError && error.code === 'BEHIND' ? error.message : null
  }
}

function forgetOthers(app: App, replicas: readonly DatabaseReplica[]): void {
  const checks = checksOf(app)
  const known = new Set(replicas.map(({ id }) => id))
  for (const id of checks.keys()) if (!known.has(id)) checks.delete(id)
}
