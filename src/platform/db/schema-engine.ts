import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { MigrationList, SchemaContainer, SchemaEngine } from '@prisma/schema-engine-wasm'
import pg from 'pg'

/** A Prisma schema: the files of the folder, in any order. */
export type SchemaFiles = SchemaContainer[]

export type Engine = {
  /** Applies what the database lacks, one transaction each; gives their names. Throws with PostgreSQL's message when one fails. */
  applyMigrations(list: MigrationList): Promise<string[]>
  /** The SQL script that turns an empty database (null) or one of schema `from` into one of schema `to`. */
  diff(from: SchemaFiles | null, to: SchemaFiles): Promise<string>
  close(): Promise<void>
}

type Bindings = {
  SchemaEngine: { new: (...args: Parameters<typeof SchemaEngine.new>) => Promise<SchemaEngine> }
  __wbg_set_wasm(exports: object): void
}

/** Node has it; its types come only with those of the DOM. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>
  instantiate(module: object, imports: Record<string, object>): Promise<{ exports: { __wbindgen_start(): void } }>
}

/** Prisma's schema engine, in process, on a connection of its own. Throws when the database can't be reached. */
export async function openSchemaEngine(url: string): Promise<Engine> {
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: engineName })
  pool.on('error', () => {})
  // The binding replaces each error of the adapter by a number; the registry is where the error itself can be had again.
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

/** The name that the engine's sessions show. */
export const engineName = 'quayside migration'

/**
 * Goes with a migration's script, in its transaction: the engine's own note comes later, so that of a script without one nobody could
 * say, after a kill, whether it was applied. One migration at most is unfinished, and none where there is no history yet.
 */
const noteFinished = `
do $$ begin
  if to_regclass('_prisma_migrations') is not null then
    update _prisma_migrations set finished_at = clock_timestamp() where finished_at is null and rolled_back_at is null and logs is null;
  end if;
end $$`

/**
 * The adapter cuts a script at every semicolon, also inside a string or a function's body, and runs the pieces one by one. As a whole
 * PostgreSQL parses it right, and undoes all of it when one statement fails.
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

/** The package's own entry imports a .wasm file as a module, which Node reports as experimental; so it is put together by hand. */
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

/** The engine's errors are a JSON report, a number of the registry, or a text. */
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
