/** An organization with a project and a service, object storage, and something in its buckets that stands for objects. */
import { afterAll, beforeAll } from 'vitest'
import { bucketContents, storageEndpoint } from '../../../src/domain/resources/storage/index.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { createTenant, createWorld, type GraphqlAnswer, operation, type Tenant, type World } from '../../support/tenant.ts'

export const endpointUrl = 'http://127.0.0.1:4090'

export type Store = {
  world: World
  tenant: Tenant
  other: Tenant
  projectId: string
  /** Number of items in buckets, by their name; two are removed at a time. */
  items: Map<string, number>
  // biome-ignore lint/suspicious/noExplicitAny: data of any shape
  run(source: string, variables?: Record<string, unknown>, tenant?: Tenant): Promise<any>
  /** The error that an operation fails with. */
  refused(source: string, variables?: Record<string, unknown>, tenant?: Tenant): Promise<NonNullable<GraphqlAnswer['errors']>[number]>
  /** Creates a bucket with a name of its own. Returns both. */
  bucket(tenant?: Tenant): Promise<{ id: string; name: string }>
  service(name: string, environmentId?: string): Promise<string>
  eventsOf(id: string): Promise<string[]>
}

export const createBucketText = 'mutation ($name: String!) { createBucket(input: {name: $name}) { bucket { id name } } }'

export function useStore(settings: Record<string, string> = {}): Store {
  const store = { items: new Map<string, number>() } as Store
  const contents = defineConcept({
    name: 'items',
    extensions: [
      bucketContents.with({
        isEmpty: async (tx, id) => itemsOf(await nameOf(tx, id)) === 0,
        async removeSome({ tx }, { id }) {
          const name = await nameOf(tx, id)
          store.items.set(name, Math.max(0, itemsOf(name) - 2))
          return itemsOf(name) === 0
        },
      }),
    ],
  })
  const itemsOf = (name: string) => store.items.get(name) ?? 0
  const nameOf = async (tx: World['app']['db'] | Parameters<typeof rows>[0], id: string) =>
    (await rows<{ name: string }>(tx, sql`select name from bucket where id = ${id}::uuid`))[0]!.name

  beforeAll(async () => {
    const world = await createWorld(settings, [contents])
    storageEndpoint.provide(world.app, { url: endpointUrl })
    const [tenant, other] = [await createTenant(world.app), await createTenant(world.app)]
    const run: Store['run'] = async (source, variables, by = tenant) => {
      const { data, errors } = await operation(world.app, by.owner, source, variables)
      if (errors) throw new Error(JSON.stringify(errors))
      return data
    }
    const { createProject } = await run('mutation { createProject(input: {name: "Shop"}) { project { id } } }')
    Object.assign(store, {
      ...{ world, tenant, other, run, projectId: createProject.project.id },
      async refused(source, variables, by = tenant) {
        const { errors } = await operation(world.app, by.owner, source, variables)
        return errors?.[0] ?? { code: 'done', message: '' }
      },
      async bucket(by) {
        return (await run(createBucketText, { name: `bucket-${newId()}` }, by)).createBucket.bucket
      },
      async service(name, environmentId) {
        const { createWebService } = await run(
          'mutation ($p: ID!, $e: ID, $name: String!) { createWebService(input: {projectId: $p, environmentId: $e, name: $name}) { webService { id } } }',
          { p: store.projectId, e: environmentId, name },
        )
        return createWebService.webService.id
      },
      async eventsOf(id) {
        const type = id.startsWith('bkt_') ? 'Bucket' : 'StorageKey'
        const found = await rows<{ type: string }>(
          world.app.db,
          sql`select type from event where subject_id = ${decodeId(type, id)}::uuid order by sequence`,
        )
        return found.map((event) => event.type)
      },
    } satisfies Partial<Store>)
  })
  afterAll(() => store.world?.close())
  return store
}
