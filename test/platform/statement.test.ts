/** Statements over `pg`: what Prisma would read, prepared within bounds, on the connection of their transaction. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createDb,
  type Db,
  type DbOptions,
  defer,
  lookUp,
  raw,
  row,
  rowSoon,
  rows,
  run,
  type Sql,
  sql,
  type Tx,
  violated,
} from '../../src/platform/db/index.ts'
import { inTransaction } from '../../src/platform/db/transaction.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
const opened: Db[] = []
const open = (options: Partial<DbOptions> = {}) => {
  const db = createDb({ url: database.url, poolSize: 1, ...options })
  opened.push(db)
  return db
}
let db: Db

beforeAll(async () => {
  database = await createTestDatabase()
  db = open()
  await run(db, sql`create type colour as enum ('RED', 'GREEN')`)
  await run(db, sql`create table thing (id int primary key, n int, constraint thing_n_check check (n < 10))`)
})
afterAll(async () => {
  for (const each of opened) await each.close()
  await database.drop()
})

const read = async (tx: Tx, query: Sql) => (await row<{ value: unknown }>(tx, query))!.value
const readByPrisma = async (query: Sql) => (await (await db.prismaClient()).$queryRaw<{ value: unknown }[]>(query))[0]!.value
const kindOf = (value: unknown): unknown =>
  Array.isArray(value) ? value.map(kindOf) : value === null ? null : typeof value === 'object' ? value.constructor.name : typeof value

/** Read twice by one connection: the second time by name, without a description of the columns. */
const expectAsPrisma = async (query: Sql) => {
  const wanted = await readByPrisma(query)
  for (let n = 0; n < 3; n++) {
    const value = await read(db, query)
    expect(value).toEqual(wanted)
    expect(kindOf(value)).toEqual(kindOf(wanted))
  }
}

describe('what is read', () => {
  it.each([
    ['true', 'false'].map((text) => `${text}::bool`),
    ['0', '-32768', '32767'].map((text) => `'${text}'::int2`),
    ['0', '-2147483648', '2147483647'].map((text) => `'${text}'::int4`),
    ['0', '-9223372036854775808', '9007199254740993'].map((text) => `'${text}'::int8`),
    ['4294967295::oid'],
    ['0', '1.5', '-1e30', 'NaN', 'Infinity', '-Infinity'].flatMap((text) => [`'${text}'::float4`, `'${text}'::float8`]),
    ["''::text", "'ä🚢\\n\"{},'::text", "'abc'::varchar(10)", "'ab'::char(4)", "'thing'::name"],
    ["'0190A6C8-0000-7000-8000-000000000001'::uuid", "'10.0.0.1'::inet", "'10.0.0.0/8'::cidr"],
    ['null', '1', '"a"', '{"a": [1, {"b": null}], "n": 12345678901234567890}', '[]'].flatMap((text) => [
      `'${text}'::json`,
      `'${text}'::jsonb`,
    ]),
    ["''::bytea", "'\\x00ff7f'::bytea", "decode(repeat('ab', 10000), 'hex')"],
    ["'2026-02-28'::date", "'0001-01-01'::date", "'9999-12-31'::date", "'infinity'::date"],
    ['00:00', '23:59:59.999999', '12:30:00.5'].flatMap((text) => [`'${text}'::time`, `'${text}+00'::timetz`]),
    ['2026-11-27 05:27:25', '2026-11-27 05:27:25.1', '2026-11-27 05:27:25.123456', '0099-01-01 00:00:00'].flatMap((text) => [
      `'${text}'::timestamp`,
      `'${text}+00'::timestamptz`,
    ]),
    ["'RED'::colour", "array['RED', 'GREEN']::colour[]"],
    ['bool', 'int2', 'int4', 'int8', 'oid', 'float8', 'text', 'varchar', 'uuid', 'json', 'bytea', 'timestamptz'].map(
      (type) => `null::${type}`,
    ),
    [
      "'{}'::int[]",
      "'{1,null,3}'::int[]",
      "'{{a,b},{c,d}}'::text[]",
      "'{1,9007199254740993}'::int8[]",
      "'{t,f,null}'::bool[]",
      "'{1.5,null}'::float8[]",
    ],
    ["array['a', null, 'NULL', '', '{x}', 'a\"b\\c', 'ä, 🚢']::text[]", "array['\\x00ff', null]::bytea[]"],
    ["array['{\"a\": 1}', null, '[]']::jsonb[]", 'array[\'{"a": 1}\']::json[]', "'{0190a6c8-0000-7000-8000-000000000001}'::uuid[]"],
    [
      "array['2026-11-27 05:27:25.5+00', null]::timestamptz[]",
      "'{2026-11-27 05:27:25}'::timestamp[]",
      "'{2026-11-27}'::date[]",
      "'{12:30}'::time[]",
    ],
  ])('is what Prisma reads: %s', async (...expressions) => {
    for (const expression of expressions) await expectAsPrisma(sql`select ${raw(expression)} as value`)
  })

  it('is a date of the same moment in any time zone of the session', async () => {
    const elsewhere = open()
    for (const zone of ['Asia/Kathmandu', 'America/New_York', 'UTC']) {
      await run(elsewhere, sql`select set_config('timezone', ${zone}, false)`)
      const moment = new Date('2026-11-27T05:27:25.123Z')
      expect(await read(elsewhere, sql`select ${moment}::timestamptz as value`)).toEqual(moment)
      expect(await read(elsewhere, sql`select extract(epoch from ${moment}::timestamptz)::float8 * 1000 as value`)).toBe(moment.getTime())
    }
  })

  it('has the names of columns in camel case, and the last of two with one name', async () => {
    expect(await rows(db, sql`select 1 as web_service_id, 2 as x2_y, 3 as "Weird Name", 4 as twice, 5 as twice`)).toEqual([
      { webServiceId: 1, x2Y: 2, 'Weird Name': 3, twice: 5 },
    ])
  })

  it('fails for a type that no column has', async () => {
    await expect(read(db, sql`select point(1, 2) as value`)).rejects.toThrow('unsupported type 600')
    expect(await read(db, sql`select 1 as value`)).toBe(1)
  })
})

describe('what is sent', () => {
  const samples: [string, unknown][] = [
    ['text', ''],
    ['text', 'ä🚢\n"{},\\\''],
    ['bool', true],
    ['int4', -5],
    ['float8', 1.5],
    ['int8', 9007199254740993n],
    ['bytea', new Uint8Array([0, 255, 127])],
    ['bytea', Buffer.from('abc').subarray(1)],
    ['timestamptz', new Date('2026-11-27T05:27:25.123Z')],
    ['timestamp', new Date('2026-11-27T05:27:25Z')],
    ['date', new Date('2026-11-27T00:00:00Z')],
    ['json', { a: [1, null], b: 'x' }],
    ['int4[]', [1, null, 3]],
    ['text[]', []],
    ['bool[]', [true, false]],
    ['int8[]', [1n, 9007199254740993n]],
    ['timestamptz[]', [new Date('2026-11-27T05:27:25.123Z'), null]],
    ['bytea[]', [new Uint8Array([0, 255])]],
    [
      'int4[]',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['colour', 'RED'],
    ['text', null],
    ['text', undefined],
  ]

  it.each(samples)('arrives as %s as it was: %o', async (type, value) => {
    expect(await read(db, sql`select ${value}::${raw(type)} as value`)).toEqual(
      !ArrayBuffer.isView(value) ? (value ?? null) : new Uint8Array(value as Uint8Array),
    )
  })

  it('arrives whatever texts an array holds', async () => {
    const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0') && value.isWellFormed())
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(text)), async (list) => {
        expect(await read(db, sql`select ${list}::text[] as value`)).toEqual(list)
      }),
    )
  })

  it('is a moment of any year to 9999', async () => {
    const date = fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
    await fc.assert(
      fc.asyncProperty(date, async (moment) => {
        expect(await read(db, sql`select ${moment}::timestamptz as value`)).toEqual(moment)
        expect(await read(db, sql`select array[${moment}::timestamptz] as value`)).toEqual([moment])
      }),
    )
  })

  it('is refused before it is sent where it is no value', async () => {
    await expect(run(db, sql`select ${new Date(Number.NaN)}::timestamptz`)).rejects.toThrow('Invalid time value')
    expect(await read(db, sql`select 1 as value`)).toBe(1)
  })
})

describe('a failure', () => {
  it('names the constraint that was violated, each time', async () => {
    await run(db, sql`insert into thing (id, n) values (1, 1) on conflict do nothing`)
    for (let n = 0; n < 3; n++) {
      const twice = await run(db, sql`insert into thing (id, n) values (${1}, ${1})`).catch((error: unknown) => error)
      expect(violated(twice)).toEqual({ kind: 'unique', constraint: 'thing_pkey' })
      const large = await run(db, sql`insert into thing (id, n) values (${2}, ${11})`).catch((error: unknown) => error)
      expect(violated(large)).toEqual({ kind: 'check', constraint: 'thing_n_check' })
    }
  })

  it('says where in the program it was awaited', async () => {
    const caught = await run(db, sql`select * from nowhere`).catch((error: Error) => error)
    expect(caught).toMatchObject({ message: 'relation "nowhere" does not exist', code: '42P01' })
  })

  it('leaves the connection as it was', async () => {
    const pid = await read(db, sql`select pg_backend_pid() as value`)
    for (let n = 0; n < 3; n++) await expect(run(db, sql`select * from nowhere where id = ${1}`)).rejects.toThrow('nowhere')
    await run(db, sql`create table nowhere (id int)`)
    for (let n = 0; n < 3; n++) expect(await run(db, sql`select * from nowhere where id = ${1}`)).toBe(0)
    expect(await read(db, sql`select pg_backend_pid() as value`)).toBe(pid)
  })
})

describe('prepared statements', () => {
  const held = (each: Db) =>
    each.pool
      .query<{ n: number; texts: string[] }>('select count(*)::int as n, array_agg(statement) as texts from pg_prepared_statements')
      .then(({ rows: [found] }) => found!)

  it('are those that are sent again', async () => {
    const fresh = open()
    await run(fresh, sql`select 1 as sent_once`)
    expect((await held(fresh)).n).toBe(0)
    for (let n = 0; n < 5; n++) await run(fresh, sql`select 1 as sent_once, ${n}::int as again`)
    expect((await held(fresh)).texts).toEqual(['select 1 as sent_once, $1::int as again'])
  })

  it('stay within bounds on each connection, whatever is sent', async () => {
    const fresh = open()
    const send = (n: number) => read(fresh, sql`select ${n}::int as value, ${raw(`${n}`)} as text`)
    for (let n = 0; n < 300; n++) for (let again = 0; again < 3; again++) expect(await send(n)).toBe(n)
    expect((await held(fresh)).n).toBeLessThanOrEqual(200)
    for (let n = 0; n < 300; n++) expect(await send(n)).toBe(n)
    expect((await held(fresh)).n).toBeLessThanOrEqual(200)
  })

  it('are not made of long texts', async () => {
    const fresh = open()
    const long = 'x'.repeat(20_000)
    for (let n = 0; n < 3; n++) expect(await read(fresh, sql`select length(${raw(`'${long}'`)}) as value`)).toBe(20_000)
    expect((await held(fresh)).n).toBe(0)
  })

  it('are prepared anew when their tables have changed', async () => {
    const [one, other] = [open(), open()]
    await run(one, sql`create table changing (id int)`)
    await run(one, sql`insert into changing values (1)`)
    const all = (tx: Tx) => rows(tx, sql`select * from changing`)
    for (const each of [one, other]) for (let n = 0; n < 3; n++) expect(await all(each)).toEqual([{ id: 1 }])
    await run(one, sql`alter table changing add column name text default 'new'`)
    for (const each of [one, other]) expect(await all(each)).toEqual([{ id: 1, name: 'new' }])
  })

  it('are prepared anew within a transaction, which is run again', async () => {
    const fresh = open()
    await run(fresh, sql`create table moving (id int)`)
    const both = (tx: Tx) => rows(tx, sql`select * from moving`)
    for (let n = 0; n < 3; n++) await fresh.transaction(both)
    await run(fresh, sql`alter table moving add column name text`)
    await run(fresh, sql`insert into moving values (1, 'a')`)
    let runs = 0
    const found = await fresh.transaction((tx) => {
      runs++
      return both(tx)
    })
    expect(found).toEqual([{ id: 1, name: 'a' }])
    expect(runs).toBe(2)
  })

  it('are prepared anew when the session was reset', async () => {
    const fresh = open()
    for (let n = 0; n < 3; n++) await run(fresh, sql`select ${n}::int as forgotten`)
    await fresh.pool.query('deallocate all')
    expect(await run(fresh, sql`select ${1}::int as forgotten`)).toBe(1)
  })
})

describe('look-ups', () => {
  const backend = (n: number) => sql`select ${n}::int as n, pg_backend_pid() as pid`

  it('of one turn are one round trip of one connection, each with its own answer', async () => {
    const fresh = open({ poolSize: 4 })
    const found = await Promise.all([1, 2, 3].map((n) => lookUp<{ n: number; pid: number }>(fresh, backend(n))))
    expect(found.map((each) => each?.n)).toEqual([1, 2, 3])
    expect(new Set(found.map((each) => each?.pid)).size).toBe(1)
    expect(await lookUp(fresh, sql`select 1 where false`)).toBeNull()
  })

  it('of which one fails leave the others their answers', async () => {
    const fresh = open({ poolSize: 4 })
    const broken = lookUp(fresh, sql`select ${'x'}::text::int as n`)
    const others = Promise.all([1, 2].map((n) => lookUp<{ n: number }>(fresh, sql`select ${n}::int as n`)))
    await expect(broken).rejects.toThrow('invalid input syntax')
    expect(await others).toEqual([{ n: 1 }, { n: 2 }])
  })

  it('of more than a few are several round trips', async () => {
    const fresh = open({ poolSize: 4 })
    const found = await Promise.all(Array.from({ length: 40 }, (_, n) => lookUp<{ n: number }>(fresh, sql`select ${n}::int as n`)))
    expect(found.map((each) => each?.n)).toEqual(Array.from({ length: 40 }, (_, n) => n))
  })

  it('in a transaction see what it wrote', async () => {
    await db
      .transaction(async (tx) => {
        await run(tx, sql`insert into thing values (77, 7)`)
        expect(await lookUp(tx, sql`select n from thing where id = ${77}`)).toEqual({ n: 7 })
        throw new Error('undone')
      })
      .catch((error: Error) => expect(error.message).toBe('undone'))
    expect(await lookUp(db, sql`select n from thing where id = ${77}`)).toBeNull()
  })
})

describe('in a transaction', () => {
  it("statements take one connection, and others don't see it before the commit", async () => {
    const wide = open({ poolSize: 3 })
    await wide.transaction(async (tx) => {
      await run(tx, sql`insert into thing (id, n) values (100, 1)`)
      const own = await read(tx, sql`select pg_backend_pid() as value`)
      expect(await row(tx, sql`select pg_backend_pid() as value, n from thing where id = 100`)).toEqual({ value: own, n: 1 })
      expect(await row(wide, sql`select * from thing where id = 100`)).toBeNull()
    })
    expect(await row(wide, sql`select n from thing where id = 100`)).toEqual({ n: 1 })
  })

  it('statements of several transactions at once keep apart', async () => {
    const wide = open({ poolSize: 4 })
    const pids = await Promise.all(
      Array.from({ length: 4 }, () =>
        wide.transaction(async (tx) => {
          const first = await read(tx, sql`select pg_backend_pid() as value, pg_sleep(0.01)::text`)
          expect(await read(tx, sql`select pg_backend_pid() as value`)).toBe(first)
          return first
        }),
      ),
    )
    expect(new Set(pids).size).toBe(4)
  })

  it('everything is rolled back when something is thrown', async () => {
    const failed = db.transaction(async (tx) => {
      await run(tx, sql`insert into thing (id, n) values (200, 1)`)
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(await row(db, sql`select * from thing where id = 200`)).toBeNull()
  })

  const textsOf = async (each: Db, act: () => Promise<unknown>) => {
    const texts: string[] = []
    const off = each.onStatement((text) => texts.push(text))
    await act().finally(off)
    return texts
  }

  it('that sends nothing nothing is sent', async () => {
    const fresh = open()
    expect(await textsOf(fresh, () => fresh.transaction(async () => 'done'))).toEqual([])
  })

  it('a deferred statement is sent with the next one or with the commit, in order', async () => {
    const fresh = open()
    const add = (tx: Tx, id: number) => defer(tx, sql`insert into thing (id, n) values (${id}, 1)`)
    const count = (tx: Tx) => read(tx, sql`select count(*)::int as value from thing where id between 300 and 399`)
    await fresh.transaction(async (tx) => {
      add(tx, 300)
      add(tx, 301)
      expect(await count(tx)).toBe(2)
      add(tx, 302)
      expect(await count(tx)).toBe(3)
      add(tx, 303)
      add(tx, 304)
    })
    expect(await count(fresh)).toBe(5)
    expect(await textsOf(fresh, () => fresh.transaction(async (tx) => add(tx, 305)))).toEqual([
      'BEGIN',
      'insert into thing (id, n) values ($1, 1)',
      'COMMIT',
    ])
  })

  it('a deferred statement that fails rolls everything back, and the next transaction is whole', async () => {
    const fresh = open()
    for (let n = 0; n < 3; n++) {
      const failed = fresh.transaction(async (tx) => {
        await run(tx, sql`insert into thing (id, n) values (${400}, 1)`)
        defer(tx, sql`insert into thing (id, n) values (${401}, 11)`)
        defer(tx, sql`insert into thing (id, n) values (${402}, 1)`)
      })
      expect(violated(await failed.catch((error: unknown) => error))).toEqual({ kind: 'check', constraint: 'thing_n_check' })
    }
    expect(await rows(fresh, sql`select * from thing where id between 400 and 499`)).toEqual([])
  })

  it('nothing can be deferred outside of one', () => {
    expect(() => defer(db, sql`select 1`)).toThrow('only be deferred in a transaction')
  })

  it('the connection is given back at the deadline, and what comes later fails', async () => {
    const fresh = open()
    const late = inTransaction({ pool: fresh.pool, timeoutMs: 50 }, async (tx) => {
      await run(tx, sql`insert into thing (id, n) values (500, 1)`)
      // The pool has one connection: this waits for the deadline.
      expect(await row(fresh, sql`select * from thing where id = 500`)).toBeNull()
      await run(tx, sql`insert into thing (id, n) values (501, 1)`)
    })
    await expect(late).rejects.toThrow('the transaction took longer than 50 ms')
    expect(await rows(fresh, sql`select * from thing where id in (500, 501)`)).toEqual([])
  })

  /** The number of statements in each round trip. */
  const tripsOf = async (each: Db, act: () => Promise<unknown>): Promise<number[]> => {
    const client = await each.pool.connect()
    const query = client.query as (...args: unknown[]) => unknown
    const trips: number[] = []
    client.query = ((...args: unknown[]) => {
      trips.push((args[0] as { texts: string[] }).texts.length)
      return query.apply(client, args)
    }) as typeof client.query
    client.release()
    await act().finally(() => {
      client.query = query as typeof client.query
    })
    return trips
  }

  it('what does not wait for each other is one round trip: with BEGIN at the start, with COMMIT at the end', async () => {
    const fresh = open()
    const trips = await tripsOf(fresh, () =>
      fresh.transaction(async (tx) => {
        await Promise.all([read(tx, sql`select 1 as value`), read(tx, sql`select 2 as value`)])
        const last = rowSoon<{ n: number }>(tx, sql`insert into thing (id, n) values (600, 6) returning n`)
        defer(tx, sql`insert into thing (id, n) values (601, 1)`)
        return { last }
      }),
    )
    expect(trips).toEqual([3, 3])
    expect(await rows(fresh, sql`select id from thing where id in (600, 601) order by id`)).toEqual([{ id: 600 }, { id: 601 }])
  })

  it('a row that nobody waited for is known after the commit, and its error rolls back', async () => {
    const fresh = open()
    const insert = (tx: Tx, id: number) => rowSoon<{ id: number }>(tx, sql`insert into thing (id, n) values (${id}, 1) returning id`)
    const kept = await fresh.transaction(async (tx) => ({ later: insert(tx, 610) }))
    expect(await kept.later).toEqual({ id: 610 })
    const failed = fresh.transaction(async (tx) => {
      await run(tx, sql`insert into thing (id, n) values (611, 1)`)
      return { later: insert(tx, 610) }
    })
    expect(violated(await failed.catch((error: unknown) => error))).toEqual({ kind: 'unique', constraint: 'thing_pkey' })
    expect(await row(fresh, sql`select * from thing where id = 611`)).toBeNull()
  })

  it('an error that was caught rolls it back, too, and the connection is used again', async () => {
    const fresh = open()
    const pid = await read(fresh, sql`select pg_backend_pid() as value`)
    const failed = fresh.transaction(async (tx) => {
      await run(tx, sql`insert into thing (id, n) values (620, 1)`)
      await run(tx, sql`insert into thing (id, n) values (621, 11)`).catch(() => {})
      return 'done'
    })
    expect(violated(await failed.catch((error: unknown) => error))).toEqual({ kind: 'check', constraint: 'thing_n_check' })
    expect(await rows(fresh, sql`select * from thing where id in (620, 621)`)).toEqual([])
    expect(await read(fresh, sql`select pg_backend_pid() as value`)).toBe(pid)
  })

  it('statements of it may be sent at once', async () => {
    const fresh = open()
    const values = await fresh.transaction((tx) => Promise.all([1, 2, 3].map((n) => read(tx, sql`select ${n}::int as value`))))
    expect(values).toEqual([1, 2, 3])
  })

  it('a handle is of no use when it is over', async () => {
    let kept: Tx
    await db.transaction(async (tx) => {
      kept = tx
    })
    await expect(run(kept!, sql`select 1`)).rejects.toThrow('the transaction is over')
  })
})

it('each statement is reported to whoever counts them', async () => {
  const counted = open()
  const texts: string[] = []
  const off = counted.onStatement((text) => texts.push(text))
  for (let n = 0; n < 2; n++) await run(counted, sql`select ${1}::int`)
  off()
  expect(texts.filter((text) => text.startsWith('select $1'))).toEqual(['select $1::int', 'select $1::int'])
})
