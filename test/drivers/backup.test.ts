import { execFileSync } from 'node:child_process'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Connection } from '../../src/platform/db/connection.ts'
import { until } from '../support/wait.ts'
import { openSource, problem, type Source } from './backup-support.ts'

let source: Source
let session: Connection

beforeAll(async () => {
  source = await openSource()
  session = await source.connect()
  await session.run(`create table kept (id int primary key, text text);
    insert into kept select n, repeat(md5(n::text), 400) from generate_series(1, 300) n;
    create table tags (tag text[]); create index on tags using gin (tag); insert into tags values ('{a,b}'), ('{c}');
    create unlogged table cache as select 1 as n; create materialized view totals as select count(*) from kept;
    create schema "Odd ""name"""; create table "Odd ""name"""."a table" as select n from generate_series(1, 7) n`)
})
afterAll(() => source?.close())

/** Runs statements on a session of its own until it is stopped. Returns the number of commits. */
async function keepWriting(statement: (n: number) => string): Promise<() => Promise<number>> {
  const writer = await source.connect()
  let isStopped = false
  let commits = 0
  const ended = (async () => {
    while (!isStopped) {
      await writer.run(statement(commits))
      commits++
    }
  })()
  await until('the writer has begun', () => commits > 0)
  return async () => {
    isStopped = true
    await ended
    return commits
  }
}

describe('a backup', () => {
  it('is verified by restoring it: every table is read and compared, every index is checked', async () => {
    const stored = await source.backUp()
    expect(stored.details.rowCounts).toEqual([
      { schema: 'Odd "name"', table: 'a table', rows: 7 },
      { schema: 'public', table: 'kept', rows: 300 },
      { schema: 'public', table: 'tags', rows: 2 },
      { schema: 'public', table: 'totals', rows: 1 },
    ])
    const found = await source.verify(stored)
    expect(found).toMatchObject({ tables: 4, rows: 310 })
    expect(found.indexes).toBeGreaterThan(100)
  })

  it('has the size and checksum that were recorded, and any program can extract it', async () => {
    const { file, details } = await source.backUp()
    expect((await stat(file)).size).toBe(details.sizeBytes)
    expect(execFileSync('sha256sum', [file], { encoding: 'utf8' }).split(' ')[0]).toBe(details.sha256)
    const names = execFileSync(
      'tar',
      ['--use-compress-program', `${process.execPath} ${join(import.meta.dirname, 'unzstd.mjs')}`, '-tf', file],
      {
        encoding: 'utf8',
      },
    ).split('\n')
    expect(names).toEqual(
      expect.arrayContaining(['PG_VERSION', 'backup_label', 'global/pg_control', 'pg_wal/archive_status', 'backup_manifest']),
    )
    expect(names).not.toContain('postmaster.pid')
  })

  it('has exactly the counted rows while other sessions keep committing', async () => {
    await session.run('create table busy (n int); create table moved (n int)')
    const stops = await Promise.all([
      keepWriting((n) => `insert into busy values (${n})`),
      keepWriting((n) => `insert into busy select ${n} from generate_series(1, 3)`),
      keepWriting((n) => `delete from busy where ctid in (select ctid from busy limit ${n % 5})`),
      keepWriting((n) => `begin; insert into moved values (${n}); insert into busy values (${n}); commit`),
      keepWriting(() => 'update kept set text = text where id = 1'),
    ])
    const stored = await source.backUp()
    const commits = await Promise.all(stops.map((stop) => stop()))
    expect(Math.min(...commits)).toBeGreaterThan(1)
    const busy = stored.details.rowCounts?.find(({ table }) => table === 'busy')
    await expect(source.verify(stored)).resolves.toBeDefined()
    const off = stored.details.rowCounts!.map((count) => (count === busy ? { ...count, rows: count.rows + 1 } : count))
    expect(await problem(source.verify({ ...stored, details: { ...stored.details, rowCounts: off } }))).toMatchObject({
      code: 'VERIFICATION_FAILED',
      message: `Table public.busy has ${busy!.rows} rows instead of ${busy!.rows + 1}.`,
    })
  })

  it('succeeds while tables are created, rewritten and dropped', async () => {
    const stops = await Promise.all([
      keepWriting((n) => `create table if not exists made_${n % 20} as select n from generate_series(1, 100) n`),
      keepWriting((n) => `create table short as select ${n} as n; drop table short`),
      keepWriting(() => 'create table if not exists emptied (n int); insert into emptied values (1), (2); truncate emptied'),
      keepWriting(() => 'create temp table if not exists own (n int); insert into own values (1)'),
    ])
    const stored = await source.backUp()
    for (const stop of stops) await stop()
    expect((await source.verify(stored)).tables).toBeGreaterThan(4)
  })

  it('leaves neither a slot nor a backup mode behind on the server', async () => {
    await source.backUp()
    await until('its sessions have ended', async () => {
      const [left] = await session.rows<{ slots: number; sessions: number }>(
        `select (select count(*)::int from pg_replication_slots) as slots,
                (select count(*)::int from pg_stat_activity where backend_type in ('client backend', 'walsender') and query like '%backup%' and pid <> pg_backend_pid()) as sessions`,
      )
      return left!.slots === 0 && left!.sessions === 0
    })
  })

  it('is taken without row counts if a transaction does not end, and restores without its rows', async () => {
    const open = await source.connect()
    await open.run("begin; insert into kept values (1000000, 'not committed')")
    const stored = await source.backUp({ snapshotWaitMs: 1 })
    expect(stored.details.rowCounts).toBeNull()
    await open.run('rollback')
    await expect(source.verify(stored)).resolves.toMatchObject({ tables: expect.any(Number) })
  })

  it('is verified whatever schemas the database has', async () => {
    await session.run('create schema quayside_check; create schema amcheck')
    const stored = await source.backUp()
    await session.run('drop schema quayside_check; drop schema amcheck')
    await expect(source.verify(stored)).resolves.toMatchObject({ tables: expect.any(Number) })
  })

  it('is not verified if an index disagrees with its table', async () => {
    await session.run(`create table wrong (n int); insert into wrong select generate_series(1, 10);
      create function twisted(int) returns int immutable language sql as 'select $1';
      create index wrong_index on wrong (twisted(n)); create or replace function twisted(int) returns int immutable language sql as 'select -$1'`)
    const stored = await source.backUp()
    await session.run('drop table wrong')
    expect(await problem(source.verify(stored))).toMatchObject({
      code: 'VERIFICATION_FAILED',
      message: expect.stringContaining('Index public.wrong_index is damaged'),
    })
  })

  it('is not verified if a page of a table is damaged', async () => {
    await session.run('create table torn as select n from generate_series(1, 1000) n; checkpoint')
    const [{ path } = { path: '' }] = await session.rows<{ path: string }>("select pg_relation_filepath('torn') as path")
    const file = await open(join(source.data, path), 'r+')
    await file.write(Buffer.from('damage'), 0, 6, 8192 + 4000)
    await file.close()
    const stored = await source.backUp()
    await session.run('drop table torn')
    expect(await problem(source.verify(stored))).toMatchObject({
      code: 'VERIFICATION_FAILED',
      message: expect.stringContaining('Table public.torn cannot be read'),
    })
  })
})
