import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findDrift, migrationScript, readState, type SchemaState, writeMigration } from '../../src/cli/migration.ts'
import { executeScript } from '../../src/platform/db/database.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/wait.ts'

let prismaDir: string
let directory: string
let database: TestDatabase

beforeEach(async () => {
  prismaDir = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  directory = join(prismaDir, 'migrations')
  await mkdir(directory)
  database = await createEmptyDatabase()
})

afterEach(async () => {
  await database.drop()
  await rm(prismaDir, { recursive: true })
})

async function add(name: string, script: string): Promise<void> {
  await mkdir(join(directory, name), { recursive: true })
  await writeFile(join(directory, name, 'migration.sql'), script)
}

async function query(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const run = () => migrate({ url: database.url, directory })

describe('migrate', () => {
  it('applies missing migrations, oldest first, and reports them', async () => {
    await add('2_second', 'alter table boat add column name text')
    await add('1_first', 'create table boat (id int)')
    expect(await run()).toEqual(['1_first', '2_second'])
    expect(await run()).toEqual([])
    await add('3_third', 'alter table boat drop column name')
    expect(await run()).toEqual(['3_third'])
    expect(await query('select migration_name from _prisma_migrations order by started_at')).toEqual([
      { migration_name: '1_first' },
      { migration_name: '2_second' },
      { migration_name: '3_third' },
    ])
  })

  it('applies each migration once when several processes start at once', async () => {
    await add('1_first', 'create table boat (id int)')
    const answers = await Promise.all([run(), run(), run()])
    expect(answers.flat()).toEqual(['1_first'])
  })

  it('refuses a database of a newer version and names the unknown migrations', async () => {
    await add('1_first', 'create table boat (id int)')
    await add('2_second', 'create table ship (id int)')
    await run()
    await rm(join(directory, '2_second'), { recursive: true })
    await expect(run()).rejects.toThrow(/older than its database.*\(2_second\)/)
  })

  it('refuses a migration that was edited after it was applied', async () => {
    await add('1_first', 'create table boat (id int)')
    await run()
    await add('1_first', 'create table boat (id bigint)')
    await expect(run()).rejects.toThrow(/edited after.*\(1_first\)/)
  })

  it('rolls back a migration that fails, reports the error, and refuses to continue after it', async () => {
    await add('1_first', 'create table boat (id int); alter table missing add column name text;')
    await expect(run()).rejects.toThrow('relation "missing" does not exist')
    expect(await query(`select to_regclass('boat') as boat`)).toEqual([{ boat: null }])
    await expect(run()).rejects.toThrow(/failed earlier \(1_first/)
  })

  describe('after a process that was killed in the middle of a migration', () => {
    const lock = 4711
    let holder: pg.Client
    beforeEach(async () => {
      holder = new pg.Client({ connectionString: database.url })
      await holder.connect()
      await holder.query(`select pg_advisory_lock(${lock})`)
      await add('1_first', 'create table ship (id int)')
      await add('2_second', `create table boat (id int); select pg_advisory_xact_lock(${lock})`)
      const script = `import { migrate } from ${JSON.stringify(join(import.meta.dirname, '../../src/platform/db/migrate.ts'))}
        await migrate(${JSON.stringify({ url: database.url, directory })})`
      const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: 'inherit' })
      const gone = once(child, 'close')
      await until('it is in the script', async () => (await waiting()) === 1)
      child.kill('SIGKILL')
      await gone
    })
    afterEach(() => holder.end())
    const waiting = async () =>
      (await query(`select 1 from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted`)).length
    const release = () => holder.query(`select pg_advisory_unlock(${lock})`)

    it('terminates the remaining session, and applies the migration', async () => {
      const [{ pid: orphan } = {}] = await query(`select pid from pg_locks where objid = ${lock} and not granted`)
      const applied = run()
      await until('another session is in the script', async () => {
        const [{ pid } = {}] = await query(`select pid from pg_locks where objid = ${lock} and not granted`)
        return pid !== undefined && pid !== orphan
      })
      await release()
      expect(await applied).toEqual(['2_second'])
      expect(await run()).toEqual([])
    })

    it('finds it applied if its session completed', async () => {
      await release()
      await until('it came to its end', async () => (await query(`select to_regclass('boat') as boat`))[0]?.boat)
      expect(await run()).toEqual([])
      expect(await query('select migration_name from _prisma_migrations where finished_at is null')).toEqual([])
    })
  })

  it('refuses a database with foreign tables', async () => {
    await add('1_first', 'create table boat (id int)')
    await executeScript(database.url, 'create table theirs (id int)')
    await expect(run()).rejects.toThrow('not empty')
  })
})

const model = (field: string) => `model Boat {\n  id Int @id\n  ${field}\n\n  @@map("boat")\n}\n`
const now = new Date('2026-01-02T03:04:05Z')

const readPlain = () => readState(prismaDir, { beforeTables: [], afterTables: [] })
const make = async (name: string, laterMs = 0) =>
  writeMigration(database.url, prismaDir, name, new Date(now.getTime() + laterMs), await readPlain())
const drift = async () => findDrift(database.url, prismaDir, await readPlain())

async function writeModels(text: string): Promise<void> {
  await mkdir(join(prismaDir, 'models'), { recursive: true })
  await writeFile(join(prismaDir, 'schema.prisma'), 'datasource db {\n  provider = "postgresql"\n}\n')
  await writeFile(join(prismaDir, 'models', 'boat.prisma'), text)
}

describe('generating a migration', () => {
  it('writes the difference between the migrated models and the current ones', async () => {
    await writeModels(model('name String'))
    expect(await make('init')).toBe('20260102030405_init')
    expect(await readFile(join(directory, '20260102030405_init', 'migration.sql'), 'utf8')).toContain('CREATE TABLE "boat"')
    expect(await make('again')).toBeNull()

    await writeModels(model('title String'))
    const second = await make('title', 1000)
    const script = await readFile(join(directory, second as string, 'migration.sql'), 'utf8')
    expect(script).toContain('ADD COLUMN     "title"')
    expect(script).not.toContain('CREATE')
    expect(await run()).toEqual(['20260102030405_init', second])
    expect(await drift()).toEqual([])
  })

  it('refuses a name that is not a valid folder name', async () => {
    await writeModels(model('name String'))
    await expect(make('../up')).rejects.toThrow('may contain only a-z')
  })

  it('adds, replaces and drops the statements that models cannot express', async () => {
    await writeModels(model('name String'))
    const plain: SchemaState = await readPlain()
    const check = (limit: number) => ({
      name: 'boat_name_length',
      create: `ALTER TABLE boat ADD CONSTRAINT boat_name_length CHECK (length(name) < ${limit});`,
      drop: 'ALTER TABLE boat DROP CONSTRAINT boat_name_length;',
    })
    const script = (from: SchemaState | null, to: SchemaState) => migrationScript(database.url, from, to)
    const first = { ...plain, afterTables: [check(10)] }
    const second = { ...plain, afterTables: [check(20)] }

    expect(await script(null, first)).toMatch(/CREATE TABLE "boat"[\s\S]*CHECK \(length\(name\) < 10\)/)
    expect(await script(first, second)).toBe(`${check(10).drop}\n\n-- boat_name_length\n${check(20).create}\n`)
    expect(await script(second, plain)).toBe(`${check(20).drop}\n`)
    expect(await script(second, second)).toBe('')
  })
})

describe('the drift check', () => {
  it.each([
    ['a column that no migration creates', async () => writeModels(model('name String\n  length Int')), /^\+ column boat\.length/],
    ['an index that no migration creates', async () => writeModels(model('name String @unique')), /^\+ index .*boat_name_key/],
    ['a default that differs', async () => writeModels(model('name String @default("x")')), /^\+ column boat\.name .*'x'/],
    [
      'a constraint that only a migration creates',
      async () => add('3000_check', `alter table boat add check (name <> '')`),
      /^- constraint boat_name_check/,
    ],
    [
      'a function and trigger that only a migration creates',
      async () =>
        add(
          '3000_trigger',
          `create function refuse() returns trigger language plpgsql as 'begin return null; end';
           create trigger refuse before delete on boat for each row execute function refuse()`,
        ),
      /^- trigger .*refuse/,
    ],
  ])('finds %s', async (_, change, line) => {
    await writeModels(model('name String'))
    await make('init')
    expect(await drift()).toEqual([])
    await change()
    expect(await drift()).toContainEqual(expect.stringMatching(line))
  })
})
