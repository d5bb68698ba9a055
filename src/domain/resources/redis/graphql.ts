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
} from '../../../graphql/builder/index.ts'
import { Environment } from '../../apps/environment/graphql.ts'
import { Plan } from '../../apps/plan/graphql.ts'
import { Project } from '../../apps/project/graphql.ts'
import { writeWarningsField } from '../../configuration/variable/graphql.ts'
import { lifecycleMutations, supervisedFields } from '../resource/graphql.ts'
import { ResourceBinding } from '../resource-binding/graphql.ts'
import { bindingsByResource } from '../resource-binding/index.ts'
import { connectRedis, createRedis, deleteRedis, restartRedis, startRedis, stopRedis, updateRedis } from './commands.ts'
import { planOfRedis } from './plans.ts'
import { redisEngine } from './ports.ts'
import { countRedisInstances, findRedis, listRedisInstances, redisListing } from './queries.ts'
import { revealRedis } from './reveal.ts'
import { redisUse } from './usage.ts'

/** Metrics of a running instance, read once for all fields that ask. Null while it does not answer. */
const metricsOf = (context: GraphqlContext, { id, status }: { id: string; status: string }) =>
  status === 'RUNNING' ? redisEngine.use(context.app).measure(id) : null

/** What the servers use, read once for all fields and rows that ask. */
const useOf = (context: GraphqlContext, id: string) => context.load('Redis.use', id, (ids: readonly string[]) => redisUse(context.app, ids))

export const Redis = builder.prismaObject('Redis', {
  description: 'A managed Redis instance.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:databases',
  fields: (t) => ({
    ...supervisedFields(t, 'Redis', 'instance'),
    redisVersion: t.exposeString('redisVersion', {
      nullable: true,
      description: 'Version of Redis or Valkey that the instance was last started with.',
    }),
    plan: t.field({
      type: Plan,
      nullable: true,
      description: 'Plan whose limits the instance has. Null if it has other limits.',
      select: { maxMemoryBytes: true },
      resolve: planOfRedis,
    }),
    maxMemoryBytes: t.exposeFloat('maxMemoryBytes', { description: 'Maximum size of the data in bytes.' }),
    usedMemoryBytes: t.float({
      nullable: true,
      description: 'Memory in use, in bytes. At most a few seconds old. Null while the instance does not answer.',
      select: { id: true, status: true },
      resolve: async (redis, _args, context) => (await metricsOf(context, redis))?.usedMemoryBytes ?? null,
    }),
    connectedClients: t.int({
      nullable: true,
      description: 'Number of open connections of clients. At most a few seconds old. Null while the instance does not answer.',
      select: { id: true, status: true },
      resolve: async (redis, _args, context) => (await metricsOf(context, redis))?.connectedClients ?? null,
    }),
    keyCount: t.int({
      nullable: true,
      description: 'Number of keys. At most a few seconds old. Null while the instance does not answer.',
      select: { id: true, status: true },
      resolve: async (redis, _args, context) => (await metricsOf(context, redis))?.keyCount ?? null,
    }),
    cpuUsagePercent: t.float({
      nullable: true,
      description: 'CPU time that the instance uses, in percent of all CPUs of the machine. Null if it is not running.',
      select: { id: true },
      resolve: async ({ id }, _args, context) => (await useOf(context, id))?.cpuPercent ?? null,
    }),
    memoryUsagePercent: t.float({
      nullable: true,
      description: 'Memory in use, in percent of `maxMemoryBytes`. Null if the instance is not running or does not answer.',
      select: { id: true },
      resolve: async ({ id }, _args, context) => (await useOf(context, id))?.memoryPercent ?? null,
    }),
    persistent: t.exposeBoolean('persistent', {
      description:
        'Whether the data survives a restart. It is written to disk every second, and with every change to the operating system.',
    }),
    evictionPolicy: t.exposeString('evictionPolicy', {
      description: 'What happens when the memory is full, such as `noeviction` (writes fail) or `allkeys-lru`.',
    }),
    resourceBindings: t.field({
      type: [ResourceBinding],
      extensions: { rows: 20 },
      description: 'Connections of the instance to services, oldest first.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'Redis.resourceBindings', id, columnsOf(info, 'ResourceBinding'), bindingsByResource),
    }),
  }),
})

const instances = connectionOf(Redis, redisListing)
rootConnection(instances, {
  list: listRedisInstances,
  count: countRedisInstances,
  args: builder.args((t) => ({
    projectId: t.id({ description: 'Return only instances of this project.' }),
    environmentId: t.id({ description: 'Return only instances of this environment.' }),
  })),
})
nestedConnection(Project, 'redisInstances', instances, { by: 'projectId', description: 'Redis instances of the project, oldest first.' })
nestedConnection(Environment, 'redisInstances', instances, {
  by: 'environmentId',
  description: 'Redis instances of the environment, oldest first.',
})

builder.queryField('redis', (t) =>
  t.field({
    type: Redis,
    nullable: true,
    description: 'Redis instance with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the instance.' }) },
    resolve: (_root, args, context, info) => context.call(findRedis, args, columnsOf(info, 'Redis')),
  }),
)

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the instance.' }) })
const policies =
  '`noeviction`, `allkeys-lru`, `allkeys-lfu`, `allkeys-random`, `volatile-lru`, `volatile-lfu`, `volatile-random` or `volatile-ttl`'

mutation(createRedis, {
  input: (t) => ({
    projectId: t.id({
      description:
        "ID of the project. When both IDs are omitted, the instance is created in the key's project or in the organization's default project.",
    }),
    environmentId: t.id({ description: "ID of the environment. Defaults to the project's oldest production environment." }),
    name: t.string({ required: true, description: 'Name of the instance, from 1 to 100 characters.' }),
    planId: t.id({ description: 'ID of the plan. Fails with `not_found` if it is not one for Redis instances. Defaults to `standard`.' }),
    maxMemoryBytes: t.float({
      description: 'Maximum size of the data in bytes, from 16777216 (16 MiB) to 68719476736 (64 GiB). Defaults to that of the plan.',
    }),
    persistent: t.boolean({ defaultValue: true, description: 'Whether the data survives a restart.' }),
    evictionPolicy: t.string({ description: `What happens when the memory is full: ${policies}. Defaults to \`noeviction\`.` }),
  }),
  payload: payloadOf('redis', Redis, 'The created instance.'),
})

mutation(updateRedis, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: 'New name, from 1 to 100 characters.' }),
    maxMemoryBytes: t.float({
      description:
        'New maximum size of the data in bytes, from 16777216 (16 MiB) to 68719476736 (64 GiB). Data beyond it is evicted according to the eviction policy.',
    }),
    persistent: t.boolean({
      description: 'Whether the data survives a restart. When turned off, the data is lost with the next restart.',
    }),
    evictionPolicy: t.string({ description: `What happens when the memory is full: ${policies}.` }),
  }),
  payload: payloadOf('redis', Redis, 'The updated instance.'),
})

lifecycleMutations(
  { start: startRedis, stop: stopRedis, restart: restartRedis, remove: deleteRedis },
  { type: 'Redis', name: 'redis', ref: Redis, noun: 'instance', idText: 'ID of the instance.' },
)

mutation(connectRedis, {
  input: (t) => ({
    redisId: t.id({ required: true, description: 'ID of the Redis instance.' }),
    webServiceId: t.id({ required: true, description: 'ID of a service in the same environment.' }),
    alias: t.string({
      description:
        'Name of the variable that the service receives: letters, digits and underscores, not starting with a digit. Defaults to `REDIS_URL`.',
    }),
  }),
  payload: (t) => ({
    resourceBinding: t.field({ type: ResourceBinding, description: 'The created binding.', resolve: (result) => result.resourceBinding }),
    warnings: writeWarningsField(t, 'Warnings about the variable, such as one that is hidden by an environment variable of the service.'),
  }),
})

mutation(revealRedis, {
  input: idInput,
  payload: (t) => ({
    url: t.exposeString('url', {
      nullable: true,
      description: 'Connection URL with the password. Null if an idempotent request is repeated.',
    }),
    host: t.exposeString('host', { description: 'Host name or address.' }),
    port: t.exposeInt('port', { description: 'TCP port.' }),
    username: t.exposeString('username', { description: 'Name of the account.' }),
    password: t.exposeString('password', {
      nullable: true,
      description: 'Password of the account. Null if an idempotent request is repeated.',
    }),
  }),
})
