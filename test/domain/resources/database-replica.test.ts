/** Replicas of managed databases, with real clusters. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import type { DatabaseSpec } from '../../../src/domain/resources/database/ports.ts'
import { replicaEngine } from '../../../src/domain/resources/database-replica/index.ts'
import { replicaSpecOf } from '../../../src/domain/resources/database-replica/model.ts'
import type { ReplicaSpec } from '../../../src/domain/resources/database-replica/ports.ts'
import { createManagedReplicas } from '../../../src/drivers/postgres/managed-replica.ts'
import type { DatabaseReplica } from '../../../src/generated/prisma/client.ts'
import { openConnection } from '../../../src/platform/db/connection.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { query, sqlState, useShop } from './support.ts'

const shop = useShop()

const createReplica = 'mutation ($d: ID!) { createDatabaseReplica(input: {databaseId: $d}) { databaseReplica { id status port } } }'
const deleteReplica = 'mutation ($id: ID!) { deleteDatabaseReplica(input: {id: $id}) { deletedId } }'
const act = (name: string, id: string) => shop.run(`mutation ($id: ID!) { ${name}(input: {id: $id}) { __typename } }`, { id })

type Shown = { id: string; status: string; statusMessage: string | null; port: number; lagBytes: number | null }
const replicas = async (databaseId: string): Promise<Shown[]> =>
  (await shop.run('query ($id: ID!) { database(id: $id) { replicas { id status statusMessage port lagBytes } } }', { id: databaseId }))
    .database?.replicas ?? []
const replica = async (databaseId: string): Promise<Shown | null> => (await replicas(databaseId))[0] ?? null
const untilReplica = (databaseId: string, status: string) =>
  until(`the replica is ${status}`, async () => (await replica(databaseId))?.status === status)

/** Adds a replica to a database and waits until it runs. Returns its id and URL. */
async function addReplica(database: { id: string; url: string }): Promise<{ id: string; url: string }> {
  const { createDatabaseReplica } = await shop.run(createReplica, { d: database.id })
  const { id, port } = createDatabaseReplica.databaseReplica
  const url = new URL(database.url)
  url.port = String(port)
  await until('the replica runs', async () => (await replicas(database.id)).find((one) => one.id === id)?.status === 'RUNNING')
  return { id, url: url.href }
}

const idOf = (id: string) => decodeId(id.startsWith('db_') ? 'Database' : 'DatabaseReplica', id)
const folderOf = (id: string) => join(shop.app.settings.DATA_DIR, 'databases', idOf(id))
const postmaster = async (id: string) => Number((await readFile(join(folderOf(id), 'data/postmaster.pid'), 'utf8')).split('\n')[0])
const specOf = async (id: string) =>
  replicaSpecOf(shop.app, (await row<DatabaseReplica>(shop.app.db, sql`select * from database_replica where id = ${idOf(id)}::uuid`))!)

const socketDirOf = async (id: string): Promise<string> => {
  const text = await readFile(join(shop.app.settings.DATA_DIR, 'databases', id, 'data/postgresql.conf'), 'utf8')
  return /^unix_socket_directories = '(.*)'$/m.exec(text)![1]!
}

/** Runs statements as superuser of the replica's database, over its socket. */
async function onPrimary(replicaId: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const { port, superuserPassword } = (await specOf(replicaId)).primary
  const socketDir = await socketDirOf(idOf(replicaId))
  const session = await openConnection(
    `postgresql://quayside:${superuserPassword}@localhost:${port}/postgres?host=${encodeURIComponent(socketDir)}`,
  )
  try {
    for (const statement of statements.slice(0, -1)) await session.run(statement)
    return await session.rows(statements.at(-1)!)
  } finally {
    await session.close()
  }
}

let next = 1
/** Waits until the replica shows a row that is written to the database now. */
async function expectToFollow(database: string, copy: string): Promise<void> {
  const n = next++
  await query(database, 'insert into followed values ($1)', [n])
  await until('the row arrives', async () => (await query(copy, 'select from followed where n = $1', [n]).catch(() => [])).length === 1)
}

const eventsOf = async (id: string): Promise<string[]> => {
  const { rows: events } = await shop.app.db.pool.query('select type from event where subject_id = $1 order by id', [idOf(id)])
  return events.map(({ type }) => type)
}

describe('a replica', () => {
  let database: { id: string; url: string }
  let copy: { id: string; url: string }
  beforeAll(async () => {
    database = await shop.createDatabase('followed')
    await query(database.url, 'create table followed (n int)')
    copy = await addReplica(database)
  })

  it('has the rows of its database, also new ones, and is read-only', async () => {
    await expectToFollow(database.url, copy.url)
    expect(await sqlState(query(copy.url, 'insert into followed values (0)'))).toBe('25006')
    const superuser = new URL(copy.url)
    superuser.username = 'quayside'
    expect(await sqlState(query(superuser.href, 'select 1'))).toBe('28000')
    await until('it has caught up', async () => (await replica(database.id))?.lagBytes === 0)
    expect(await eventsOf(copy.id)).toEqual(['database_replica.created', 'database_replica.started'])
  })

  it('keeps no more of the write-ahead log than the limit, with a role that reads no table', async () => {
    expect(await onPrimary(copy.id, 'show max_slot_wal_keep_size')).toEqual([{ max_slot_wal_keep_size: '4GB' }])
    const role = await onPrimary(copy.id, "select rolsuper, rolreplication from pg_roles where rolname = 'quayside_replication'")
    expect(role).toEqual([{ rolsuper: false, rolreplication: true }])
  })

  it('is found running by another process, and continues after kill -9 of its server and of its database', async () => {
    const pid = await postmaster(copy.id)
    const other = createManagedReplicas({ dataDir: shop.app.settings.DATA_DIR })
    expect([...(await other.observe([await specOf(copy.id)])).values()]).toEqual(['running'])
    await other.start(await specOf(copy.id))
    expect(await postmaster(copy.id)).toBe(pid)
    process.kill(pid, 'SIGKILL')
    await until('another server runs', async () => (await postmaster(copy.id).catch(() => pid)) !== pid)
    await untilReplica(database.id, 'RUNNING')
    const primary = await postmaster(database.id)
    process.kill(primary, 'SIGKILL')
    await until('another server runs', async () => (await postmaster(database.id).catch(() => primary)) !== primary)
    await shop.untilStatus(database.id, 'RUNNING')
    await expectToFollow(database.url, copy.url)
    expect(await eventsOf(copy.id)).toEqual(['created', 'started', 'failed', 'recovered'].map((name) => `database_replica.${name}`))
  })

  it('stops, starts and restarts with its database, and takes a rotated password', async () => {
    await act('stopDatabase', database.id)
    expect(['STOPPING', 'STOPPED']).toContain((await replica(database.id))?.status)
    await untilReplica(database.id, 'STOPPED')
    expect(await sqlState(query(copy.url, 'select 1'))).toBe('ECONNREFUSED')
    await act('startDatabase', database.id)
    await untilReplica(database.id, 'RUNNING')
    await shop.untilStatus(database.id, 'RUNNING')
    const pid = await postmaster(copy.id)
    await act('restartDatabase', database.id)
    await until('it restarts', async () => (await eventsOf(copy.id)).at(-1) === 'database_replica.restarted')
    expect(await postmaster(copy.id)).not.toBe(pid)
    await until('the database runs', async () => (await eventsOf(database.id)).at(-1) === 'database.restarted')

    await act('rotateDatabasePassword', database.id)
    const former = copy.url
    database.url = await shop.reveal(database.id)
    copy.url = former.replace(new URL(former).password, new URL(database.url).password)
    await until('the new password works', async () => (await sqlState(query(copy.url, 'select 1'))) === 'done')
    expect(await sqlState(query(former, 'select 1'))).toBe('28P01')
  })

  it('has enough connections to follow, whichever server restarts first', async () => {
    const update = 'mutation ($id: ID!, $max: Int) { updateDatabase(input: {id: $id, maxConnections: $max}) { database { id } } }'
    const connections = async (url: string) => (await query(url, 'show max_connections').catch(() => []))[0]?.max_connections
    await shop.run(update, { id: database.id, max: 60 })
    await until('the replica has more', async () => (await connections(copy.url)) === '68')
    expect(await connections(database.url)).toBe('58')
    await shop.run(update, { id: database.id, max: 10 })
    const pid = await postmaster(copy.id)
    process.kill(pid, 'SIGKILL')
    await until('another server runs', async () => (await postmaster(copy.id).catch(() => pid)) !== pid)
    await expectToFollow(database.url, copy.url)
    await act('restartDatabase', database.id)
    await until('the database has less', async () => (await connections(database.url)) === '18')
    await expectToFollow(database.url, copy.url)
  })

  it('that its database keeps nothing for is copied anew, with a message', async () => {
    const slot = `replica_${idOf(copy.id).replaceAll('-', '')}`
    await until('the slot is dropped', () =>
      onPrimary(
        copy.id,
        `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${slot}' and active_pid is not null`,
        `select pg_drop_replication_slot('${slot}')`,
      ).then(
        () => true,
        () => false,
      ),
    )
    // Its earlier events, of servers that were killed, are not the ones that are waited for.
    await until('its failure has the reason', async () => {
      const { rows: failures } = await shop.app.db.pool.query(
        "select data from event where type = 'database_replica.failed' and subject_id = $1 order by id desc limit 1",
        [idOf(copy.id)],
      )
      return failures[0]?.data.message.includes('fell too far behind its database')
    })
    await until('it has recovered', async () => (await eventsOf(copy.id)).at(-1) === 'database_replica.recovered')
    await expectToFollow(database.url, copy.url)
  })

  it('is deleted with its copy, and its database keeps nothing for it', async () => {
    await shop.run(deleteReplica, { id: copy.id })
    await until('it is gone', async () => (await replicas(database.id)).length === 0)
    expect(await sqlState(query(copy.url, 'select 1'))).toBe('ECONNREFUSED')
    expect(await readdir(join(folderOf(database.id), 'data/pg_replslot'))).toEqual([])
    expect((await eventsOf(copy.id)).at(-1)).toBe('database_replica.deleted')
  })
})

describe('a database with replicas', () => {
  it('takes them with it when it is deleted', async () => {
    const database = await shop.createDatabase('going')
    const copies = [await addReplica(database), await addReplica(database)]
    await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id: database.id })
    await shop.untilGone(database.id)
    for (const { url } of [database, ...copies]) expect(await sqlState(query(url, 'select 1'))).toBe('ECONNREFUSED')
    const left = await readdir(join(shop.app.settings.DATA_DIR, 'databases'))
    for (const { id } of [database, ...copies]) expect(left).not.toContain(idOf(id))
  })

  it('has at most three, which wait while it is stopped', async () => {
    const database = await shop.createDatabase('stopped')
    await act('stopDatabase', database.id)
    await shop.untilStatus(database.id, 'STOPPED')
    for (let n = 0; n < 3; n++) await shop.run(createReplica, { d: database.id })
    expect(await shop.refused(createReplica, { d: database.id })).toMatchObject({ code: 'replica_limit' })
    await until('they are stopped', async () => (await replicas(database.id)).every(({ status }) => status === 'STOPPED'))
    expect(await replicas(database.id)).toHaveLength(3)
    await act('startDatabase', database.id)
    await until('they run', async () => (await replicas(database.id)).every(({ status }) => status === 'RUNNING'))
    await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id: database.id })
    await shop.untilGone(database.id)
  })

  it('on the server of MANAGED_POSTGRES_URL is refused, and a replica is not taken for a database', async () => {
    const { id } = await shop.createDatabase('shared')
    await shop.app.db.pool.query('update database set owns_port = false where id = $1', [idOf(id)])
    expect(await shop.refused(createReplica, { d: id })).toMatchObject({ code: 'replica_not_supported' })
    await shop.app.db.pool.query('update database set owns_port = true where id = $1', [idOf(id)])
    expect(await replicas(id)).toEqual([])
    const database = await shop.createDatabase('bound')
    const copy = await addReplica(database)
    const asDatabase = copy.id.replace('dbreplica_', 'db_')
    for (const name of ['createDatabaseReplica', 'createBackup', 'connectDatabase']) {
      const service = name === 'connectDatabase' ? `, webServiceId: "${await shop.service('reader')}"` : ''
      const source = `mutation ($d: ID!) { ${name}(input: {databaseId: $d${service}}) { __typename } }`
      expect(await shop.refused(source, { d: asDatabase })).toMatchObject({ code: 'not_found' })
    }
    expect((await shop.run('query ($id: ID!) { database(id: $id) { id } }', { id: asDatabase })).database).toBeNull()
  })
})

describe('the engine', () => {
  const spec = (id: string, port: number): DatabaseSpec => ({
    ...{ id: `01a21c00-0000-7000-8000-0000000000${id}`, host: '127.0.0.1', port, ownsPort: true, databaseName: 'app', username: 'app' },
    ...{ password: 'password-of-app', superuserPassword: 'password-of-superuser', maxConnections: 5, settings: {} },
  })
  let primary: DatabaseSpec
  let copy: ReplicaSpec
  let urls: { primary: string; copy: string }
  beforeAll(async () => {
    const { candidates } = await databaseEngine.use(shop.app).place('new', new Set())
    primary = spec('aa', candidates[0]!)
    copy = { id: spec('bb', 0).id, host: '127.0.0.1', port: candidates[1]!, primary }
    const urlAt = (port: number) => `postgresql://app:${primary.password}@127.0.0.1:${port}/app`
    urls = { primary: urlAt(primary.port), copy: urlAt(copy.port) }
    await databaseEngine.use(shop.app).start(primary)
    await query(urls.primary, 'create table followed (n int)')
  })

  it('completes a copy whose process was killed in the middle', async () => {
    const driver = join(import.meta.dirname, '../../../src/drivers/postgres/managed-replica.ts')
    const script = `import type { ReplicaSpec } from '../../../src/domain/resources/database-replica/ports.ts'
import { createManagedReplicas } from ${JSON.stringify(driver)}
      await createManagedReplicas({ dataDir: ${JSON.stringify(shop.app.settings.DATA_DIR)} }).start(${JSON.stringify(copy)})`
    const copier = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: 'ignore' })
    const folder = join(shop.app.settings.DATA_DIR, 'databases', copy.id)
    await until('files are copied', () =>
      readdir(join(folder, 'new/base')).then(
        () => true,
        () => false,
      ),
    )
    copier.kill('SIGKILL')
    await once(copier, 'exit')
    await replicaEngine.use(shop.app).start(copy)
    await expectToFollow(urls.primary, urls.copy)
  })

  it('copies a replica anew that needs more of the write-ahead log than the limit', async () => {
    const engine = replicaEngine.use(shop.app)
    await engine.stop(copy)
    const url = `postgresql://quayside:${primary.superuserPassword}@localhost:${primary.port}/app?host=${encodeURIComponent(await socketDirOf(copy.id))}`
    const session = await openConnection(url)
    await session.run("alter system set max_slot_wal_keep_size = '1MB'")
    await session.rows('select pg_reload_conf()')
    await until('the slot is lost', async () => {
      await session.run('insert into followed values (0)')
      await session.rows('select pg_switch_wal()')
      await session.run('checkpoint')
      return (await session.rows("select from pg_replication_slots where wal_status = 'lost'")).length === 1
    })
    await session.run('alter system reset max_slot_wal_keep_size')
    await session.close()
    await expect(engine.check(copy)).rejects.toMatchObject({ code: 'BEHIND' })
    await engine.start(copy)
    await engine.check(copy)
    await expectToFollow(urls.primary, urls.copy)
  })

  it('serves a replica while its database is away, but copies none, and removes one whose database is stopped', async () => {
    const engine = replicaEngine.use(shop.app)
    await engine.stop(copy)
    await databaseEngine.use(shop.app).stop(primary)
    await engine.start(copy)
    expect(await sqlState(query(urls.copy, 'select n from followed'))).toBe('done')
    await expect(engine.lagBytes(copy)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    const uncopied = { ...copy, id: spec('cc', 0).id, port: copy.port + 1 }
    await expect(engine.start(uncopied)).rejects.toMatchObject({ code: 'PRIMARY_MISSING' })
    await engine.remove(uncopied)
    await databaseEngine.use(shop.app).start(primary)
    await expectToFollow(urls.primary, urls.copy)
    await databaseEngine.use(shop.app).stop(primary)
    await engine.remove(copy)
    await engine.remove(copy)
    await databaseEngine.use(shop.app).start(primary)
    expect(await readdir(join(shop.app.settings.DATA_DIR, 'databases', primary.id, 'data/pg_replslot'))).toEqual([])
    await databaseEngine.use(shop.app).remove(primary)
  })
})
