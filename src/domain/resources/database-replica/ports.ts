/** What the domain needs of a place where replicas run. */
import { definePort } from '../../../platform/port.ts'
import type { DatabaseSpec } from '../database/ports.ts'

/** What identifies a replica in its engine. */
export type ReplicaRef = { id: string; port: number }

/** How a replica is to be. Databases, roles, passwords and settings are those of its primary. */
export type ReplicaSpec = ReplicaRef & { host: string; primary: DatabaseSpec }

/**
 * `PRIMARY_MISSING`: the replica must be copied, and its database is not running. `BEHIND`: it cannot follow its database any more.
 * The others as for databases.
 */
export type ReplicaFailureCode = 'PORT_TAKEN' | 'NO_CAPACITY' | 'UNREACHABLE' | 'SETTING_REJECTED' | 'PRIMARY_MISSING' | 'BEHIND'

/**
 * Runs read-only copies of databases that have a server of their own. Servers outlive this process. Every action is idempotent and may be
 * repeated after a crash in the middle.
 */
export interface ReplicaEngine {
  /** Whether the server of each of these replicas runs, by id. A few system calls each. `silent`: it has not answered for a while. */
  observe(replicas: readonly ReplicaRef[]): Promise<ReadonlyMap<string, 'running' | 'silent' | 'stopped'>>
  /**
   * Copies the database if there is no copy yet, or if the copy cannot follow the database any more, and starts the server. Resolves when the
   * role of the database can run a query. Throws PortError<ReplicaFailureCode>.
   */
  start(replica: ReplicaSpec): Promise<void>
  /** Applies settings to the running server, which is restarted if they need it. Throws PortError<ReplicaFailureCode>. */
  apply(replica: ReplicaSpec): Promise<void>
  stop(replica: ReplicaRef): Promise<void>
  /** Stops the server, removes its data, and lets the database forget the replica. */
  remove(replica: ReplicaSpec): Promise<void>
  /** Throws PortError BEHIND if the running replica cannot follow its database any more, and UNREACHABLE if the database does not answer. */
  check(replica: ReplicaSpec): Promise<void>
  /** Bytes of the write-ahead log of the database that the replica has not replayed. Throws PortError if one of them does not answer. */
  lagBytes(replica: ReplicaSpec): Promise<number>
}

export const replicaEngine = definePort<ReplicaEngine>('replica engine')
