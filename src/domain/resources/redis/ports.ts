/** What the domain needs of a place where Redis servers run. Above the driver, a server has an id and a port, but no pid, path or program. */
import { definePort } from '../../../platform/port.ts'
import type { Capacity, Usage } from '../../../platform/usage.ts'

export type EvictionPolicy =
  | 'noeviction'
  | 'allkeys-lru'
  | 'allkeys-lfu'
  | 'allkeys-random'
  | 'volatile-lru'
  | 'volatile-lfu'
  | 'volatile-random'
  | 'volatile-ttl'

/** What can be changed while a server runs. */
export type RedisSettings = {
  maxMemoryBytes: number
  /** What happens when the memory is full. */
  evictionPolicy: EvictionPolicy
  /** Whether data survives a restart. Turning it off deletes what is stored at the next start. */
  persistent: boolean
}

/** How a server is to be. Passed to every action that brings it to this state from any other. */
export type RedisSpec = RedisSettings & {
  id: string
  port: number
  /** The only account that clients can use. The password must be random, because the server gets an unsalted hash of it. */
  username: string
  password: string
}

/**
 * `UNAVAILABLE`: no usable Redis is installed. `PORT_TAKEN`: another program listens on the port. `NO_CAPACITY`: the disk is full.
 * `START_FAILED`: the server exits while it starts. `UNREACHABLE`: it does not answer.
 */
export type RedisFailureCode = 'UNAVAILABLE' | 'PORT_TAKEN' | 'NO_CAPACITY' | 'START_FAILED' | 'UNREACHABLE'

/** `silent`: its process runs, but has not answered for a while. `stopped`: no process runs. */
export type RedisState = 'running' | 'silent' | 'stopped'

export type RedisMetrics = {
  usedMemoryBytes: number
  /** Without the connections of Quayside. */
  connectedClients: number
  keyCount: number
}

/** Where Redis servers run. They outlive this process. Every action is idempotent and may be repeated after a crash in the middle. */
export interface RedisEngine {
  /** Version of the installed Redis, or why no server can be started, with the command that installs it. */
  availability(): Promise<{ version: string; missing: null } | { version: null; missing: string }>
  /** Where a new server is reached. `candidates`: some free ports that are not `taken`; empty if there is none. */
  place(taken: ReadonlySet<number>): Promise<{ host: string; candidates: number[] }>
  /** Starts a server, unless it runs, with these settings. Resolves with its version when it answers. Throws PortError<RedisFailureCode>. */
  start(spec: RedisSpec): Promise<{ version: string }>
  /** Applies settings to a running server, without a restart. Throws PortError<RedisFailureCode>. */
  apply(spec: RedisSpec): Promise<void>
  /** One state for each id, in order, including servers that other processes of the control plane have started. Delayed by no server. */
  observe(ids: readonly string[]): Promise<RedisState[]>
  /** Reads the metrics at most once in a few seconds, however often it is called. Null if the server does not answer. */
  measure(id: string): Promise<RedisMetrics | null>
  /** What running servers use, by id, without asking them. */
  usage(ids: readonly string[]): Promise<{ usage: ReadonlyMap<string, Usage>; capacity: Capacity }>
  /** Stops a server: its data is written to disk first, unless that takes longer than `graceMs`. */
  stop(id: string, options: { graceMs: number }): Promise<void>
  /** Stops a server and deletes its data. */
  remove(id: string): Promise<void>
  /** All servers that have data here, running or not. */
  list(): Promise<string[]>
}

export const redisEngine = definePort<RedisEngine>('redis engine')
