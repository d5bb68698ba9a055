/** What the domain needs of a place where databases run. */
import { definePort } from '../../../platform/port.ts'
import type { Capacity, Usage } from '../../../platform/usage.ts'

/** How a database is to be. Passed to every action, which brings the server from any state to it. */
export type DatabaseSpec = {
  id: string
  host: string
  port: number
  /** Whether the database has a server of its own, on a port of its own. */
  ownsPort: boolean
  databaseName: string
  username: string
  password: string
  /** Password of the server's superuser. The driver creates it with the server and uses it for its own connections. */
  superuserPassword: string
  /** Connections that the role may have at the same time. */
  maxConnections: number
  /** Server settings that differ from the driver's own, already validated. */
  settings: Readonly<Record<string, string>>
}

/** What identifies a database in its engine. */
export type DatabaseRef = Pick<DatabaseSpec, 'id' | 'host' | 'port' | 'ownsPort' | 'databaseName' | 'username'>

/** `silent`: its server runs, but has not answered for a while. `unreachable`: its server cannot be asked, so that its state is unknown. */
export type ObservedDatabase = 'running' | 'silent' | 'stopped' | 'unreachable'

/**
 * `PORT_TAKEN`: another program listens on the port. `NO_CAPACITY`: the disk is full. `UNREACHABLE`: the server does not answer.
 * `SETTING_REJECTED`: the server refuses a setting. `NOT_INSTALLED`: PostgreSQL is missing; the message contains the command that installs it.
 */
export type DatabaseFailureCode = 'PORT_TAKEN' | 'NO_CAPACITY' | 'UNREACHABLE' | 'SETTING_REJECTED' | 'NOT_INSTALLED'

/**
 * Where a database is going to be reached. `candidates`: free ports, or the only one that all databases share. Empty if none is free.
 * `version`: full version of PostgreSQL, such as `18.4`.
 */
export type DatabasePlace = { host: string; candidates: number[]; ownsPort: boolean; version: string }

/** `restored`: the backup engine creates the data of the database. `replica`: it is a copy of another one. Both have servers of their own. */
export type DatabaseOrigin = 'new' | 'restored' | 'replica'

export type Measured = {
  sizeBytes: number
  /** Connections of clients to the database. */
  activeConnections: number
  /** Share of block reads that the server's cache answered, from 0 to 1. Null before the first read. */
  cacheHitRatio: number | null
  /** Transactions since the statistics of the database began. */
  transactions: number
}

/** Where databases run. Servers outlive this process. Every action is idempotent and may be repeated after a crash in the middle. */
export interface DatabaseEngine {
  /**
   * The place for another database, on a port that is not `taken`. Throws PortError<DatabaseFailureCode> if there is none, for example because
   * PostgreSQL is not installed.
   */
  place(origin: DatabaseOrigin, taken: ReadonlySet<number>): Promise<DatabasePlace>
  /** The state of each of these databases, by id. A few system calls each, or one query for all on a server. Delayed by no server of its own. */
  observe(databases: readonly DatabaseRef[]): Promise<ReadonlyMap<string, ObservedDatabase>>
  /** Creates what is missing and starts the server. Resolves when the role of the spec can run a query. Throws PortError<DatabaseFailureCode>. */
  start(spec: DatabaseSpec): Promise<void>
  /** Applies settings and password to the running server. Returns whether a setting needs a restart. Throws PortError<DatabaseFailureCode>. */
  apply(spec: DatabaseSpec): Promise<{ pendingRestart: boolean }>
  /** Closes all connections and stops the server. */
  stop(database: DatabaseRef): Promise<void>
  /** Stops the server and removes its data. */
  remove(database: DatabaseRef): Promise<void>
  /** Reads the metrics of a running database. Throws PortError if it does not answer within two seconds. */
  measure(spec: DatabaseSpec): Promise<Measured>
  /**
   * Runs a statement in a running database, as its role, and returns the rows. What the owner of the database has put into it decides what the
   * statement does. Throws PortError UNREACHABLE if there is no connection or no answer within 30 s, and the error of the statement otherwise.
   */
  query<Row extends Record<string, unknown>>(spec: DatabaseSpec, text: string, values?: unknown[]): Promise<Row[]>
  /**
   * Copies a running database under an ID, as a whole, and replaces what has that ID. Clients are disconnected and cannot connect meanwhile. The
   * copy stays on the server of the database until it is removed. Throws PortError<DatabaseFailureCode>.
   */
  takeSnapshot(spec: DatabaseSpec, snapshotId: string): Promise<void>
  /**
   * Replaces the data of a running database with that of a snapshot, which no longer exists afterwards. Settings that the owner gave the
   * database itself are lost. Returns false, without a change, if there is no such snapshot. Clients can connect afterwards in any case.
   */
  restoreSnapshot(spec: DatabaseSpec, snapshotId: string): Promise<boolean>
  /** Removes a snapshot, if it exists. Clients can connect afterwards, whatever was interrupted. */
  removeSnapshot(spec: DatabaseSpec, snapshotId: string): Promise<void>
  /** What the servers of databases use, by id, without asking them. Only servers that belong to one database, and whose processes are known. */
  usage(databases: readonly DatabaseRef[]): Promise<{ usage: ReadonlyMap<string, Usage>; capacity: Capacity }>
}

export const databaseEngine = definePort<DatabaseEngine>('database engine')
