/** Plans in GraphQL: their limits are those of what is created with them. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createFullWorld } from '../../contract/estate.ts'
import { createTenant, operation, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const send = (source: string, variables: Record<string, unknown> = {}) => operation(world.app, tenant.owner, source, variables)
const plansOf = async (serviceType: string): Promise<{ id: string; slug: string }[]> =>
  (await send('query ($type: PlanServiceType) { plans(serviceType: $type) { id slug } }', { type: serviceType })).data!.plans
const planId = async (serviceType: string, slug: string) => (await plansOf(serviceType)).find((plan) => plan.slug === slug)!.id

const createRedis = `mutation ($plan: ID, $bytes: Float) {
  createRedis(input: {name: "Cache", planId: $plan, maxMemoryBytes: $bytes}) { redis { id maxMemoryBytes plan { slug memoryLimitBytes cpuLimit } } } }`
const createDatabase = `mutation ($plan: ID, $connections: Int) {
  createDatabase(input: {name: "Orders", planId: $plan, maxConnections: $connections}) { database { maxConnections plan { slug maxConnections } } } }`

it('are listed with the limits that are enforced, and null for those that are not', async () => {
  const { data } = await send('{ plans { serviceType slug cpuLimit memoryLimitBytes storageLimitBytes maxConnections } }')
  const none = { cpuLimit: null, memoryLimitBytes: null, storageLimitBytes: null, maxConnections: null }
  expect(data!.plans).toContainEqual({ serviceType: 'WEB_SERVICE', slug: 'standard', ...none })
  expect(data!.plans).toContainEqual({ serviceType: 'POSTGRESQL', slug: 'large', ...none, maxConnections: 200 })
  expect(data!.plans).toContainEqual({ serviceType: 'REDIS', slug: 'large', ...none, memoryLimitBytes: 2 ** 31 })
})

it('set the limits of what is created, unless these are given too', async () => {
  const memory = await send(createRedis, { plan: await planId('REDIS', 'large') })
  expect(memory.data!.createRedis.redis).toMatchObject({ maxMemoryBytes: 2 ** 31, plan: { slug: 'large', memoryLimitBytes: 2 ** 31 } })
  const own = await send(createRedis, { plan: await planId('REDIS', 'large'), bytes: 2 ** 25 })
  expect(own.data!.createRedis.redis).toMatchObject({ maxMemoryBytes: 2 ** 25, plan: null })
  const wide = await send(createDatabase, { plan: await planId('POSTGRESQL', 'medium') })
  expect(wide.data!.createDatabase.database).toEqual({ maxConnections: 100, plan: { slug: 'medium', maxConnections: 100 } })
  const usual = await send(createDatabase)
  expect(usual.data!.createDatabase.database.plan).toMatchObject({ slug: 'standard' })
})

it('are no longer those of an instance whose limits were changed', async () => {
  const { id } = (await send(createRedis, { plan: await planId('REDIS', 'medium') })).data!.createRedis.redis
  const changed = await send(
    'mutation ($id: ID!) { updateRedis(input: {id: $id, maxMemoryBytes: 33554432}) { redis { plan { slug } } } }',
    { id },
  )
  expect(changed.data!.updateRedis.redis.plan).toBeNull()
})

it.each([
  ['REDIS', createDatabase],
  ['WEB_SERVICE', createRedis],
])('of the kind %s are not found for another kind', async (serviceType, source) => {
  const refused = await send(source, { plan: (await plansOf(serviceType))[0]!.id })
  expect(refused.errors).toEqual([expect.objectContaining({ code: 'not_found' })])
})
