/**
 * Replicas of managed databases: a cluster of its own, which is a copy of the database's cluster and follows it by streaming replication. A slot
 * keeps the WAL that the replica has not received, up to a limit. A replica that needs more than that is copied anew.
 */
import { readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReplicaEngine, ReplicaFailureCode, ReplicaRef, ReplicaSpec } from '../../domain/resources/database-replica/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { configure, isCreated, startCluster, stopCluster } from './cluster.ts'
import {
  createClusters,
  demandPort,
  locked,
  type ManagedCluster,
  type ManagedPostgresOptions,
  observedState,
  startFailure,
} from './managed.ts'
import { checkRole, connected, reload, superuserUrl } from './managed-client.ts'
import { accessRules, leastSettings, replicaSettings } from './managed-settings.ts'
import { isServing } from './process.ts'
import { copyPrimary } from './replica-copy.ts'
import { dropSlot, prepareReplication, replicationPassword, slotOf, usableSlot } from './replica-slot.ts'
import { createResponseWatch } from './response.ts'

const answerMs = 2_000
/** How long a start waits until the replica has caught up with the moment of its copy. The server continues afterwards. */
const catchUpMs = 60_000

export function createManagedReplicas(options: Omit<ManagedPostgresOptions, 'ports'>): ReplicaEngine {
  const clusterOf = createClusters(options)
  const watch = createResponseWatch(options.responseTimes)
  const clustersOf = async (replica: ReplicaSpec) => [await clusterOf(replica), await clusterOf(replica.primary)] as const

  return {
    async observe(replicas) {
      const stateOf = async (one: ReplicaRef) => observedState(await clusterOf(one), watch)
      return new Map(await Promise.all(replicas.map(async (one) => [one.id, await stateOf(one)] as const)))
    },

    async start(replica) {
      const [cluster, primary] = await clustersOf(replica)
      await locked(cluster, async () => {
        if ((await isCreated(cluster)) && (await hasLostTrack(primary, replica))) await discard(cluster)
        if (!(await isServing(cluster))) await demandPort(replica.port, 'replica')
        await startServer(cluster, primary, replica)
        await checkRole({ ...replica.primary, host: replica.host, port: replica.port })
      })
    },

    async apply(replica) {
      const [cluster, primary] = await clustersOf(replica)
      await locked(cluster, async () => {
        await configure(cluster, await settingsOf(cluster, primary, replica), accessRules(replica.primary))
        const { pendingRestart } = await connected(superuserUrlOf(cluster, replica), reload)
        if (!pendingRestart) return
        await stopCluster(cluster)
        await startServer(cluster, primary, replica)
      })
    },

    async stop(replica) {
      const cluster = await clusterOf(replica)
      await locked(cluster, () => stopCluster(cluster))
    },

    async remove(replica) {
      const [cluster, primary] = await clustersOf(replica)
      await locked(cluster, async () => {
        await stopCluster(cluster)
        watch.forget(cluster)
        await forgetReplica(primary, replica)
        await rm(cluster.folder, { recursive: true, force: true, maxRetries: 3 })
      })
    },

    async check(replica) {
      const [, primary] = await clustersOf(replica)
      if (await usableSlot(primary, replica)) return
      throw new PortError<ReplicaFailureCode>('BEHIND', 'The replica fell too far behind its database. It is being copied anew.')
    },

    async lagBytes(replica) {
      const [cluster, primary] = await clustersOf(replica)
      const [replayed] = await connected(
        superuserUrlOf(cluster, replica),
        (session) => session.rows<{ lsn: string }>('select pg_last_wal_replay_lsn()::text as lsn'),
        answerMs,
      )
      const [found] = await connected(
        superuserUrl(primary, replica.primary, 'postgres'),
        (session) =>
          session.rows<{ lag: number }>('select pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::float8 as lag', [replayed!.lsn]),
        answerMs,
      )
      return Math.max(0, found!.lag)
    },
  }
}

/** The superuser of the replica is that of the database. */
const superuserUrlOf = (cluster: ManagedCluster, { port, primary }: ReplicaSpec): string =>
  superuserUrl(cluster, { port, superuserPassword: primary.superuserPassword }, 'postgres')

/** Whether the database keeps nothing for the replica any more. False if it cannot be asked. */
async function hasLostTrack(primary: ManagedCluster, replica: ReplicaSpec): Promise<boolean> {
  if (!(await isServing(primary))) return false
  return usableSlot(primary, replica).then(
    (usable) => !usable,
    (error) => {
      if (error instanceof PortError) return false
      throw error
    },
  )
}

/** Stops the server and gives its data up in one step, so that a crash in the middle leaves no half copy that looks whole. */
async function discard(cluster: ManagedCluster): Promise<void> {
  await stopCluster(cluster)
  await rm(cluster.draft, { recursive: true, force: true })
  await rename(cluster.data, cluster.draft)
}

async function startServer(cluster: ManagedCluster, primary: ManagedCluster, replica: ReplicaSpec): Promise<void> {
  const deadline = AbortSignal.timeout(catchUpMs)
  try {
    await startCluster(cluster, {
      settings: await settingsOf(cluster, primary, replica),
      access: accessRules(replica.primary),
      async create(draft) {
        if (!(await isServing(primary))) {
          const text = 'The database of the replica is not running, so it cannot be copied. The replica is created when the database runs.'
          throw new PortError<ReplicaFailureCode>('PRIMARY_MISSING', text)
        }
        await locked(primary, () => prepareReplication(primary, replica))
        await copyPrimary(primary, replica, draft)
      },
      signal: deadline,
    })
  } catch (error) {
    if (deadline.aborted) throw new PortError<ReplicaFailureCode>('UNREACHABLE', 'The replica is still catching up with its database.')
    const failure = startFailure(cluster, error)
    if (isDamage(failure.message)) await discard(cluster)
    throw failure
  }
}

/** Whether PostgreSQL cannot continue with the data, because the machine failed while it was written or it is of another history. */
const isDamage = (message: string): boolean => /checkpoint record|invalid (primary )?checkpoint|timeline/.test(message)

async function settingsOf(cluster: ManagedCluster, primary: ManagedCluster, replica: ReplicaSpec): Promise<Record<string, string>> {
  const { socketDir } = primary
  const { primary: database } = replica
  const following = { socketDir, port: database.port, password: replicationPassword(database), slot: slotOf(replica) }
  return replicaSettings(database, following, await leastOf(cluster))
}

/** What the replica needs at least: what it had before, or what its database had when it was copied. */
async function leastOf({ data }: ManagedCluster): Promise<Record<string, number>> {
  const text = await readFile(join(data, 'postgresql.conf'), 'utf8').catch(() => '')
  const found = leastSettings.flatMap((name) => {
    const value = new RegExp(`^${name} = '(\\d+)'$`, 'm').exec(text)?.[1]
    return value === undefined ? [] : [[name, Number(value)] as const]
  })
  return Object.fromEntries(found)
}

/** Removes the slot of a replica, which would keep WAL of the database. A stopped server reads its slots from files when it starts. */
async function forgetReplica(primary: ManagedCluster, replica: ReplicaSpec): Promise<void> {
  if ((await stat(primary.folder).catch(() => null)) === null) return
  await locked(primary, async () => {
    if (await isServing(primary)) await dropSlot(primary, replica)
    else await rm(join(primary.data, 'pg_replslot', slotOf(replica)), { recursive: true, force: true })
  })
}
