import type { RowCounts } from '../../../domain/resources/backup/ports.ts'
import { type Connection, quoteName } from '../../../platform/db/connection.ts'

type Table = { schema: string; name: string; file: string }

/** Maximum wait for a table that another session has locked exclusively. Others wait behind it for as long. */
const lockWaitMs = 200

/** Tables and materialized views whose content survives recovery: neither temporary nor unlogged. */
export const storedTables = `
  select n.nspname as schema, c.relname as name, c.relkind as kind, c.relfilenode::text as file
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and c.relpersistence = 'p' and c.relispopulated
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp%'
  order by n.nspname, c.relname`

/**
 * Counts the rows of all tables in the snapshot of the session's transaction. A table that was rewritten, truncated, renamed or dropped since
 * the snapshot, or that is locked, is left out, because the snapshot does not show its content. Each table is locked only while it is counted.
 */
export async function countRows(session: Connection): Promise<RowCounts> {
  const counts: RowCounts = []
  await session.run(`set local lock_timeout = ${lockWaitMs}; set local max_parallel_workers_per_gather = 0; set local search_path = ''`)
  for (const table of await session.rows<Table>(storedTables)) {
    await session.run('savepoint one')
    const rows = await countTable(session, table)
    // Also releases the lock.
    await session.run('rollback to savepoint one')
    if (rows !== null) counts.push({ schema: table.schema, table: table.name, rows })
  }
  return counts
}

async function countTable(session: Connection, { schema, name, file }: Table): Promise<number | null> {
  const quoted = quoteName(schema, name)
  try {
    const [counted] = await session.rows<{ rows: string }>(`select count(*)::text as rows from only ${quoted}`)
    // Unlike the snapshot, this function sees the present file, which cannot change while the table is locked.
    const [now] = await session.rows<{ file: string | null }>('select pg_relation_filenode(to_regclass($1))::text as file', [quoted])
    return now?.file === file ? Number(counted!.rows) : null
  } catch (error) {
    if (isUncountable(error)) return null
    throw error
  }
}

const lockNotAvailable = '55P03'
const undefinedTable = '42P01'
const invalidSchemaName = '3F000'
const wrongObjectType = '42809'

const isUncountable = (error: unknown): boolean =>
  [lockNotAvailable, undefinedTable, invalidSchemaName, wrongObjectType].includes((error as { code?: string }).code ?? '')
