/** Whether a restored database is readable and complete: every row of every table, the number of rows, and the structure of tables and indexes. */

import { randomUUID } from 'node:crypto'
import type { BackupErrorCode, RowCounts } from '../../../domain/resources/backup/ports.ts'
import { type Connection, quoteName } from '../../../platform/db/connection.ts'
import { PortError } from '../../../platform/errors.ts'
import { storedTables } from './row-count.ts'

export type Verification = { tables: number; rows: number; indexes: number }

const finding = (message: string, cause?: unknown): PortError<BackupErrorCode> => new PortError('VERIFICATION_FAILED', message, { cause })

type Table = { schema: string; name: string; kind: 'r' | 'm' }

/** Throws PortError VERIFICATION_FAILED with the first problem found. */
export async function verifyDatabase(session: Connection, expected: RowCounts | null): Promise<Verification> {
  await session.run("set search_path = ''; set statement_timeout = 0; set max_parallel_workers_per_gather = 0")
  const counted = await readTables(session)
  for (const { schema, table, rows } of expected ?? []) {
    const found = counted.get(quoteName(schema, table))
    if (found === undefined) throw finding(`Table ${schema}.${table} is missing.`)
    if (found !== rows) throw finding(`Table ${schema}.${table} has ${found} rows instead of ${rows}.`)
  }
  const indexes = await checkStructure(session)
  return { tables: counted.size, rows: [...counted.values()].reduce((sum, rows) => sum + rows, 0), indexes }
}

/** Reads every value, including those stored out of line, and returns the number of rows by quoted name. */
async function readTables(session: Connection): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { schema, name, kind } of await session.rows<Table>(storedTables)) {
    const quoted = quoteName(schema, name)
    const source = kind === 'm' ? `(select * from only ${quoted})` : quoted
    counts.set(quoted, await checking(`Table ${schema}.${name} cannot be read`, () => session.run(`copy ${source} to '/dev/null'`)))
  }
  return counts
}

type Index = { oid: string; name: string; method: 'btree' | 'gin' }

/** Checks tables and indexes, including those of the system, and returns the number of indexes. */
async function checkStructure(session: Connection): Promise<number> {
  // A random name, because the owner of the database may have created a schema with any other one.
  const schema = `check_${randomUUID().replaceAll('-', '')}`
  await session.run(`create schema ${schema}; create extension amcheck schema ${schema}`)
  const tables = await session.rows<{ oid: string; name: string }>(
    `select c.oid::text as oid, c.oid::regclass::text as name from pg_class c
     where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p' order by c.oid`,
  )
  for (const { oid, name } of tables) {
    const [problem] = await checking(`Table ${name} cannot be checked`, () =>
      session.rows<{ msg: string }>(`select msg from ${schema}.verify_heapam($1::oid::regclass, true, true) limit 1`, [oid]),
    )
    if (problem) throw finding(`Table ${name} is damaged: ${problem.msg}`)
  }
  const indexes = await session.rows<Index>(
    `select c.oid::text as oid, c.oid::regclass::text as name, a.amname as method
     from pg_class c join pg_index i on i.indexrelid = c.oid join pg_am a on a.oid = c.relam
     where c.relkind = 'i' and c.relpersistence = 'p' and i.indisvalid and i.indisready and a.amname in ('btree', 'gin') order by c.oid`,
  )
  for (const { oid, name, method } of indexes) {
    const check = method === 'btree' ? 'bt_index_check($1::oid::regclass, true)' : 'gin_index_check($1::oid::regclass)'
    await checking(`Index ${name} is damaged`, () => session.rows(`select ${schema}.${check}`, [oid]))
  }
  return indexes.length
}

/** An error that the server reports is a finding. A lost connection is not. */
async function checking<T>(what: string, check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    if (isFinding(code)) throw finding(`${what}: ${message}`, error)
    throw error
  }
}

/** SQLSTATE classes of connection failures, missing resources, operator intervention and system errors say nothing about the backup. */
const isFinding = (code: string | undefined): boolean => code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^(08|53|57|58)/.test(code)
