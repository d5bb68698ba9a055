/** What a process of the control plane makes of the servers that it finds at its first look. The servers only pretend to run. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import type { DatabaseEngine, ObservedDatabase } from '../../../src/domain/resources/database/ports.ts'
import { adoptResources, settleResources } from '../../../src/domain/resources/resource/index.ts'
import { decodeId } from '../../../src/platform/id.ts'
import type { TestApp } from '../../support/app.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'

let [world, tenant, projectId] = [{} as World, {} as Tenant, '']
const servers = new Map<string, ObservedDatabase>()
const starts: string[] = []

const engine: Partial<DatabaseEngine> = {
  place: async (_origin, taken) => ({
    ...{ host: '127.0.0.1', ownsPort: true, version: '18.4' },
    candidates: Array.from({ length: 50 }, (_, n) => 20_000 + n).filter((port) => !taken.has(port)),
  }),
  observe: async (databases) => new Map(databases.map(({ id }) => [id, servers.get(id) ?? 'stopped'])),
  async start({ id }) {
    starts.push(id)
    servers.set(id, 'running')
  },
}

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  databaseEngine.provide(world.app, engine as DatabaseEngine)
  projectId = (await run('mutation { createProject(input: {name: "Shop"}) { project { id } } }')).createProject.project.id
})
afterAll(() => world.close())

// biome-ignore lint/suspicious/noExplicitAny: data of any shape
async function run(source: string, variables?: Record<string, unknown>): Promise<any> {
  const { data, errors } = await operation(world.app, tenant.owner, source, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

async function startedProcess(): Promise<TestApp> {
  const app = await world.process()
  databaseEngine.provide(app, engine as DatabaseEngine)
  return app
}

/** One pass of a process, which then releases the lease. */
async function pass(app: TestApp): Promise<void> {
  await app.domain.chores.find(({ name }) => name === 'supervise database')!.run(app, new AbortController().signal)
  await settleResources(app)
}

/** A running database, which `app` has started. */
async function database(app: TestApp, name: string): Promise<string> {
  const { createDatabase } = await run(
    'mutation ($p: ID!, $name: String!) { createDatabase(input: {projectId: $p, name: $name}) { database { id } } }',
    { p: projectId, name },
  )
  await pass(app)
  return decodeId('Database', createDatabase.database.id)
}

const stateOf = async (id: string) => {
  const { rows } = await world.app.db.pool.query('select status, failures from database where id = $1', [id])
  return rows[0]
}
const eventsOf = async (id: string): Promise<string[]> => {
  const { rows } = await world.app.db.pool.query('select type from event where subject_id = $1 order by id', [id])
  return rows.map(({ type }) => type.replace('database.', ''))
}

it('a server that ended while no process watched it is STARTING before the API shows it, which is no failure', async () => {
  const id = await database(await startedProcess(), 'planned')
  servers.delete(id)
  const next = await startedProcess()
  await adoptResources(next)
  await settleResources(next)
  expect(await stateOf(id)).toEqual({ status: 'STARTING', failures: 0 })
  await pass(next)
  expect(await stateOf(id)).toEqual({ status: 'RUNNING', failures: 0 })
  expect(await eventsOf(id)).toEqual(['created', 'started', 'started'])
})

it('the first pass of a process that takes over does the same', async () => {
  const id = await database(await startedProcess(), 'taken over')
  servers.delete(id)
  await pass(await startedProcess())
  expect(await stateOf(id)).toEqual({ status: 'RUNNING', failures: 0 })
  expect(await eventsOf(id)).toEqual(['created', 'started', 'started'])
})

it('a server that runs at the first look is RUNNING and not started, and its end after that is a failure', async () => {
  const id = await database(await startedProcess(), 'watched')
  const next = await startedProcess()
  await adoptResources(next)
  await pass(next)
  expect(await stateOf(id)).toEqual({ status: 'RUNNING', failures: 0 })
  expect(starts.filter((started) => started === id)).toHaveLength(1)
  servers.delete(id)
  await pass(next)
  expect(await stateOf(id)).toEqual({ status: 'FAILED', failures: 1 })
  await pass(next)
  expect(await eventsOf(id)).toEqual(['created', 'started', 'failed', 'recovered'])
})

it('a server that cannot be reached at the first look has failed, since no stop of the platform explains it', async () => {
  const id = await database(await startedProcess(), 'away')
  servers.set(id, 'unreachable')
  const next = await startedProcess()
  await adoptResources(next)
  await pass(next)
  expect(await stateOf(id)).toMatchObject({ status: 'FAILED' })
  expect(await eventsOf(id)).toEqual(['created', 'started', 'failed'])
})

it('a process that starts beside the one that watches leaves the failure to that one', async () => {
  const watching = await startedProcess()
  const id = await database(watching, 'shared')
  await adoptResources(watching)
  servers.delete(id)
  await adoptResources(await startedProcess())
  expect(await stateOf(id)).toMatchObject({ status: 'RUNNING' })
  await pass(watching)
  expect(await stateOf(id)).toMatchObject({ status: 'FAILED' })
})
