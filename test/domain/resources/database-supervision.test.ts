/** What the supervisor does when servers, ports and processes of the control plane fail. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import { planResource, retryDelayMs, type SupervisedRow } from '../../../src/domain/resources/resource/model.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { engineOf, query, sqlState, useShop } from './support.ts'

const shop = useShop()

const folderOf = (id: string) => join(shop.app.settings.DATA_DIR, 'databases', decodeId('Database', id))
const postmaster = async (id: string) => Number((await readFile(join(folderOf(id), 'data/postmaster.pid'), 'utf8')).split('\n')[0])

it('a killed server is FAILED, then runs again with its data, at the same address', async () => {
  const { id, url } = await shop.createDatabase('killed')
  await query(url, 'create table kept as select 1 as n')
  const pid = await postmaster(id)
  process.kill(pid, 'SIGKILL')
  await until('another server runs', async () => (await postmaster(id).catch(() => pid)) !== pid)
  await shop.untilStatus(id, 'RUNNING')
  expect(await query(url, 'select * from kept')).toEqual([{ n: 1 }])
  const { rows: events } = await shop.app.db.pool.query(
    "select type from event where type like 'database.%' and subject_id = $1 order by id",
    [decodeId('Database', id)],
  )
  expect(events.map(({ type }) => type)).toEqual(['database.created', 'database.started', 'database.failed', 'database.recovered'])
})

it('another engine finds a running server running, and does not restart it', async () => {
  const { id, url } = await shop.createDatabase('adopted')
  const pid = await postmaster(id)
  const other = engineOf(shop.app)
  const address = { host: '127.0.0.1', port: Number(new URL(url).port), ownsPort: true }
  const ref = { id: decodeId('Database', id), ...address, databaseName: '', username: '' }
  expect([...(await other.observe([ref]))]).toEqual([[ref.id, 'running']])
  expect(await postmaster(id)).toBe(pid)
})

it('a port that another program has taken is named in the message, and the database starts when it is free', async () => {
  const { id, url } = await shop.createDatabase('displaced')
  await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
  await shop.untilStatus(id, 'STOPPED')
  const port = Number(new URL(url).port)
  const stranger = createServer().listen(port, '127.0.0.1')
  await once(stranger, 'listening')
  await shop.run('mutation ($id: ID!) { startDatabase(input: {id: $id}) { database { id } } }', { id })
  await shop.untilStatus(id, 'FAILED')
  expect((await shop.status(id))?.statusMessage).toContain(`Port ${port} of the database is in use by `)
  expect((await shop.status(id))?.statusMessage).toContain(`(pid ${process.pid})`)
  stranger.close()
  await once(stranger, 'close')
  await shop.untilStatus(id, 'RUNNING')
  expect(await sqlState(query(url, 'select 1'))).toBe('done')
})

it('a creation that is killed in the middle is completed by the next pass', async () => {
  const engine = databaseEngine.use(shop.app)
  const place = await engine.place('new', new Set())
  const spec = {
    id: '01a21c00-0000-7000-8000-00000000abcd',
    host: place.host,
    port: place.candidates[0]!,
    ownsPort: true,
    databaseName: 'half',
    username: 'half',
    password: 'password-of-half',
    superuserPassword: 'password-of-superuser',
    maxConnections: 5,
    settings: {},
  }
  const driver = join(import.meta.dirname, '../../../src/drivers/postgres/managed.ts')
  const script = `import { createManagedPostgres } from ${JSON.stringify(driver)}
    await createManagedPostgres(${JSON.stringify({ dataDir: shop.app.settings.DATA_DIR, ports: { first: spec.port, last: spec.port } })}).start(${JSON.stringify(spec)})`
  const creator = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: 'ignore' })
  const folder = join(shop.app.settings.DATA_DIR, 'databases', spec.id)
  await until('initdb is writing', () =>
    readFile(join(folder, 'new/PG_VERSION')).then(
      () => true,
      () => false,
    ),
  )
  creator.kill('SIGKILL')
  await once(creator, 'exit')
  await engine.start(spec)
  expect(await query(`postgresql://half:${spec.password}@127.0.0.1:${spec.port}/half`, 'select 1 as n')).toEqual([{ n: 1 }])
  await engine.remove(spec)
})

it('starts without its schema public, and while its owner lets nobody connect', async () => {
  const { id, url } = await shop.createDatabase('emptied')
  await query(url, `drop schema public cascade; alter database ${new URL(url).pathname.slice(1)} connection limit 0`)
  await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
  await shop.untilStatus(id, 'STOPPED')
  await shop.run('mutation ($id: ID!) { startDatabase(input: {id: $id}) { database { id } } }', { id })
  await shop.untilStatus(id, 'RUNNING')
  expect(await sqlState(query(url, 'select 1'))).toBe('53300')
})

describe('the role of a database', () => {
  it('creates trusted extensions, but runs no program, reads no file, and creates neither roles nor databases', async () => {
    const { url } = await shop.createDatabase('confined')
    await query(url, 'select 1')
    for (const extension of ['pgcrypto', 'citext', 'pg_trgm', 'unaccent', 'hstore', '"uuid-ossp"'])
      expect(await sqlState(query(url, `create extension ${extension}`))).toBe('done')
    const statements = await query(url, "select query from pg_stat_statements where query like 'select $1%'")
    expect(statements.length).toBeGreaterThan(0)
    const refused = [
      "copy (select 1) to program 'cat'",
      "copy (select 1) to '/tmp/quayside-leak'",
      "select pg_read_file('postgresql.conf')",
      'create role another',
      'create database another',
      'alter system set work_mem = 1',
      'create extension file_fdw',
    ]
    for (const text of refused) expect({ text, state: await sqlState(query(url, text)) }).toEqual({ text, state: '42501' })
  })
})

describe('the plan', () => {
  const row: SupervisedRow = {
    id: 'x',
    organizationId: 'o',
    projectId: 'p',
    environmentId: 'e',
    desiredState: 'RUNNING',
    status: 'RUNNING',
    generation: 0,
    appliedGeneration: 0,
    revision: 1,
    appliedRevision: 1,
    failures: 0,
  }
  it.each([
    ['does nothing for a running one', {}, 'running', true, null],
    ['starts a new one', { status: 'CREATING' }, 'stopped', true, 'start'],
    ['notes one that was lost', {}, 'stopped', true, 'lost'],
    ['waits before another attempt', { status: 'FAILED' }, 'stopped', false, null],
    ['asks a running one whether it answers', { status: 'STARTING' }, 'running', true, 'start'],
    ['restarts on request', { generation: 1, status: 'STARTING' }, 'running', true, 'restart'],
    ['starts a stopped one that is to be restarted', { generation: 1, status: 'STARTING' }, 'stopped', true, 'start'],
    ['waits before another restart', { generation: 1, status: 'FAILED' }, 'running', false, null],
    ['applies a change', { revision: 2 }, 'running', true, 'apply'],
    ['stops', { desiredState: 'STOPPED' }, 'running', true, 'stop'],
    [
      'asks a server that was unreachable to stop, until it has',
      { desiredState: 'STOPPED', status: 'STOPPING' },
      'unreachable',
      true,
      'stop',
    ],
    ['notes one that became silent', {}, 'silent', true, 'lost'],
    ['waits for the answer of a silent one', { status: 'FAILED' }, 'silent', true, null],
    ['restarts a silent one on request', { status: 'FAILED', generation: 1 }, 'silent', true, 'restart'],
    ['restarts one on request that became silent since', { status: 'STARTING', generation: 1 }, 'silent', true, 'restart'],
    ['stops a silent one', { desiredState: 'STOPPED', status: 'FAILED' }, 'silent', true, 'stop'],
    ['notes one that became unreachable', {}, 'unreachable', true, 'lost'],
    ['tries to start one whose server is unreachable', { status: 'FAILED' }, 'unreachable', true, 'start'],
    ['notes a stop', { desiredState: 'STOPPED' }, 'stopped', true, 'stopped'],
    ['does nothing for a stopped one', { desiredState: 'STOPPED', status: 'STOPPED' }, 'stopped', true, null],
    ['removes, whatever it does', { desiredState: 'DELETED', status: 'DELETING' }, 'running', false, 'remove'],
  ] as const)('%s', (_what, changed, observed, startDue, action) => {
    expect(planResource({ ...row, ...changed }, observed, startDue)).toBe(action)
  })

  it('retries at once, then after waits that double up to five minutes', () => {
    expect([1, 2, 3, 4, 20].map((failures) => retryDelayMs(failures, 1_000))).toEqual([0, 1_000, 2_000, 4_000, 300_000])
  })
})
