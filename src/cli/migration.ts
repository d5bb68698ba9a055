/**
 * Writes and checks migrations. `writeMigration` compares the models and constraints with the state of the last migration
 * (prisma/migrations/landed.json, written with each migration); `findDrift` compares two real databases.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { concepts } from '../domain/index.ts'
import { compareCatalogues, readCatalogue } from '../platform/db/catalogue.ts'
import { afterTables, beforeTables, type Statement } from '../platform/db/constraints.ts'
import { createDatabase, dropDatabase, executeScript } from '../platform/db/database.ts'
import { migrate } from '../platform/db/migrate.ts'
import { openSchemaEngine, type SchemaFiles } from '../platform/db/schema-engine.ts'

/** Everything that defines the schema of the database. */
export type SchemaState = { files: SchemaFiles; beforeTables: Statement[]; afterTables: Statement[] }

const landedFile = (prismaDir: string) => join(prismaDir, 'migrations', 'landed.json')

const declared = { beforeTables, afterTables: [...afterTables, ...concepts.flatMap(({ constraints }) => constraints)] }

/** The state of the working tree: every .prisma file below `prismaDir`, and the lists of constraints. */
export async function readState(prismaDir: string, lists = declared): Promise<SchemaState> {
  const entries = await readdir(prismaDir, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.prisma'))
    .map((entry) => join(entry.parentPath, entry.name))
  const files = paths
    .sort()
    .map(async (path) => ({ path: relative(prismaDir, path).split(sep).join('/'), content: await readFile(path, 'utf8') }))
  return { files: await Promise.all(files), ...lists }
}

/** The SQL that migrates a database from one state (null for empty) to another. Empty if there is nothing to do. */
export async function migrationScript(url: string, from: SchemaState | null, to: SchemaState): Promise<string> {
  const engine = await openSchemaEngine(url)
  let tables: string
  try {
    tables = await engine.diff(from?.files ?? null, to.files)
  } finally {
    await engine.close()
  }
  const before = compareStatements(from?.beforeTables ?? [], to.beforeTables)
  const after = compareStatements(from?.afterTables ?? [], to.afterTables)
  const parts = [
    ...after.drops,
    ...before.drops,
    ...before.creates,
    withoutNothing(tables),
    ...after.creates,
    ...after.removals,
    ...before.removals,
  ]
  const script = parts.map((part) => part.trim()).filter(Boolean)
  return script.length === 0 ? '' : `${script.join('\n\n')}\n`
}

/** `drops` run before the tables change, `removals` after: a column may still use a function that is removed. */
function compareStatements(from: Statement[], to: Statement[]): { drops: string[]; creates: string[]; removals: string[] } {
  const former = new Map(from.map((statement) => [statement.name, statement]))
  const changed = to.filter(({ name, create }) => former.get(name)?.create !== create)
  const replaced = changed.flatMap(({ name, create }) => (/^\s*create or replace/i.test(create) ? [] : (former.get(name) ?? [])))
  const gone = from.filter(({ name }) => !to.some((statement) => statement.name === name))
  const isFunction = ({ drop }: Statement) => /^\s*drop function/i.test(drop)
  return {
    drops: [...replaced, ...gone.filter((statement) => !isFunction(statement))].map(({ drop }) => drop),
    creates: changed.map(({ name, create }) => `-- ${name}\n${create}`),
    removals: gone.filter(isFunction).map(({ drop }) => drop),
  }
}

/** Removes the comment that the engine returns if there is nothing to do. */
const withoutNothing = (script: string) => (/^\s*-- This is an empty migration\.\s*$/.test(script) ? '' : script)

/** Writes the next migration and the new state. Returns the name of its folder, or null if nothing changed. `url` may be any database. */
export async function writeMigration(url: string, prismaDir: string, name: string, now: Date, to?: SchemaState): Promise<string | null> {
  if (!/^[a-z0-9_]{1,60}$/.test(name)) throw new Error('The name of a migration may contain only a-z, 0-9 and _, for example add_domains.')
  const landed = await readFile(landedFile(prismaDir), 'utf8').catch(() => null)
  const state = to ?? (await readState(prismaDir))
  const script = await migrationScript(url, landed === null ? null : (JSON.parse(landed) as SchemaState), state)
  if (script === '') return null
  const folder = `${now.toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`
  await mkdir(join(prismaDir, 'migrations', folder), { recursive: true })
  await writeFile(join(prismaDir, 'migrations', folder, 'migration.sql'), script)
  await writeFile(landedFile(prismaDir), `${JSON.stringify(state, null, 2)}\n`)
  return folder
}

/**
 * The differences between a database that ran all migrations (`- `) and one created from the models and constraints (`+ `). Empty if they
 * agree. Creates and drops two databases on the server of `url`.
 */
export async function findDrift(url: string, prismaDir: string, state?: SchemaState): Promise<string[]> {
  const suffix = randomUUID().replaceAll('-', '')
  const names = { migrated: `migrated_${suffix}`, wanted: `wanted_${suffix}` }
  try {
    const migrated = await createDatabase(url, names.migrated)
    await migrate({ url: migrated, directory: join(prismaDir, 'migrations') })
    const wanted = await createDatabase(url, names.wanted)
    await executeScript(wanted, await migrationScript(wanted, null, state ?? (await readState(prismaDir))))
    return compareCatalogues(await readCatalogue(migrated), await readCatalogue(wanted))
  } finally {
    await dropDatabase(url, names.migrated)
    await dropDatabase(url, names.wanted)
  }
}
