/** The deletion of an organization leaves nothing of it, wherever its processes are killed, and touches nothing else. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { callerOfCredential, callerOfKey, createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { findOperation } from '../../../src/domain/access/operation/index.ts'
import { deleteOrganization } from '../../../src/domain/access/organization-deletion/commands.ts'
import { resumeDeletions } from '../../../src/domain/access/organization-deletion/jobs.ts'
import { runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import type { Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import { backupStore } from '../../../src/domain/resources/backup/index.ts'
import type { BackupStore } from '../../../src/domain/resources/backup/ports.ts'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import type { DatabaseEngine } from '../../../src/domain/resources/database/ports.ts'
import { replicaEngine } from '../../../src/domain/resources/database-replica/index.ts'
import type { ReplicaEngine } from '../../../src/domain/resources/database-replica/ports.ts'
import { redisEngine } from '../../../src/domain/resources/redis/index.ts'
import type { RedisEngine } from '../../../src/domain/resources/redis/ports.ts'
import { blobStore, putObject } from '../../../src/domain/resources/stored-object/index.ts'
import { createBlobDisk } from '../../../src/drivers/blob-disk/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { createEstate, createFullWorld, type Estate } from '../../contract/estate.ts'
import { signIn } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, operation, request, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

/** The organization goes no sooner than REQUEST_TIMEOUT_MS after the request. */
const settings = { REQUEST_TIMEOUT_MS: '500', WORKER_LEASE_MS: '1000' }

let world: World
let directory: string
let jobs: Jobs | undefined
const removed = { releases: [] as string[], services: [] as string[], servers: [] as string[], archives: [] as string[] }

/** Drivers that remove at once and note it. */
function provideDrivers(): void {
  const { app } = world
  const ended = new Set<string>()
  runtimePort.provide(app, {
    sandbox: 'none',
    observe: async (ids) =>
      ids.map((instanceId) =>
        ended.has(instanceId) ? { instanceId, state: 'missing' } : { instanceId, state: 'running', startedAt: new Date(0) },
      ),
    probe: async () => ({ ok: true, status: 200, reason: null, otherPorts: [], otherHosts: [] }),
    stop: async (id) => void ended.add(id),
    forget: async (id) => void ended.add(id),
    readOutput: async (_id, position) => ({ chunks: [], position, droppedBytes: 0 }),
    list: async () => [],
    sweep: async () => {},
    kept: async () => ({ digests: [], serviceIds: [] }),
    removeRelease: async (digest) => void removed.releases.push(digest),
    removeService: async (id) => void removed.services.push(id),
  } as Partial<Runtime> as Runtime)
  const servers = {
    observe: async (all: readonly { id: string }[]) => new Map(all.map(({ id }) => [id, 'running' as const])),
    start: async () => {},
    apply: async () => ({ pendingRestart: false }),
    stop: async () => {},
    remove: async ({ id }: { id: string }) => void removed.servers.push(id),
  }
  databaseEngine.provide(app, { ...databaseEngine.use(app), ...servers } as Partial<DatabaseEngine> as DatabaseEngine)
  replicaEngine.provide(app, { ...servers, check: async () => {}, lagBytes: async () => 0 } as unknown as ReplicaEngine)
  redisEngine.provide(app, {
    ...redisEngine.use(app),
    observe: async (ids) => ids.map(() => 'running'),
    apply: async () => {},
    start: async () => ({ version: '7.0.15' }),
    stop: async () => {},
    remove: async (id) => void removed.servers.push(id),
  } as Partial<RedisEngine> as RedisEngine)
  backupStore.provide(app, {
    nameOf: (path) => path,
    remove: async (name) => void removed.archives.push(name),
  } as Partial<BackupStore> as BackupStore)
  blobStore.provide(app, createBlobDisk({ directory, reserveBytes: 0 }))
}

/** What the background does of a deletion, and nothing that changes the rows of others on its own. */
const background = [
  'fan events out to webhooks',
  'reconcile instances',
  'expire releases',
  'purge web services',
  'purge environments',
  'purge projects',
  'purge backups',
  'remove buckets',
  'purge blobs',
]

function startBackground(): void {
  const chores = world.app.domain.chores.filter(({ name }) => background.includes(name) || name.startsWith('supervise '))
  expect(chores.length).toBe(background.length + 3)
  jobs = startJobs(world.app, { queues: [], chores })
}

beforeAll(async () => {
  world = await createFullWorld(settings)
  directory = await mkdtemp(join(tmpdir(), 'quayside-objects-'))
  provideDrivers()
})
afterAll(async () => {
  await jobs?.stop({ graceMs: 1_000 })
  await world?.close()
  await rm(directory, { recursive: true, force: true })
})

/** Every table with an organization. */
const tables = async (): Promise<string[]> =>
  (
    await rows<{ name: string }>(
      world.app.db,
      sql`select c.table_name as name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
          where c.table_schema = 'public' and c.column_name = 'organization_id' and t.table_type = 'BASE TABLE' order by 1`,
    )
  ).map(({ name }) => name)

const rowsOf = async (table: string, organizationId: string): Promise<string[]> =>
  (
    await world.app.db.pool.query(`select t::text as text from ${table} t where organization_id = $1 order by 1`, [organizationId])
  ).rows.map(({ text }) => text as string)

async function dump(organizationId: string): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const table of await tables()) found[table] = await rowsOf(table, organizationId)
  return found
}

const filled = async (organizationId: string) =>
  Object.entries(await dump(organizationId)).flatMap(([table, found]) => (found.length > 0 ? [table] : []))

const statuses = async () =>
  (
    await rows<{ status: string }>(
      world.app.db,
      sql`select status::text from database union all select status::text from redis union all select status::text from database_replica
          union all select status::text from service_runtime`,
    )
  ).map(({ status }) => status)

const waitingEvents = async () =>
  (await row<{ n: number }>(
    world.app.db,
    sql`select count(*)::int as n from event e where position is null or not exists (select 1 from webhook_message m where m.id = e.id)`,
  ))!.n

/** The number of stored objects. */
const files = async () => (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length

/** What belongs to no organization by itself, and would stay behind. */
const orphans = async () =>
  rows(
    world.app.db,
    sql`select subject_id from event_subject s where not exists (select 1 from event e where e.subject_id = s.subject_id)
        union all select endpoint_id from webhook_lane l where not exists (select 1 from webhook_endpoint e where e.id = l.endpoint_id)`,
  )

function startWorker(name: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, '../../support/operation-worker.ts'), [world.url, name, JSON.stringify(settings)])
  return new Promise((done, failed) => {
    child.once('message', () => done(child))
    child.once('exit', (code) => failed(new Error(`the worker exited with ${code}`)))
  })
}

const ended = (child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM') =>
  new Promise<void>((done) => {
    child.once('exit', () => done())
    child.kill(signal)
  })

async function populate(tenant: Tenant): Promise<Estate> {
  const { app } = world
  const estate = await createEstate(app, tenant)
  const bucket = (await row<{ id: string; organizationId: string; name: string }>(
    app.db,
    sql`select id, organization_id, name from bucket where organization_id = ${tenant.organizationId}::uuid`,
  ))!
  const upload = { body: Readable.from([Buffer.from('hello')]), sizeBytes: 5, signal: new AbortController().signal }
  await putObject(app, bucket, 'greeting.txt', { upload, attributes: { headers: {}, metadata: {} }, conditions: {} })
  await execute(request(app, tenant.owner), createApiKey, { name: 'kept answer', scope: 'READ', idempotencyKey: newId() })
  await run(
    app.db,
    sql`insert into organization_key (id, organization_id, version, master_version, wrapped)
    select ${newId()}::uuid, organization_id, 99, master_version, wrapped from organization_key where organization_id = ${tenant.organizationId}::uuid limit 1`,
  )
  await goLive(tenant)
  return estate
}

/** The deployment of the estate is live, with its instance and its release. */
async function goLive({ organizationId }: Tenant): Promise<void> {
  const { db } = world.app
  const own = sql`organization_id = ${organizationId}::uuid`
  await run(db, sql`update deployment set status = 'LIVE', live_at = now(), release_digest = 'sha256:' || id where ${own}`)
  await run(
    db,
    sql`insert into release (id, organization_id, web_service_id, deployment_id, digest, size_bytes)
        select ${newId()}::uuid, organization_id, web_service_id, id, release_digest, 1 from deployment where ${own}`,
  )
  await run(db, sql`update web_service set desired_state = 'RUNNING' where ${own}`)
  await run(
    db,
    sql`update instance i set started_at = now(), generation = s.generation from web_service s where i.web_service_id = s.id and s.organization_id = ${organizationId}::uuid`,
  )
}

it('removes everything of the organization and nothing of others, although its processes are killed again and again', async () => {
  const { app } = world
  const [other, tenant] = [await createTenant(app), await createTenant(app)]
  await populate(other)
  await populate(tenant)
  startBackground()
  await until('everything runs', async () => (await statuses()).every((status) => status === 'RUNNING'))
  await until('every event has its message', async () => (await waitingEvents()) === 0)
  const kept = await dump(other.organizationId)
  expect(await filled(tenant.organizationId)).toEqual(Object.keys(kept).filter((table) => kept[table]!.length > 0))
  expect(await files()).toBe(2)

  const { operation: begun } = await execute(request(app, tenant.owner), deleteOrganization, { confirmSlug: tenant.owner.subject.name })
  const progress = async () => (await ask(request(app, tenant.owner), findOperation, { id: begun.id }))?.stepsCompleted ?? null
  for (const steps of [1, 6, 9]) {
    const worker = await startWorker(`worker ${steps}`)
    await until(`${steps} contents are removed`, async () => ((await progress()) ?? Number.POSITIVE_INFINITY) >= steps)
    await ended(worker, 'SIGKILL')
  }
  const worker = await startWorker('last worker')
  await until('the organization is gone', async () => {
    // After three killed workers in a row, the operation itself is suspected, and set aside for a while.
    await resumeDeletions.run(app, new AbortController().signal)
    return (await row(app.db, sql`select 1 from organization where id = ${tenant.organizationId}::uuid`)) === null
  })
  await ended(worker, 'SIGTERM')

  expect(await filled(tenant.organizationId)).toEqual([])
  expect(await dump(other.organizationId)).toEqual(kept)
  expect(await files()).toBe(1)
  expect(await orphans()).toEqual([])
  expect([removed.releases, removed.services, removed.archives].map(({ length }) => length)).toEqual([1, 1, 1])
  expect(removed.servers.toSorted()).toHaveLength(3)
})

it('needs the slug, an owner, and another organization that stays', async () => {
  const { app } = world
  const lone = await createWorld()
  onTestFinished(lone.close)
  const last = await createTenant(lone.app)
  const deletion = (of: World, caller: Caller, confirmSlug: string) =>
    codeOf(execute(request(of.app, caller), deleteOrganization, { confirmSlug }))
  expect(await deletion(lone, last.owner, last.owner.subject.name)).toBe('last_organization')
  const [tenant, admin] = [await createTenant(app), await createTenant(app, undefined, 'ADMIN')]
  expect(await deletion(world, tenant.owner, 'another')).toBe('invalid_input')
  expect(await deletion(world, admin.owner, admin.owner.subject.name)).toBe('forbidden')
  expect(await deletion(world, { ...tenant.owner, projectIds: [newId()] }, tenant.owner.subject.name)).toBe('forbidden')
  expect(await deletion(world, tenant.owner, tenant.owner.subject.name)).toBe('done')
  expect(await deletion(world, tenant.owner, tenant.owner.subject.name)).toBe('not_found')
})

it('of two organizations that are deleted at once, one stays if there is no other', async () => {
  const lone = await createWorld()
  onTestFinished(lone.close)
  const both = [await createTenant(lone.app), await createTenant(lone.app)]
  const codes = both.map(({ owner }) => codeOf(execute(request(lone.app, owner), deleteOrganization, { confirmSlug: owner.subject.name })))
  expect((await Promise.all(codes)).toSorted()).toEqual(['done', 'last_organization'])
})

it('at once, its credentials are worth nothing, except that whoever requested it can follow the operation until it is gone', async () => {
  const { app } = world
  const [tenant, colleague] = [await createTenant(app), await createTenant(app)]
  await run(
    app.db,
    sql`insert into member (id, organization_id, user_id, role_id)
        select ${newId()}::uuid, organization_id, ${colleague.owner.userId}::uuid, id from role
        where organization_id = ${tenant.organizationId}::uuid and system = 'ADMIN'`,
  )
  const keyOf = async ({ owner }: Tenant) =>
    (await execute(request(app, { ...owner, organizationId: tenant.organizationId }), createApiKey, { name: 'key', scope: 'ADMIN' }))
      .plaintextKey!
  const [own, colleagues] = [await keyOf(tenant), await keyOf(colleague)]
  expect((await callerOfKey(app, own))?.permissions.has('delete:organization')).toBe(true)
  expect(await callerOfKey(app, colleagues)).not.toBeNull()
  const { accessToken } = await signIn(app, tenant.owner)
  const { operation: begun } = await execute(request(app, (await callerOfKey(app, own))!), deleteOrganization, {
    confirmSlug: tenant.owner.subject.name,
  })
  await until('the process knows it', async () => (await callerOfKey(app, colleagues)) === null)
  const left = (await callerOfKey(app, own))!
  expect([...left.permissions]).toEqual(['view:organization'])
  const { data, errors } = await operation(app, left, 'query ($id: ID!) { operation(id: $id) { type status } }', { id: begun.id })
  expect({ data, errors }).toEqual({ data: { operation: { type: 'deleteOrganization', status: 'QUEUED' } }, errors: undefined })
  expect((await operation(app, left, '{ organization { name } }')).errors?.map(({ code }) => code)).toEqual(['not_found'])
  expect((await operation(app, left, '{ projects { totalCount } }')).errors?.map(({ code }) => code)).toEqual(['forbidden'])
  const session = await callerOfCredential(app, { text: accessToken, organization: null, fromCookie: false })
  expect([session?.organizationId, ...session!.permissions]).toEqual([tenant.organizationId, 'view:organization'])
  const { organizations } = (await operation(app, colleague.owner, '{ organizations { nodes { id } } }')).data!
  expect(organizations.nodes).toEqual([{ id: encodeId('Organization', colleague.organizationId) }])

  const worker = await startWorker('only worker')
  await until('the organization is gone', async () => (await callerOfKey(app, own)) === null)
  await ended(worker, 'SIGTERM')
  expect(await filled(tenant.organizationId)).toEqual([])
  expect(await rows(app.db, sql`select 1 from user_account where id = ${tenant.owner.userId}::uuid`)).toHaveLength(1)
})
