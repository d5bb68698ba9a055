import type PrismaTypes from '../../../generated/pothos-types.ts'
import {
  builder,
  columnsOf,
  connectionOf,
  type GraphqlContext,
  type InputBuilder,
  loadRows,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  rootConnection,
  type Types,
} from '../../../graphql/builder/index.ts'
import { Environment } from '../../apps/environment/graphql.ts'
import { Plan } from '../../apps/plan/graphql.ts'
import { Project } from '../../apps/project/graphql.ts'
import { writeWarningsField } from '../../configuration/variable/graphql.ts'
import { lifecycleMutations, supervisedFields } from '../resource/graphql.ts'
import { ResourceBinding } from '../resource-binding/graphql.ts'
import { bindingsByResource } from '../resource-binding/index.ts'
import { replaceDatabase, rotateDatabasePassword, updateDatabase } from './change.ts'
import { connectDatabase, createDatabase, deleteDatabase, restartDatabase, startDatabase, stopDatabase } from './commands.ts'
import { type Metrics, metricsOf } from './metrics.ts'
import { planOfDatabase } from './plans.ts'
import { countDatabases, databaseListing, findDatabase, listDatabases } from './queries.ts'
import { revealDatabase } from './reveal.ts'
import { databaseUse } from './usage.ts'

type FieldBuilder = PothosSchemaTypes.PrismaObjectFieldBuilder<Types, PrismaTypes['Database'], { id: string }>

/** A metric, read from the server at most once in a few seconds. */
const metric = (t: unknown, type: 'Float' | 'Int', name: keyof Metrics, text: string) =>
  (t as FieldBuilder).field({
    type,
    nullable: true,
    description: `${text} At most three seconds old. Null if the database is not running or does not answer.`,
    // The type of the row is that of the builder, which `select` would have to repeat.
    select: { id: true } as never,
    resolve: async ({ id }, _args, context) =>
      (await context.load('Database.metrics', id, (ids: readonly string[]) => metricsOf(context.app, ids)))?.[name] ?? null,
  })

/** What the servers use, read once for all fields and rows that ask. */
const useOf = (context: GraphqlContext, id: string) =>
  context.load('Database.use', id, (ids: readonly string[]) => databaseUse(context.app, ids))

export const Database = builder.prismaObject('Database', {
  description: 'A managed PostgreSQL database.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:databases',
  fields: (t) => ({
    ...supervisedFields(t, 'Database', 'database'),
    postgresVersion: t.exposeString('postgresVersion', { description: 'Version of PostgreSQL.' }),
    databaseName: t.exposeString('databaseName', { description: 'Name of the database in connection parameters.' }),
    username: t.exposeString('username', { description: 'Role that owns the database. It is no superuser.' }),
    plan: t.field({
      type: Plan,
      nullable: true,
      description: 'Plan whose limits the database has. Null if it has other limits.',
      select: { maxConnections: true },
      resolve: planOfDatabase,
    }),
    maxConnections: t.exposeInt('maxConnections', { description: 'Maximum number of concurrent connections of the role.' }),
    sizeBytes: metric(t, 'Float', 'sizeBytes', 'Size of the database on disk, in bytes.'),
    activeConnections: metric(t, 'Int', 'activeConnections', 'Number of open connections to the database.'),
    cacheHitRatio: metric(t, 'Float', 'cacheHitRatio', "Share of block reads that the server's cache answered, from 0 to 1."),
    transactionsPerSecond: metric(
      t,
      'Float',
      'transactionsPerSecond',
      'Transactions per second since the previous reading, which is null for the first one.',
    ),
    cpuUsagePercent: t.float({
      nullable: true,
      description:
        'CPU time that its server uses, in percent of all CPUs of the machine. Null if the database is not running, or is on a server that Quayside does not run.',
      select: { id: true },
      resolve: async ({ id }, _args, context) => (await useOf(context, id))?.cpuPercent ?? null,
    }),
    memoryUsagePercent: t.float({
      nullable: true,
      description:
        'Memory that its server uses, in percent of what the machine has. Null if the database is not running, or is on a server that Quayside does not run.',
      select: { id: true },
      resolve: async ({ id }, _args, context) => (await useOf(context, id))?.memoryPercent ?? null,
    }),
    settings: t.expose('settings', { type: 'JSON', description: 'Server settings that differ from the defaults, by name.' }),
    pendingRestart: t.exposeBoolean('pendingRestart', { description: 'Whether a changed setting takes effect only after a restart.' }),
    resourceBindings: t.field({
      type: [ResourceBinding],
      extensions: { rows: 20 },
      description: 'Connections of the database to services, oldest first.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'Database.resourceBindings', id, columnsOf(info, 'ResourceBinding'), bindingsByResource),
    }),
  }),
})

const databases = connectionOf(Database, databaseListing)
rootConnection(databases, {
  list: listDatabases,
  count: countDatabases,
  args: builder.args((t) => ({
    projectId: t.id({ description: 'Return only databases of this project.' }),
    environmentId: t.id({ description: 'Return only databases of this environment.' }),
  })),
})
nestedConnection(Project, 'databases', databases, { by: 'projectId', description: 'Databases of the project, oldest first.' })
nestedConnection(Environment, 'databases', databases, {
  by: 'environmentId',
  description: 'Databases of the environment, oldest first.',
})

builder.queryField('database', (t) =>
  t.field({
    type: Database,
    nullable: true,
    description: 'Database with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the database.' }) },
    resolve: (_root, args, context, info) => context.call(findDatabase, args, columnsOf(info, 'Database')),
  }),
)

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the database.' }) })

mutation(createDatabase, {
  input: (t) => ({
    projectId: t.id({
      description:
        "ID of the project. When both IDs are omitted, the database is created in the key's project or in the organization's default project.",
    }),
    environmentId: t.id({ description: "ID of the environment. Defaults to the project's oldest production environment." }),
    name: t.string({ required: true, description: 'Name of the database, from 1 to 100 characters.' }),
    planId: t.id({ description: 'ID of the plan. Fails with `not_found` if it is not one for databases. Defaults to `standard`.' }),
    maxConnections: t.int({
      description: 'Maximum number of concurrent connections of the role, from 1 to 500. Defaults to that of the plan.',
    }),
    settings: t.field({
      type: 'JSON',
      description:
        'Server settings by name, such as `{"work_mem": "16MB"}`. Settings that are not allowed, and values out of range, are refused with the allowed ones.',
    }),
  }),
  payload: payloadOf('database', Database, 'The created database.'),
})

mutation(updateDatabase, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: 'New name of the database, from 1 to 100 characters. Its slug and address stay as they are.' }),
    maxConnections: t.int({
      description: 'Maximum number of concurrent connections of the role, from 1 to 500. Null restores the default, 50.',
    }),
    settings: t.field({
      type: 'JSON',
      description: 'Server settings to change, by name. Null for a setting resets it, and null for the field resets all of them.',
    }),
  }),
  payload: payloadOf('database', Database, 'The updated database.'),
})

mutation(rotateDatabasePassword, { versioned: true, input: idInput, payload: payloadOf('database', Database, 'The changed database.') })

mutation(replaceDatabase, {
  input: (t) => ({
    fromDatabaseId: t.id({ required: true, description: 'ID of the database that services are connected to.' }),
    toDatabaseId: t.id({ required: true, description: 'ID of the database that they are connected to afterwards.' }),
  }),
  payload: (t) => ({
    resourceBindings: t.field({
      type: [ResourceBinding],
      description: 'The moved bindings.',
      resolve: (result) => result.resourceBindings,
    }),
  }),
})

lifecycleMutations(
  { start: startDatabase, stop: stopDatabase, restart: restartDatabase, remove: deleteDatabase },
  { type: 'Database', name: 'database', ref: Database, noun: 'database', idText: 'ID of the database.' },
)

mutation(connectDatabase, {
  input: (t) => ({
    databaseId: t.id({ required: true, description: 'ID of the database.' }),
    webServiceId: t.id({ required: true, description: 'ID of a service in the same environment.' }),
    alias: t.string({
      description:
        'Name of the variable that the service receives: letters, digits and underscores, not starting with a digit. Defaults to `DATABASE_URL`.',
    }),
  }),
  payload: (t) => ({
    resourceBinding: t.field({ type: ResourceBinding, description: 'The created binding.', resolve: (result) => result.resourceBinding }),
    warnings: writeWarningsField(t, 'Warnings about the variable, such as one that is hidden by an environment variable of the service.'),
  }),
})

mutation(revealDatabase, {
  input: idInput,
  payload: (t) => ({
    url: t.exposeString('url', {
      nullable: true,
      description: 'Connection URL with the password. Null if an idempotent request is repeated.',
    }),
    host: t.exposeString('host', { description: 'Host name or address.' }),
    port: t.exposeInt('port', { description: 'TCP port.' }),
    databaseName: t.exposeString('databaseName', { description: 'Name of the database.' }),
    username: t.exposeString('username', { description: 'Name of the role.' }),
    password: t.exposeString('password', {
      nullable: true,
      description: 'Password of the role. Null if an idempotent request is repeated.',
    }),
  }),
})
