/** Managed databases on a PostgreSQL server that exists. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatabaseSpec } from '../../../src/domain/resources/database/ports.ts'
import { createDatabaseEngine } from '../../../src/drivers/postgres/engine.ts'
import { createServerPostgres } from '../../../src/drivers/postgres/server.ts'
import { newId } from '../../../src/platform/id.ts'
import { isPortFree } from '../../../src/platform/loopback-port.ts'
import { Secret } from '../../../src/platform/settings.ts'
import { openPostgresServer, type PostgresServer } from '../../support/postgres-server.ts'
import { until } from '../../support/wait.ts'
import { describeDatabases } from './database-contract.ts'
import { ports, query, sqlState, useShop } from './support.ts'

/** Ports of databases with a server of their own. */
const local = { first: ports.first, last: ports.last - 50 }
const port = await freePort()

let server: PostgresServer
beforeAll(async () => {
  server = await openPostgresServer(port)
})
// Before the shop's, which runs first and needs the server.
afterAll(() => server.close())
const shop = useShop(({ settings }) =>
  createDatabaseEngine({ dataDir: settings.DATA_DIR, ports: local, serverUrl: new Secret(server.adminUrl) }),
)

const asSuperuser = (text: string, values?: unknown[]) => query(`${server.superuserUrl}/postgres`, text, values)
const stopDatabase = 'mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }'
const updateSettings = 'mutation ($id: ID!, $s: JSON) { updateDatabase(input: {id: $id, settings: $s}) { database { id } } }'
const nameIn = (url: string) => new URL(url).pathname.slice(1)

async function freePort(): Promise<number> {
  for (let candidate = ports.last; candidate > local.last; candidate--) if (await isPortFree(candidate)) return candidate
  throw new Error('no port is free')
}

function newSpec(changed: Partial<DatabaseSpec> = {}): DatabaseSpec {
  const id = newId()
  const name = `db_${id.replaceAll('-', '')}`
  const address = { host: '127.0.0.1', port, ownsPort: false, databaseName: name, username: name }
  const passwords = { password: `password-of-${name}`, superuserPassword: 'unused' }
  return { id, ...address, ...passwords, maxConnections: 5, settings: {}, ...changed }
}
const urlOf = ({ username, password, databaseName }: DatabaseSpec) =>
  `postgresql://${username}:${password}@127.0.0.1:${port}/${databaseName}`
const engineOn = (url: string) => createServerPostgres(new Secret(url))

describeDatabases(shop, { stopped: '28000', removed: '28P01', stranger: '42501' })

describe('a database on a shared server', () => {
  it('has the address of the server, and names with its whole id', async () => {
    const { id, url } = await shop.createDatabase('Names')
    const { database } = await shop.run('query ($id: ID!) { database(id: $id) { host port postgresVersion } }', { id })
    expect(database).toMatchObject({ host: '127.0.0.1', port })
    expect(database.postgresVersion).toMatch(/^\d+\.\d+$/)
    expect(nameIn(url)).toMatch(/^names_[0-9a-f]{32}$/)
  })

  it('belongs to a role that is no superuser, creates neither roles nor databases, and has a limit of connections', async () => {
    const spec = newSpec({ maxConnections: 1 })
    const engine = engineOn(server.adminUrl)
    await engine.start(spec)
    const client = new pg.Client({ connectionString: urlOf(spec) })
    await client.connect()
    expect(
      (await client.query('select pg_get_userbyid(datdba) as owner from pg_database where datname = current_database()')).rows,
    ).toEqual([{ owner: spec.username }])
    await client.query('create extension pgcrypto')
    for (const text of ['create role another', 'create database another', "copy (select 1) to program 'cat'", 'create extension file_fdw'])
      expect({ text, state: await sqlState(client.query(text)) }).toEqual({ text, state: '42501' })
    expect(await sqlState(query(urlOf(spec), 'select 1'))).toBe('53300')
    client.on('error', () => {})
    const ended = new Promise<void>((resolve) => void client.once('end', resolve))
    await engine.stop(spec)
    await ended
    expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'stopped']]))
    await engine.remove(spec)
  })

  it('takes settings for itself, and refuses those of the whole server with the reason', async () => {
    const { id, url } = await shop.createDatabase('settings')
    await shop.run(updateSettings, { id, s: { work_mem: '7MB' } })
    await until('the setting is applied', async () => (await query(url, 'show work_mem'))[0]?.work_mem === '7MB')
    await shop.run(updateSettings, { id, s: { work_mem: null, shared_buffers: '32MB' } })
    await shop.untilStatus(id, 'FAILED')
    expect((await shop.status(id))?.statusMessage).toContain('The setting shared_buffers applies to all databases of its server')
    expect(await query(url, 'show work_mem')).toEqual([{ work_mem: '7MB' }])
    await shop.run(updateSettings, { id, s: { shared_buffers: null } })
    await shop.untilStatus(id, 'RUNNING')
    expect(await query(url, 'show work_mem')).toEqual([{ work_mem: '4MB' }])
  })

  it('never shows a password to the log of the server, and refuses the former one after a rotation', async () => {
    const { id, url } = await shop.createDatabase('rotated')
    await shop.run('mutation ($id: ID!) { rotateDatabasePassword(input: {id: $id}) { database { id } } }', { id })
    const rotated = await shop.reveal(id)
    await until('the new password works', async () => (await sqlState(query(rotated, 'select 1'))) === 'done')
    expect(await sqlState(query(url, 'select 1'))).toBe('28P01')
    const log = await server.log()
    expect(log).toContain(`alter role "${new URL(url).username}" login password 'SCRAM-SHA-256$`)
    for (const text of [url, rotated]) expect(log).not.toContain(new URL(text).password)
  })

  it('has metrics, without the CPU and memory of the server, which others use too', async () => {
    const { id } = await shop.createDatabase('measured')
    const { database } = await shop.run(
      'query ($id: ID!) { database(id: $id) { sizeBytes activeConnections cpuUsagePercent memoryUsagePercent } }',
      { id },
    )
    expect(database.sizeBytes).toBeGreaterThan(1_000_000)
    expect(database).toMatchObject({ cpuUsagePercent: null, memoryUsagePercent: null })
  })

  it('is removed with its role, also if the role owns something elsewhere', async () => {
    const { id, url } = await shop.createDatabase('spread')
    const name = nameIn(url)
    await asSuperuser(`create schema "${name}" authorization "${name}"`)
    await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
    await shop.untilGone(id)
    expect(
      await asSuperuser('select 1 from pg_roles where rolname = $1 union select 1 from pg_database where datname = $1', [name]),
    ).toEqual([])
  })

  it.each(['adminUrl', 'superuserUrl'] as const)('is completed after a crash in the middle of its creation (%s)', async (url) => {
    const engine = engineOn(server[url])
    const role = newSpec()
    await query(`${server[url]}/postgres`, `create role "${role.username}" nologin`)
    const database = newSpec()
    await query(`${server[url]}/postgres`, `create role "${database.username}" nologin; grant "${database.username}" to current_user`)
    await query(`${server[url]}/postgres`, `create database "${database.databaseName}" owner "${database.username}" template template0`)
    for (const spec of [role, database]) {
      expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'stopped']]))
      await engine.start(spec)
      await engine.start(spec)
      expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'running']]))
    }
    expect(await sqlState(query(urlOf({ ...role, databaseName: database.databaseName }), 'select 1'))).toBe('42501')
    for (const spec of [role, database]) {
      await engine.remove(spec)
      await engine.remove(spec)
    }
  })

  it('is not created again if someone else has removed it', async () => {
    const spec = newSpec()
    const engine = engineOn(server.adminUrl)
    await engine.start(spec)
    await asSuperuser(`drop database "${spec.databaseName}" with (force)`)
    expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'stopped']]))
    await expect(engine.start(spec)).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('is missing on the server'),
    })
    await engine.remove(spec)
  })

  it('does not take over a database of another role', async () => {
    const spec = newSpec()
    const engine = engineOn(server.superuserUrl)
    await asSuperuser(`create database "${spec.databaseName}"`)
    await expect(engine.start(spec)).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('belongs to another role'),
    })
    await engine.remove(spec)
    expect(await asSuperuser('select datallowconn from pg_database where datname = $1', [spec.databaseName])).toEqual([
      { datallowconn: true },
    ])
  })
})

describe('a server', () => {
  it('that is away leaves its databases FAILED with the reason, and they come back or stop with it', async () => {
    const [back, stopped] = [await shop.createDatabase('back'), await shop.createDatabase('stopped')]
    await query(back.url, 'create table kept (id int)')
    await server.stop()
    await shop.untilStatus(back.id, 'FAILED')
    await shop.untilStatus(stopped.id, 'FAILED')
    await until('the reason is known', async () => (await shop.status(back.id))?.statusMessage?.includes('ECONNREFUSED') ?? false)
    await shop.run(stopDatabase, { id: stopped.id })
    await shop.untilStatus(stopped.id, 'STOPPING')
    const create = 'mutation ($p: ID!) { createDatabase(input: {projectId: $p, name: "early"}) { database { id } } }'
    expect(await shop.refused(create, { p: shop.projectId })).toMatchObject({ code: 'unavailable' })
    await server.start()
    await shop.untilStatus(back.id, 'RUNNING')
    expect(await query(back.url, 'select * from kept')).toEqual([])
    await shop.untilStatus(stopped.id, 'STOPPED')
    expect(await sqlState(query(stopped.url, 'select 1'))).toBe('28000')
  })

  it.each([
    ['does not answer', (_socket: Socket) => {}],
    ['is not PostgreSQL', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('that %s leaves the state unknown', async (_what, answer) => {
    const sockets = new Set<Socket>()
    const listener = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      answer(socket)
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const strange = (listener.address() as AddressInfo).port
    const spec = newSpec({ port: strange })
    const engine = engineOn(`postgresql://admin:secret-of-admin@127.0.0.1:${strange}`)
    expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'unreachable']]))
    const error = await engine.start(spec).catch((error: Error) => error)
    expect(error).toMatchObject({ code: 'UNREACHABLE' })
    expect(String(error)).not.toContain('secret-of-admin')
    for (const socket of sockets) socket.destroy()
    listener.close()
    await once(listener, 'close')
  })

  it('that the setting no longer names is not asked, and nothing is created on another one', async () => {
    const spec = newSpec({ host: 'db.example' })
    for (const engine of [engineOn(server.adminUrl), createServerPostgres(undefined)]) {
      expect(await engine.observe([spec])).toEqual(new Map([[spec.id, 'unreachable']]))
      await expect(engine.start(spec)).rejects.toMatchObject({ code: 'UNREACHABLE', message: expect.stringContaining('db.example') })
    }
    expect(await asSuperuser('select 1 from pg_roles where rolname = $1', [spec.username])).toEqual([])
  })

  it('is the place of new databases, while restored ones get a server of their own', async () => {
    const engine = createDatabaseEngine({
      dataDir: shop.app.settings.DATA_DIR,
      ports: local,
      serverUrl: new Secret(server.adminUrl),
    })
    expect(await engine.place('new', new Set())).toMatchObject({ candidates: [port], ownsPort: false })
    expect(await engine.place('restored', new Set())).toMatchObject({ ownsPort: true })
  })
})
