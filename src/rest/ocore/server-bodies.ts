/** Schemas of the bodies of servers, and how rows become bodies. */
import { z } from 'zod'
import type { ServerRow } from '../../domain/apps/server/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, words } from './field.ts'
import { listOf } from './page.ts'
import { authMethods, serverStatuses } from './vocabulary.ts'

const fact = (schema: z.ZodType<number>, description: string) => schema.nullable().describe(`${description} Null if it is not known.`)
const text = (description: string) => z.string().nullable().describe(`${description} Null if it is not known.`)
const ofConnection = 'Null for the local server.'

const server = z
  .object({
    id,
    name: z.string(),
    kind: z.enum(['local', 'ssh']).describe('`local` is the machine that runs Quayside.'),
    host: z.string().nullable().describe(`Host name or address. ${ofConnection}`),
    port: z.int().nullable().describe(`Port of the SSH server. ${ofConnection}`),
    sshUser: z.string().nullable().describe(`Name of the account. ${ofConnection}`),
    authMethod: words(authMethods).nullable().describe(`How Quayside logs in. ${ofConnection}`),
    status: words(serverStatuses),
    statusMessage: z.string().nullable().describe('Reason for the status `error`, and what to do.'),
    cpuCores: fact(z.int(), 'Number of CPU cores.'),
    ramTotalBytes: fact(z.number(), 'Size of the memory in bytes.'),
    diskTotalBytes: fact(z.number(), 'Size of the disk in bytes.'),
    diskFreeBytes: fact(z.number(), 'Free space on the disk in bytes.'),
    osName: text('Name of the operating system.'),
    osVersion: text('Version of the operating system.'),
    hostKeyFingerprint: z
      .string()
      .nullable()
      .describe('Fingerprint of the pinned host key. Null until it was seen, and for the local server.'),
    lastSeenAt: time.nullable().describe('Time when a check of the server last succeeded. Null if none has.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('A server.')

export const serverSchemas = { server, serverList: listOf(server).describe('A page of servers, oldest first.') }

export const serverBodies: Named[] = [
  { id: 'Server', schema: server },
  { id: 'ServerList', schema: serverSchemas.serverList },
]

export const serverBody = (row: ServerRow): z.output<typeof server> => ({
  id: row.id,
  name: row.name,
  kind: row.kind as 'local' | 'ssh',
  host: row.host,
  port: row.port,
  sshUser: row.sshUser,
  authMethod: row.authMethod && authMethods[row.authMethod],
  status: serverStatuses[row.status],
  statusMessage: row.statusMessage,
  cpuCores: row.cpuCores,
  ramTotalBytes: row.ramTotalBytes,
  diskTotalBytes: row.diskTotalBytes,
  diskFreeBytes: row.diskFreeBytes,
  osName: row.osName,
  osVersion: row.osVersion,
  hostKeyFingerprint: row.hostKeyFingerprint,
  lastSeenAt: timeOrNull(row.lastSeenAt),
  createdAt: timeOf(row.createdAt),
  updatedAt: timeOf(row.updatedAt),
})
