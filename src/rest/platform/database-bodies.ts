/**
 * Bodies of managed databases of both kinds, PostgreSQL and Redis, and of their connections to web services. Credentials are only in the
 * body of a reveal.
 */
import { z } from 'zod'
import type { Plan } from '../../domain/apps/plan/index.ts'
import { type DatabaseRow, databaseUse, planOfDatabase } from '../../domain/resources/database/index.ts'
import { type ManagedDatabase, planOfRedis, type RedisRow, redisUse } from '../../domain/resources/redis/index.ts'
import type { ServerUse } from '../../domain/resources/resource/index.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf, total, words } from './field.ts'
import { type DatabaseKind, databaseKinds, databaseStatuses } from './vocabulary.ts'

const kind = words(databaseKinds)
const status = words(databaseStatuses)

const database = z
  .object({
    id,
    kind,
    name: z.string(),
    status,
    project_id: id,
    plan_name: z.string().nullable().describe('Name of the plan whose limits the database has. Null if it has other limits.'),
    memory_limit_mb: z.int().nullable().describe('Memory for data in MiB. Null for PostgreSQL.'),
    storage_limit_gb: z.null(),
    internal_hostname: z.string().describe('Host name or address that web services connect to.'),
    external_hostname: z.null(),
    public_access_enabled: z.boolean(),
    cpu_usage_percent: z
      .number()
      .min(0)
      .nullable()
      .describe('CPU use in percent of all CPUs of the machine. Null if the server is not running or its processes are not known.'),
    memory_usage_percent: z
      .number()
      .min(0)
      .nullable()
      .describe('Memory use in percent of the limit, or without one of what the machine has. Null like the CPU use.'),
    instance_count: z.int(),
    created_at: time,
  })
  .describe('A managed database.')

const databaseList = z.object({ databases: z.array(database), total }).describe('List of databases of both kinds, oldest first.')
const redisList = z.object({ redis_instances: z.array(database), total }).describe('List of Redis instances, oldest first.')
const databaseState = z.object({ id, kind, status }).describe('State of a managed database.')
export const listedDatabase = database.extend({ postgres_version: z.string() }).describe('A managed PostgreSQL database of a project.')
export const listedRedis = database.extend({ redis_version: z.string() }).describe('A managed Redis instance of a project.')

const databaseCredentials = z
  .object({
    id,
    url: z.string().nullable().describe('Connection URL with the password.'),
    host: z.string(),
    port: z.int(),
    database_name: z.string().nullable().describe('Null for a Redis instance.'),
    username: z.string(),
    password: z.string().nullable(),
  })
  .describe('Address and credentials of a managed database.')

const connection = z
  .object({
    id,
    target_type: kind,
    target_id: id,
    env_var_key: z.string().describe('Name of the secret variable that the web service receives.'),
  })
  .describe('A connection of a managed database to a web service.')

export const databaseSchemas = { database, databaseList, redisList, databaseState, databaseCredentials, connection }

export const databaseBodies: Named[] = [
  { id: 'Database', schema: database },
  { id: 'DatabaseList', schema: databaseList },
  { id: 'RedisList', schema: redisList },
  { id: 'DatabaseState', schema: databaseState },
  { id: 'ListedDatabase', schema: listedDatabase },
  { id: 'ListedRedis', schema: listedRedis },
  { id: 'DatabaseCredentials', schema: databaseCredentials },
  { id: 'Connection', schema: connection },
]

export type DatabaseBody<Name extends keyof typeof databaseSchemas> = z.infer<(typeof databaseSchemas)[Name]>

type Row = Pick<DatabaseRow, 'id' | 'name' | 'status' | 'projectId' | 'host' | 'createdAt'> & { maxMemoryBytes?: number }

const bodyOf = (kind: DatabaseKind, row: Row, plan: Plan | null, use: ServerUse | null): DatabaseBody<'database'> => ({
  id: row.id,
  kind: databaseKinds[kind],
  name: row.name,
  status: databaseStatuses[row.status],
  project_id: row.projectId,
  plan_name: plan?.name ?? null,
  memory_limit_mb: row.maxMemoryBytes === undefined ? null : Math.floor(row.maxMemoryBytes / 2 ** 20),
  storage_limit_gb: null,
  internal_hostname: row.host,
  external_hostname: null,
  public_access_enabled: false,
  cpu_usage_percent: use?.cpuPercent ?? null,
  memory_usage_percent: use?.memoryPercent ?? null,
  instance_count: 1,
  created_at: timeOf(row.createdAt),
})

const planOf = ({ type, row }: ManagedDatabase) => (type === 'Redis' ? planOfRedis(row) : planOfDatabase(row))

/** In the order of the rows. */
export async function managedDatabaseBodies(rows: readonly ManagedDatabase[], { app }: View): Promise<DatabaseBody<'database'>[]> {
  const idsOf = (type: DatabaseKind) => rows.filter((one) => one.type === type).map(({ row }) => row.id)
  const [databases, redis] = [idsOf('Database'), idsOf('Redis')]
  const uses = await Promise.all([databaseUse(app, databases), redisUse(app, redis)])
  const byId = new Map([...databases, ...redis].map((id, index) => [id, uses.flat()[index]!]))
  return rows.map((one) => bodyOf(one.type, one.row, planOf(one), byId.get(one.row.id) ?? null))
}

export const databaseBodiesOf = (rows: readonly DatabaseRow[], view: View) =>
  managedDatabaseBodies(
    rows.map((row) => ({ type: 'Database', row })),
    view,
  )
export const redisBodiesOf = (rows: readonly RedisRow[], view: View) =>
  managedDatabaseBodies(
    rows.map((row) => ({ type: 'Redis', row })),
    view,
  )
export const oneDatabase = async (row: DatabaseRow, view: View) => (await databaseBodiesOf([row], view))[0]!
export const oneRedis = async (row: RedisRow, view: View) => (await redisBodiesOf([row], view))[0]!

export async function listedDatabases(rows: readonly DatabaseRow[], view: View): Promise<z.infer<typeof listedDatabase>[]> {
  const bodies = await databaseBodiesOf(rows, view)
  return bodies.map((body, index) => ({ ...body, postgres_version: rows[index]!.postgresVersion }))
}

export async function listedRedisInstances(rows: readonly RedisRow[], view: View): Promise<z.infer<typeof listedRedis>[]> {
  const bodies = await redisBodiesOf(rows, view)
  return bodies.map((body, index) => ({ ...body, redis_version: rows[index]!.redisVersion }))
}

const stateOf = (kind: DatabaseKind, { id, status }: Pick<Row, 'id' | 'status'>): DatabaseBody<'databaseState'> => ({
  id,
  kind: databaseKinds[kind],
  status: databaseStatuses[status],
})

export const databaseStateBody = (row: DatabaseRow) => stateOf('Database', row)
export const redisStateBody = (row: RedisRow) => stateOf('Redis', row)
