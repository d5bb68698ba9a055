import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { MigrationList, SchemaContainer, SchemaEngine } from '@prisma/schema-engine-wasm'
import pg from 'pg'
import { engineName } from './migrate.ts'

/** A Prisma schema: the files of its folder, in any order. */
export type SchemaFiles = SchemaContainer[]

export type Engine = {
  /** Applies the pending migrations, one transaction each, and returns their names. Throws with PostgreSQL's message if one fails. */
  applyMigrations(list: MigrationList): Promise<string[]>
  /** The SQL script that migrates a database from schema `from` (null for an empty one) to schema `to`. */
  diff(from: SchemaFiles | null, to: SchemaFiles): Promise<string>
  close(): Promise<void>
}

type Bindings = {
  SchemaEngine: { new: (...args: Parameters<typeof SchemaEngine.new>) => Promise<SchemaEngine> }
  __wbg_set_wasm(exports: object): void
}

/** Declared here, since TypeScript only has these types in its DOM library. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>
  instantiate(module: object, imports: Record<string, object>): Promise<{ exports: { __wbindgen_start(): void } }>
}

/** Opens Prisma's schema engine in this process, with its own connection. Throws if the database can't be reached. */
export async function openSchemaEngine(url: string): Promise<Engine> {
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: engineName })
  pool.on('error', () => {})
  // The binding replaces each error of the adapter by a number; the registry returns the original.
  const adapter = bindMigrationAwareSqlAdapterFactory(new WholeScripts(pool))
  const call = async <T>(what: () => Promise<T>): Promise<T> => {
    try {
      return await what()
    } catch (cause) {
      throw readable(cause, (id) => adapter.errorRegistry.consumeError(id)?.error)
    }
  }
  try {
    const { SchemaEngine } = await loadBindings()
    const engine = await call(() => SchemaEngine.new({ datamodels: undefined }, () => {}, adapter))
    const filters = { externalTables: [], externalEnums: [] }
    return {
      async applyMigrations(migrationsList) {
        return (await call(() => engine.applyMigrations({ migrationsList, filters }))).appliedMigrationNames
      },
      async diff(from, to) {
        const start = from === null ? ({ tag: 'empty' } as const) : ({ tag: 'schemaDatamodel', files: from } as const)
        const result = await call(() =>
          engine.diff({ from: start, to: { tag: 'schemaDatamodel', files: to }, script: true, exitCode: null, filters }),
        )
        return result.stdout ?? ''
      },
      async close() {
        engine.free()
        await pool.end()
      },
    }
  } catch (error) {
    await pool.end()
    throw error
  }
}

/**
 * Added to each migration's script, so that it is recorded as finished in the same transaction. The engine records it later, which would leave
 * open, after a kill, whether the script was applied. At most one migration is unfinished, and there is no history before the first.
 */
const noteFinished = `
do $$ begin
  if to_regclass('_prisma_migrations') is not null then
    update _prisma_migrations set finished_at = clock_timestamp() where finished_at is null and rolled_back_at is null and logs is null;
  end if;
end $$`

/**
 * The adapter splits a script at every semicolon, even in strings and function bodies, and runs the pieces one by one. Sent as a whole,
 * PostgreSQL parses it correctly and rolls back all of it if a statement fails.
 */
class WholeScripts extends PrismaPg {
  readonly #pool: pg.Pool
  constructor(pool: pg.Pool) {
    super(pool)
    this.#pool = pool
  }
  override async connect() {
    const adapter = await super.connect()
    adapter.executeScript = async (script) => {
      await this.#pool.query(`${script}\n;${noteFinished}`)
    }
    return adapter
  }
}

let bindings: Promise<Bindings> | undefined

/** Instantiates the module by hand, because the package's entry imports a .wasm file, for which Node prints an experimental warning. */
function loadBindings(): Promise<Bindings> {
  bindings ??= (async () => {
    const path = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg')
    const loaded = (await import(path)) as Bindings
    const module = await WebAssembly.compile(await readFile(path.replace(/\.js$/, '.wasm')))
    const instance = await WebAssembly.instantiate(module, { './schema_engine_bg.js': loaded })
    loaded.__wbg_set_wasm(instance.exports)
    instance.exports.__wbindgen_start()
    return loaded
  })()
  return bindings
}

/** The engine reports errors as JSON, as a number of the registry, or as text. */
function readable(cause: unknown, registered: (id: number) => unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause)
  const id = /External error id#(\d+)/.exec(text)?.[1]
  const original = id === undefined ? undefined : registered(Number(id))
  if (original instanceof Error) return original
  try {
    const report = JSON.parse(text) as { message?: string; meta?: { database_error?: string } }
    return new Error(report.meta?.database_error ?? report.message ?? text, { cause })
  } catch {
    return new Error(text, { cause })
  }
}
