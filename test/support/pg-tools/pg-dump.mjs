/** Stands in for pg_dump 18, which Debian does not have: writes the tables of the snapshot as JSON. */
import pg from 'pg'

if (process.argv[2] === '--version') {
  console.log('pg_dump (PostgreSQL) 18.0')
} else {
  const snapshot = process.argv.find((word) => word.startsWith('--snapshot='))?.split('=')[1]
  const client = new pg.Client()
  await client.connect()
  await client.query('begin isolation level repeatable read read only')
  await client.query(`set transaction snapshot '${snapshot}'`)
  const { rows: tables } = await client.query(
    `select c.relname as name, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace group by c.relname`,
  )
  for (const table of tables) {
    const { rows } = await client.query(`select to_jsonb(t) as row from ${pg.escapeIdentifier(table.name)} t`)
    process.stdout.write(`${JSON.stringify({ ...table, rows: rows.map(({ row }) => row) })}\n`)
  }
  await client.end()
}
