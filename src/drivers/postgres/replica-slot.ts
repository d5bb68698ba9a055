/** What a database keeps for its replicas: a role with which they follow it, and a slot for each that keeps the WAL it has not received. */
import { createHmac } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { ReplicaSpec } from '../../domain/resources/database-replica/ports.ts'
import { type Connection, quoteName, quoteText } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import { configure } from './cluster.ts'
import type { ManagedCluster } from './managed.ts'
import { connected, reload, superuserUrl } from './managed-client.ts'
import { accessRules, replicationRole, serverSettings } from './managed-settings.ts'
import { scramVerifier } from './scram.ts'

type Primary = ReplicaSpec['primary']

/** How long a slot is waited for whose former user has not been noticed to be gone. */
const releaseMs = 10_000
const answerMs = 2_000

export const slotOf = ({ id }: Pick<ReplicaSpec, 'id'>): string => `replica_${id.replaceAll('-', '')}`

/** The password of the replicas' role. It follows from one that is known to Quayside alone, so that nothing else must be stored. */
export const replicationPassword = ({ superuserPassword }: Primary): string =>
  createHmac('sha256', superuserPassword).update('replication').digest('base64url')

const withPrimary = <T>(
  primary: ManagedCluster,
  { primary: database }: ReplicaSpec,
  work: (session: Connection) => Promise<T>,
  withinMs?: number,
) => connected(superuserUrl(primary, database, 'postgres'), work, withinMs)

/** Lets a replica follow from now on: settings, role, and a new slot. The caller holds the lock on the database's cluster. */
export async function prepareReplication(primary: ManagedCluster, replica: ReplicaSpec): Promise<void> {
  await configure(primary, serverSettings(replica.primary, primary.wal), accessRules(replica.primary))
  await withPrimary(primary, replica, async (session) => {
    await reload(session)
    const exists = (await session.rows('select 1 from pg_roles where rolname = $1', [replicationRole])).length > 0
    await session.run(
      `${exists ? 'alter' : 'create'} role ${quoteName(replicationRole)} with login replication nosuperuser nocreatedb nocreaterole nobypassrls
       password ${quoteText(await scramVerifier(replicationPassword(replica.primary)))}`,
    )
    await release(session, slotOf(replica))
    await session.rows('select pg_create_physical_replication_slot($1, true)', [slotOf(replica)])
  })
}

/** Whether the database still has everything that the replica needs. Throws PortError UNREACHABLE if it does not answer. */
export async function usableSlot(primary: ManagedCluster, replica: ReplicaSpec): Promise<boolean> {
  const [slot] = await withPrimary(
    primary,
    replica,
    (session) =>
      session.rows<{ status: string | null }>('select wal_status as status from pg_replication_slots where slot_name = $1', [
        slotOf(replica),
      ]),
    answerMs,
  )
  return slot !== undefined && slot.status !== 'lost'
}

export const dropSlot = (primary: ManagedCluster, replica: ReplicaSpec): Promise<void> =>
  withPrimary(primary, replica, (session) => release(session, slotOf(replica)))

async function release(session: Connection, slot: string): Promise<void> {
  for (const deadline = performance.now() + releaseMs; ; await delay(50)) {
    const [found] = await session.rows<{ pid: number | null }>('select active_pid as pid from pg_replication_slots where slot_name = $1', [
      slot,
    ])
    if (!found) return
    if (found.pid !== null) await session.rows('select pg_terminate_backend($1)', [found.pid])
    else if (await dropped(session, slot)) return
    if (performance.now() > deadline) throw new PortError('UNREACHABLE', 'The database still serves a former server of the replica.')
  }
}

const inUse = '55006'

/** False if the slot is in use again. */
const dropped = (session: Connection, slot: string): Promise<boolean> =>
  session.rows('select pg_drop_replication_slot($1)', [slot]).then(
    () => true,
    (error) => {
      if ((error as { code?: string }).code === inUse) return false
      throw error
    },
  )
