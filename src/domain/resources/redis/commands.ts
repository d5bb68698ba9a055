import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Redis } from '../../../generated/prisma/client.ts'
import { changes, defineCommand } from '../../../platform/command.ts'
import { assignments, newRow, row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema, slugFrom } from '../../../platform/name.ts'
import { insertWithSlug } from '../../../platform/slug.ts'
import type { App } from '../../../platform/work.ts'
import { environmentCreated, placeFor } from '../../apps/environment/index.ts'
import { chosenPlan } from '../../apps/plan/index.ts'
import { projectCreated } from '../../apps/project/index.ts'
import { keySchema } from '../../configuration/variable/index.ts'
import { choosePort, insertResource, lifecycleCommands, resourceTopic, takenPorts } from '../resource/index.ts'
import { connectResource, disconnectAll, resourceBindingCreated, resourceBindingDeleted } from '../resource-binding/index.ts'
import { bindableRedis } from './bound-value.ts'
import { eventOf, redisCreated, redisUpdated } from './events.ts'
import { lockRedis } from './lock.ts'
import { memoryRange, passwordIdentity, settingsSchema, urlIdentity, urlOf } from './model.ts'
import { redisPlans } from './plans.ts'
import { redisEngine } from './ports.ts'

/** A row without its sealed values, as results contain it. */
export type RedisRow = Omit<Redis, 'password' | 'url' | 'urlFingerprint'>

export const shown = ({ password, url, urlFingerprint, ...redis }: Redis): RedisRow => redis

type Prepared = { version: string | null; missing: string | null; host: string; candidates: number[] }

/** Whether and where a new instance can run. Asked before the transaction, because the engine looks for the program and for free ports. */
async function prepareRedis(app: App): Promise<Prepared> {
  const engine = redisEngine.use(app)
  return { ...(await engine.availability()), ...(await engine.place(await takenPorts(app))) }
}

export const createRedis = defineCommand({
  name: 'createRedis',
  description:
    'Creates a Redis instance and returns it with the status `CREATING`. Its address and credentials are valid as soon as the status is `RUNNING`. The instance belongs to the given environment or, by default, to the production environment of the project. Fails with `unavailable` if the machine has neither Redis nor Valkey; the message contains the command that installs it.',
  permission: 'manage:databases',
  ids: { projectId: 'Project', environmentId: 'Environment' },
  targetType: 'Redis',
  input: settingsSchema.extend({
    projectId: z.string().nullish(),
    environmentId: z.string().nullish(),
    planId: z.string().nullish(),
    name: nameSchema,
  }),
  emits: [redisCreated, projectCreated, environmentCreated],
  prepare: ({ app }) => prepareRedis(app),
  async run(work, input, _target, { version, missing, host, candidates }) {
    if (missing !== null) throw errors.unavailable({ text: missing })
    const plan = chosenPlan(redisPlans, input.planId)
    const environment = await placeFor(work, input)
    const { organizationId, projectId, id: environmentId } = environment
    const id = newId()
    const port = await choosePort(work, { candidates, noun: 'Redis instance', setting: 'REDIS_PORTS' })
    await insertResource(work, { id, type: 'Redis', environment, port })
    // In characters that need no escapes in a URL.
    const password = randomBytes(24).toString('base64url')
    const url = urlOf({ host, port }, password)
    const { keyring } = work.app
    const data = {
      ...{ id, organizationId, projectId, environmentId, name: input.name, redisVersion: version, host, port },
      ...{ desiredState: 'RUNNING' as const, status: 'CREATING' as const, createdBy: work.caller.subject.name },
      password: await keyring.seal(work.tx, organizationId, passwordIdentity(id), password),
      url: await keyring.seal(work.tx, organizationId, urlIdentity(id), url),
      urlFingerprint: await keyring.fingerprint(work.tx, organizationId, url),
      maxMemoryBytes: input.maxMemoryBytes ?? plan?.memoryLimitBytes ?? memoryRange.usual,
      evictionPolicy: input.evictionPolicy ?? 'noeviction',
      persistent: input.persistent ?? true,
    }
    const redis = await insertWithSlug({ requested: null, generated: slugFrom(input.name, 'redis') }, (slug) =>
      row<Redis>(work.tx, sql`insert into redis ${newRow({ ...data, slug })} on conflict (environment_id, slug) do nothing returning *`),
    )
    work.wake('redis')
    await publish(work, redisCreated, eventOf(redis))
    return { redis: shown(redis) }
  },
})

export const updateRedis = defineCommand({
  name: 'updateRedis',
  description:
    'Updates a Redis instance. Omitted fields are left unchanged. Settings are applied to the running instance without a restart.',
  permission: 'manage:databases',
  ids: { id: 'Redis' },
  targetType: 'Redis',
  target: lockRedis,
  input: settingsSchema.extend({ name: nameSchema.nullish() }),
  emits: [redisUpdated],
  async run(work, input, target: Redis) {
    const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null && value !== undefined))
    if (!changes(target, given)) return { redis: shown(target) }
    const { name: _name, ...settings } = given
    const redis = (await row<Redis>(
      work.tx,
      sql`update redis set ${assignments(given)}, revision = revision + ${changes(target, settings) ? 1 : 0}, next_start_at = null, version = version + 1
          where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, redisUpdated, eventOf(redis))
    work.wake('redis', resourceTopic(redis.id))
    return { redis: shown(redis) }
  },
})

export const {
  start: startRedis,
  stop: stopRedis,
  restart: restartRedis,
  remove: deleteRedis,
} = lifecycleCommands({
  ...{ type: 'Redis', table: 'redis', name: 'redis', Name: 'Redis', noun: 'Redis instance', shown },
  permissions: { manage: 'manage:databases', delete: 'delete:databases' },
  disconnect: disconnectAll,
  disconnectEmits: [resourceBindingDeleted],
})

export const connectRedis = defineCommand({
  name: 'connectRedis',
  description:
    'Connects a Redis instance to a service of the same environment, which receives its URL as a secret variable from the next deployment on. Fails with `key_taken` if another connected resource already gives the service a variable of this name.',
  permission: 'manage:databases',
  ids: { redisId: 'Redis', webServiceId: 'WebService' },
  targetType: 'Redis',
  target: (work, { redisId }) => lockRedis(work, { id: redisId! }),
  input: z.object({ webServiceId: z.string(), alias: keySchema.nullish() }),
  emits: [resourceBindingCreated],
  run: (work, { webServiceId, alias }, redis: Redis) =>
    connectResource(work, { kind: bindableRedis, resource: redis, webServiceId, alias: alias ?? null }),
  audited: (_input, { resourceBinding }) => ({ resourceBindingId: resourceBinding.id, variables: resourceBinding.variables }),
})
