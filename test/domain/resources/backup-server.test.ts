/** Backups of databases on a shared server: dumps, verified and restored on that server. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { backupEngine } from '../../../src/domain/resources/backup/index.ts'
import { createDatabaseEngine } from '../../../src/drivers/postgres/engine.ts'
import { openConnection } from '../../../src/platform/db/connection.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { isPortFree } from '../../../src/platform/loopback-port.ts'
import { Secret } from '../../../src/platform/settings.ts'
import { openPostgresServer, type PostgresServer } from '../../support/postgres-server.ts'
import { provideBackups, useBackups } from './backup-support.ts'
import { ports, query, useShop } from './support.ts'

const local = { first: ports.first, last: ports.last - 50 }
const port = await freePort()
let server: PostgresServer
let folder: string
let pgDump: string

/** Makes a program of a script in test/support/pg-tools. */
async function install(name: 'pg_dump' | 'pg_restore'): Promise<string> {
  const script = join(import.meta.dirname, '../../support/pg-tools', `${name.replace('_', '-')}.mjs`)
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 })
  return path
}

async function freePort(): Promise<number> {
  for (let candidate = ports.last; candidate > local.last; candidate--) if (await isPortFree(candidate)) return candidate
  throw new Error('no port is free')
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  await install('pg_restore')
  pgDump = await install('pg_dump')
  server = await openPostgresServer(port)
})
// Before the shop's, which runs first and needs the server.
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})
const shop = useShop(({ settings }) =>
  createDatabaseEngine({ dataDir: settings.DATA_DIR, ports: local, serverUrl: new Secret(server.adminUrl) }),
)
const backups = useBackups(shop)
const provide = (program: string | undefined) => provideBackups(shop.app, { server: { url: new Secret(server.adminUrl), pgDump: program } })
beforeAll(() => provide(pgDump))

const asSuperuser = (text: string, values?: unknown[]) => query(`${server.superuserUrl}/postgres`, text, values)
const copies = async () =>
  (
    await asSuperuser(
      `select datname::text as name from pg_database where datname like 'quayside_verify_%'
       union select rolname from pg_roles where rolname like 'quayside_verify_%'`,
    )
  ).map(({ name }) => name)
const stored = async (id: string) =>
  (await row<{ details: never }>(shop.app.db, sql`select details from backup where id = ${decodeId('Backup', id)}::uuid`))!.details

it('a backup is a dump, verified in a database of its own and restored into a new one, with the rows of its snapshot', async () => {
  const { id, url } = await shop.createDatabase('Dumped')
  await query(url, "create table kept as select n, 'row ' || n as text from generate_series(1, 500) n")
  const backupId = await backups.verified(id)
  expect(await copies()).toEqual([])
  await query(url, 'drop table kept')
  const { restoreBackup } = await shop.run(
    'mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { database { id host port } operation { id } } }',
    { id: backupId },
  )
  expect(restoreBackup.database).toMatchObject({ host: '127.0.0.1', port })
  expect(await backups.ended(restoreBackup.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
  const restored = await shop.reveal(restoreBackup.database.id)
  expect(await query(restored, 'select count(*)::int as n, max(text) as text from kept')).toEqual([{ n: 500, text: 'row 99' }])
  expect(await query(restored, 'select tableowner = current_user as own from pg_tables where tablename = $1', ['kept'])).toEqual([
    { own: true },
  ])
})

it('there is no restore to a point in time, with the reason', async () => {
  const { id } = await shop.createDatabase('Timeless')
  await backups.verified(id)
  const { database } = await shop.run('query ($id: ID!) { database(id: $id) { recoverableFrom recoverableUntil } }', { id })
  expect(database).toEqual({ recoverableFrom: null, recoverableUntil: null })
  const toTime = 'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: {databaseId: $d, at: $at}) { database { id } } }'
  expect(await shop.refused(toTime, { d: id, at: new Date().toISOString() })).toMatchObject({
    code: 'time_not_recoverable',
    message: expect.stringContaining('not archived'),
  })
})

it('is refused without a pg_dump that is new enough, with the reason', async () => {
  const { id } = await shop.createDatabase('Refused')
  const older = join(folder, 'older')
  await writeFile(older, '#!/bin/sh\necho "pg_dump (PostgreSQL) 15.4 (Debian)"\n', { mode: 0o755 })
  for (const [program, reason] of [
    [undefined, 'Set PG_DUMP to the path of pg_dump'],
    [older, 'pg_dump 15.4 is older than the server'],
    ['/bin/true', 'The program in PG_DUMP is not pg_dump'],
    [join(folder, 'none'), 'The program in PG_DUMP is not pg_dump'],
  ] as const) {
    provide(program)
    expect(await backups.untilStatus(await backups.create(id), 'FAILED')).toMatchObject({ error: expect.stringContaining(reason) })
  }
  provide(pgDump)
})

it('a dump that lacks rows or cannot be restored is not verified, and leaves nothing on the server', async () => {
  const { id, url } = await shop.createDatabase('Wrong')
  await query(url, 'create table kept as select 1 as n')
  const details = (await stored(await backups.verified(id))) as { sha256: string }
  const { signal } = new AbortController()
  const engine = backupEngine.use(shop.app)
  const original = { databaseName: '', username: '' }
  const archiveOf = (text: string) => {
    const sha256 = createHash('sha256').update(text).digest('hex')
    return { original, details: { ...details, sha256 } as never, open: async () => Readable.from([text], { objectMode: false }) }
  }
  const empty = archiveOf(JSON.stringify({ name: 'kept', columns: 'n int', rows: [] }))
  await expect(engine.verify(newId(), empty, signal)).rejects.toMatchObject({
    code: 'VERIFICATION_FAILED',
    message: 'Table public.kept has 0 rows instead of 1.',
  })
  const broken = archiveOf(JSON.stringify({ name: 'kept', columns: 'n nonsense', rows: [] }))
  await expect(engine.verify(newId(), broken, signal)).rejects.toMatchObject({
    code: 'VERIFICATION_FAILED',
    message: expect.stringContaining('nonsense'),
  })
  const damaged = { ...empty, details: { ...details, sha256: 'other' } as never }
  await expect(engine.verify(newId(), damaged, signal)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
  expect(await copies()).toEqual([])
})

it('what a killed verification left on the server is removed, unless a process of any installation works on it', async () => {
  const [left, used] = [newId(), newId()]
  for (const id of [left, used]) {
    const name = `quayside_verify_${id.replaceAll('-', '')}`
    await query(`${server.adminUrl}/postgres`, `create role ${name}`)
    await query(`${server.adminUrl}/postgres`, `grant ${name} to current_user`)
    await query(`${server.adminUrl}/postgres`, `create database ${name} owner ${name}`)
  }
  const other = await openConnection(`${server.adminUrl}/postgres`)
  await other.rows('select pg_advisory_lock(hashtextextended($1, 0))', [`quayside ${used}`])
  await backupEngine.use(shop.app).sweep(async () => [])
  expect(await copies()).toEqual([`quayside_verify_${used.replaceAll('-', '')}`])
  await other.close()
  await backupEngine.use(shop.app).sweep(async () => [])
  expect(await copies()).toEqual([])
})
