import pg from 'pg'

/**
 * Lists the objects of a database's schema `public`, one line each, sorted: columns, indexes, constraints, triggers, functions, enums,
 * sequences, views, policies, extensions. Two databases are equal if their lines are. The order of columns and the migration history are
 * left out.
 */
export async function readCatalogue(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<{ line: string }>(query)
    return rows.map(({ line }) => line).sort()
  } finally {
    await client.end()
  }
}

/** The lines that only one of the two has: `- ` for the first, `+ ` for the second. Empty if they are equal. */
export function compareCatalogues(first: string[], second: string[]): string[] {
  const only = (lines: string[], others: string[], sign: string) =>
    lines.filter((line) => !others.includes(line)).map((line) => `${sign} ${line}`)
  return [...only(first, second, '-'), ...only(second, first, '+')]
}

const query = `
with own as (
  select c.oid, c.relname, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relname <> '_prisma_migrations'
)
select format('table %s persistence %s options %s row security %s', relname, relpersistence, reloptions, relrowsecurity) as line
  from own where relkind in ('r', 'p')
union all
select format('column %s.%s %s%s default %s identity %s generated %s collation %s', own.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' else '' end,
    pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation::regcollation)
  from own join pg_attribute a on a.attrelid = own.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where own.relkind in ('r', 'p', 'v', 'm')
union all
select format('index %s', pg_get_indexdef(i.indexrelid)) from own join pg_index i on i.indrelid = own.oid where own.relkind in ('r', 'p', 'm')
union all
select format('constraint %s on %s %s', k.conname, own.relname, pg_get_constraintdef(k.oid))
  from own join pg_constraint k on k.conrelid = own.oid where k.contype <> 'n'
union all
select format('trigger %s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
  from own join pg_trigger t on t.tgrelid = own.oid where not t.tgisinternal
union all
select format('function %s', pg_get_functiondef(p.oid)) from pg_proc p
  where p.pronamespace = 'public'::regnamespace and p.prokind in ('f', 'p')
union all
select format('enum %s %s', t.typname, string_agg(e.enumlabel, ' ' order by e.enumsortorder))
  from pg_type t join pg_enum e on e.enumtypid = t.oid where t.typnamespace = 'public'::regnamespace group by t.typname
union all
select format('domain %s %s not null %s', t.typname, format_type(t.typbasetype, t.typtypmod), t.typnotnull)
  from pg_type t where t.typnamespace = 'public'::regnamespace and t.typtype = 'd'
union all
select format('sequence %s %s start %s step %s', own.relname, format_type(s.seqtypid, null), s.seqstart, s.seqincrement)
  from own join pg_sequence s on s.seqrelid = own.oid
union all
select format('view %s %s', own.relname, pg_get_viewdef(own.oid)) from own where own.relkind in ('v', 'm')
union all
select format('policy %s on %s %s %s %s', p.polname, own.relname, p.polcmd, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from own join pg_policy p on p.polrelid = own.oid
union all
select format('extension %s', extname) from pg_extension`
