/** The configuration of a server, and the limits that follow from its settings. All pure. */
import { createHash } from 'node:crypto'
import type { RedisSettings, RedisSpec } from '../../domain/resources/redis/ports.ts'

/** Account of the control plane. It can do no more than it needs. */
export const platformUser = 'quayside'

const MiB = 2 ** 20
/** A connection uses about 40 KiB while it is active, which counts as used memory. */
const maxClients = (maxMemoryBytes: number) => Math.min(mostClients, Math.max(100, Math.floor(maxMemoryBytes / (MiB / 4))))
const mostClients = 1_000
/** Descriptors that the server needs beside its connections. */
const ownDescriptors = 64

/** Limits that the kernel enforces, because scripts and fragmentation are not part of `maxmemory`. */
export type ProcessLimits = { descriptors: number; dataBytes: number }

export const processLimits = ({ maxMemoryBytes }: RedisSettings): ProcessLimits => ({
  descriptors: mostClients + ownDescriptors,
  dataBytes: 2 * maxMemoryBytes + connectionBytes(maxMemoryBytes) + 256 * MiB,
})

/** Memory of all connections together, beyond which the largest is closed. Also the limit of a single one. */
const connectionBytes = (maxMemoryBytes: number) => Math.max(32 * MiB, Math.ceil(maxMemoryBytes / 4))

/** Settings that can be changed while the server runs. */
export function liveSettings({ maxMemoryBytes, evictionPolicy, persistent }: RedisSettings): [name: string, value: string][] {
  const connections = connectionBytes(maxMemoryBytes)
  return [
    ['maxmemory', String(maxMemoryBytes)],
    ['maxmemory-policy', evictionPolicy],
    ['maxclients', String(maxClients(maxMemoryBytes))],
    ['maxmemory-clients', String(connections)],
    ['client-output-buffer-limit', `normal ${connections} 0 0 pubsub ${connections} 0 0`],
    ['client-query-buffer-limit', String(connections)],
    ['proto-max-bulk-len', String(Math.min(512 * MiB, connections))],
    ['appendonly', persistent ? 'yes' : 'no'],
  ]
}

/**
 * Management of the server is refused: configuration, persistence, replication, modules, other accounts, and MIGRATE, which opens connections.
 * What remains is what an application does with its own data, and what clients ask for when they connect.
 */
const clientRules = [
  '~* &* +@all -@admin -@dangerous',
  '+info +keys +sort +sort_ro +flushdb +flushall +swapdb +restore +client|list +client|unblock +slowlog|get +slowlog|len',
].join(' ')

const platformRules = 'resetkeys resetchannels -@all +auth +ping +info +config|set'

type Place = { directory: string; platformPassword: string }

/** Contains only hashes of passwords. */
export function configOf(spec: RedisSpec, { directory, platformPassword }: Place): string {
  const lines = [
    // First, so that even a server that got only a part of this accepts nobody.
    ['user', 'default off'],
    ['bind', '127.0.0.1'],
    ['port', String(spec.port)],
    ['tcp-backlog', '128'],
    ['databases', '16'],
    ['daemonize', 'no'],
    ['loglevel', 'warning'],
    ['dir', quoted(directory)],
    ['save', '""'],
    ['appendfsync', 'everysec'],
    ['appenddirname', appendDirectory],
    ['auto-aof-rewrite-min-size', String(16 * MiB)],
    ['sanitize-dump-payload', 'yes'],
    ['enable-protected-configs', 'no'],
    ['enable-debug-command', 'no'],
    ['enable-module-command', 'no'],
    ...liveSettings(spec),
    ['user', `${platformUser} on #${sha256(platformPassword)} ${platformRules}`],
    ['user', `${spec.username} on #${sha256(spec.password)} ${clientRules}`],
  ]
  return lines.map((line) => `${line.join(' ')}\n`).join('')
}

/** Holds the data of a persistent server. */
export const appendDirectory = 'appendonly'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const quoted = (text: string) => `"${text.replaceAll(/[\\"]/g, '\\$&')}"`
