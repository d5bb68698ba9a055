/** Bodies of databases and of their connections to web services. Credentials are only in the body of a reveal. */
import { z } from 'zod'
import type { DatabaseRow } from '../../domain/resources/database/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, total, words } from './field.ts'
import { databaseKinds, databaseStatuses } from './vocabulary.ts'

const kind = words(databaseKinds)
const status = words(databaseStatuses)

const database = z
  .object({
    id,
    kind,
    name: z.string(),
    status,
    project_id: id,
    plan_name: z.null(),
    memory_limit_mb: z.null(),
    storage_limit_gb: z.null(),
    internal_hostname: z.string().describe('Host name or address that web services connect to.'),
    external_hostname: z.null(),
    public_access_enabled: z.boolean(),
    cpu_usage_percent: z.null(),
    memory_usage_percent: z.null(),
    instance_count: z.int(),
    created_at: time,
  })
  .describe('A managed database.')

const databaseList = z.object({ databases: z.array(database), total }).describe('List of databases, oldest first.')
const databaseState = z.object({ id, kind, status }).describe('State of a managed database.')
export const listedDatabase = database.extend({ postgres_version: z.string() }).describe('A managed PostgreSQL database of a project.')

const databaseCredentials = z
  .object({
    id,
    url: z.string().nullable().describe('Connection URL with the password.'),
    host: z.string(),
    port: z.int(),
    database_name: z.string(),
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

export const databaseSchemas = { database, databaseList, databaseState, databaseCredentials, connection }

export const databaseBodies: Named[] = [
  { id: 'Database', schema: database },
  { id: 'DatabaseList', schema: databaseList },
  { id: 'DatabaseState', schema: databaseState },
  { id: 'ListedDatabase', schema: listedDatabase },
  { id: 'DatabaseCredentials', schema: databaseCredentials },
  { id: 'Connection', schema: connection },
]

export type DatabaseBody<Name extends keyof typeof databaseSchemas> = z.infer<(typeof databaseSchemas)[Name]>

export const databaseBody = (row: DatabaseRow): DatabaseBody<'database'> => ({
  id: row.id,
  kind: databaseKinds.Database,
  name: row.name,
  status: databaseStatuses[row.status],
  project_id: row.projectId,
  plan_name: null,
  memory_limit_mb: null,
  storage_limit_gb: null,
  internal_hostname: row.host,
  external_hostname: null,
  public_access_enabled: false,
  cpu_usage_percent: null,
  memory_usage_percent: null,
  instance_count: 1,
  created_at: timeOf(row.createdAt),
})

export const listedDatabaseBody = (row: DatabaseRow): z.infer<typeof listedDatabase> => ({
  ...databaseBody(row),
  postgres_version: row.postgresVersion,
})

export const databaseStateBody = (row: DatabaseRow): DatabaseBody<'databaseState'> => ({
  id: row.id,
  kind: databaseKinds.Database,
  status: databaseStatuses[row.status],
})
