/** Restores what pg-dump.mjs wrote, in one transaction. */
import { text } from 'node:stream/consumers'
import pg from 'pg'

const lines = (await text(process.stdin)).split('\n').filter(Boolean)
const client = new pg.Client()
await client.connect()
try {
  await client.query('begin')
  for (const line of lines) {
    const { name, columns, rows } = JSON.parse(line)
    const table = pg.escapeIdentifier(name)
    await client.query(`create table public.${table} (${columns})`)
    await client.query(`insert into public.${table} select * from jsonb_populate_recordset(null::public.${table}, $1)`, [
      JSON.stringify(rows),
    ])
  }
  await client.query('commit')
} catch (error) {
  console.error(`pg_restore: error: ${error.message}`)
  process.exitCode = 1
}
await client.end()
