/** A project with a service, real database clusters, and the supervisor of their resources. */

import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import type { DatabaseEngine, DatabaseRef } from '../../../src/domain/resources/database/ports.ts'
import { replicaEngine } from '../../../src/domain/resources/database-replica/index.ts'
import { replicaSpecOf } from '../../../src/domain/resources/database-replica/model.ts'
import type { ReplicaEngine } from '../../../src/domain/resources/database-replica/ports.ts'
import { settleResources } from '../../../src/domain/resources/resource/index.ts'
import { createManagedPostgres } from '../../../src/drivers/postgres/managed.ts'
import { createManagedReplicas } from '../../../src/drivers/postgres/managed-replica.ts'
import type { DatabaseReplica } from '../../../src/generated/prisma/client.ts'
import { startChore } from '../../../src/jobs/chore.ts'
import type { Loop } from '../../../src/jobs/loop.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import type { App } from '../../../src/platform/work.ts'
import type { TestApp } from '../../support/app.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

export type Shop = {
  world: World
  app: TestApp
  tenant: Tenant
  projectId: string
  environmentId: string
  /** Runs an operation and returns its data. Throws if there is an error. */
  // biome-ignore lint/suspicious/noExplicitAny: data of any shape
  run(source: string, variables?: Record<string, unknown>): Promise<any>
  /** The code of the error that an operation fails with, and its message. */
  refused(source: string, variables?: Record<string, unknown>): Promise<{ code: string; message: string }>
  /** Creates a database and waits until it is running. Returns its id and URL. */
  createDatabase(name: string): Promise<{ id: string; url: string }>
  status(id: string): Promise<{ status: string; statusMessage: string | null } | null>
  untilStatus(id: string, status: string): Promise<void>
  untilGone(id: string): Promise<void>
  reveal(id: string): Promise<string>
  service(name: string, environmentId?: string): Promise<string>
}

/** One range of ports for each worker of vitest, so that concurrent tests do not take each other's ports. */
const worker = Number(process.env.VITEST_POOL_ID ?? 1) % 20
export const ports = { first: 13_000 + worker * 100, last: 13_099 + worker * 100 }

export const engineOf = (app: App) => createManagedPostgres({ dataDir: app.settings.DATA_DIR, ports })
const replicasOf = (app: App) => createManagedReplicas({ dataDir: app.settings.DATA_DIR })

/** The chores that supervise resources, running in this process. */
export const supervisorsOf = (app: App): Loop[] =>
  app.domain.chores.filter(({ name }) => name.startsWith('supervise ')).map((chore) => startChore(app, chore))

/** Sets up before the tests of a file, and removes every database after them. */
export function useShop(engineFor: (app: App) => DatabaseEngine = engineOf, replicasFor: (app: App) => ReplicaEngine = replicasOf): Shop {
  const shop = {} as Shop
  let loops: Loop[] = []
  beforeAll(async () => {
    const world = await createWorld()
    const { app } = world
    databaseEngine.provide(app, engineFor(app))
    replicaEngine.provide(app, replicasFor(app))
    const tenant = await createTenant(app)
    loops = supervisorsOf(app)
    const run: Shop['run'] = async (source, variables) => {
      const { data, errors } = await operation(app, tenant.owner, source, variables)
      if (errors) throw new Error(JSON.stringify(errors))
      return data
    }
    const { createProject } = await run(
      'mutation { createProject(input: {name: "Shop"}) { project { id environments { nodes { id } } } } }',
    )
    const { id: projectId } = createProject.project
    const environmentId = createProject.project.environments.nodes[0].id
    const status: Shop['status'] = async (id) =>
      (await run('query ($id: ID!) { database(id: $id) { status statusMessage } }', { id })).database
    const untilStatus: Shop['untilStatus'] = async (id, wanted) => {
      await until(`the database is ${wanted}`, async () => (await status(id))?.status === wanted)
    }
    const reveal: Shop['reveal'] = async (id) =>
      (await run('mutation ($id: ID!) { revealDatabase(input: {id: $id}) { url } }', { id })).revealDatabase.url
    Object.assign(shop, {
      world,
      app,
      tenant,
      projectId,
      environmentId,
      run,
      status,
      untilStatus,
      untilGone: async (id) => void (await until('the database is removed', async () => (await status(id)) === null)),
      reveal,
      async refused(source, variables) {
        const { errors } = await operation(app, tenant.owner, source, variables)
        return errors?.[0] ?? { code: 'done', message: '' }
      },
      async createDatabase(name) {
        const { createDatabase } = await run(
          'mutation ($p: ID!, $name: String!) { createDatabase(input: {projectId: $p, name: $name}) { database { id } } }',
          { p: projectId, name },
        )
        const { id } = createDatabase.database
        await untilStatus(id, 'RUNNING')
        return { id, url: await reveal(id) }
      },
      async service(name, environment) {
        const { createWebService } = await run(
          'mutation ($p: ID!, $e: ID, $name: String!) { createWebService(input: {projectId: $p, environmentId: $e, name: $name}) { webService { id } } }',
          { p: projectId, e: environment, name },
        )
        return createWebService.webService.id
      },
    } satisfies Shop)
  })
  afterAll(async () => {
    for (const loop of loops) await loop.stop(0)
    const { app, world } = shop
    await settleResources(app)
    await stopDatabases(app)
    await world.close()
  })
  return shop
}

/** Stops the clusters of an App and removes their data, whatever state they are in. */
export async function stopDatabases(app: App): Promise<void> {
  const replicas = await rows<DatabaseReplica>(app.db, sql`select * from database_replica`)
  for (const replica of replicas) await replicaEngine.use(app).remove(await replicaSpecOf(app, replica))
  const all = await rows<DatabaseRef>(app.db, sql`select id, host, port, owns_port, database_name, username from database`)
  const engine = databaseEngine.use(app)
  for (const database of all) await engine.remove(database)
}

export async function query(url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

/** SQLSTATE that a query fails with. */
export const sqlState = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? String(error),
  )
