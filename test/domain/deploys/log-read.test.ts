import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  completeLog,
  ensureServiceLog,
  followLog,
  type LogBatch,
  type LogMode,
  type LogStart,
  openLogWriter,
  readLog,
} from '../../../src/domain/deploys/log/index.ts'
import { expireLogs } from '../../../src/domain/deploys/log/jobs.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, shiftClock, type TestDatabase } from '../../support/database.ts'
import { intercepting } from '../../support/intercept.ts'
import { until } from '../../support/wait.ts'
import { append, countTo, createPlace, inTransaction, messagesOf, readAll, seqsOf } from './log-support.ts'

const day = 24 * 3_600_000
let database: TestDatabase
let app: TestApp
let logId: string
let end: AbortController

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  app = await createTestApp(database.url, { LOG_MAX_BYTES: '20000' })
  logId = (await ensureServiceLog(app.db, await createPlace(app))).id
  end = new AbortController()
})
afterEach(async () => {
  end.abort()
  await app.close()
})

const numbers = (from: number, to: number) => countTo(to - from + 1).map((number) => String(number + from - 1))
const complete = () => inTransaction(app, (work) => completeLog(work, logId))
const refused = expect.objectContaining({ code: 'invalid_input', field: 'after' })

/** Follows a log in the background and collects its batches. `ended` settles when the stream does. */
function follow(on: App, start: LogStart & { mode: LogMode }, signal = end.signal) {
  const batches: LogBatch[] = []
  const run = async () => {
    for await (const batch of followLog(on, logId, { ...start, pollMs: 60_000 }, signal)) batches.push(batch)
  }
  return { batches, ended: run() }
}

describe('reading a log', () => {
  it('continues after the cursor, and reports when the log is complete', async () => {
    await append(app, logId, numbers(1, 450))
    const first = await readLog(app.db, logId, { limit: 300 })
    expect([seqsOf([first]), first.gap, first.complete]).toEqual([countTo(300), null, false])
    const second = await readLog(app.db, logId, { after: first.cursor })
    expect([messagesOf([second]), second.complete]).toEqual([numbers(301, 450), false])
    await complete()
    const third = await readLog(app.db, logId, { after: second.cursor })
    expect(third).toEqual({ lines: [], cursor: second.cursor, gap: null, complete: true, hasMore: false })
    expect((await readLog(app.db, logId, { after: first.cursor, limit: 149 })).complete).toBe(false)
    expect((await readLog(app.db, logId, { after: first.cursor, limit: 150 })).complete).toBe(true)
  })

  it('returns the last lines for `tail`', async () => {
    await append(app, logId, numbers(1, 250))
    expect(messagesOf([await readLog(app.db, logId, { tail: 60 })])).toEqual(numbers(191, 250))
    expect(messagesOf([await readLog(app.db, logId, { tail: 1_000 })])).toEqual(numbers(1, 250))
    expect(messagesOf([await readLog(app.db, logId, { tail: 0 })])).toEqual([])
  })

  it('returns the lines since a time, applies the later of tail and since, and prefers a cursor', async () => {
    for (const [index, minute] of [0, 1, 2].entries()) {
      await append(app, logId, numbers(index * 10 + 1, index * 10 + 10), new Date(Date.UTC(2026, 0, 1, 12, minute)))
    }
    const at = (minute: number, second = 0) => new Date(Date.UTC(2026, 0, 1, 12, minute, second))
    const first = async (start: LogStart) => (await readLog(app.db, logId, start)).lines[0]?.seq
    expect(await first({ since: at(1) })).toBe(11)
    expect(await first({ since: at(0, 30) })).toBe(11)
    expect(await first({ since: at(1, 30), tail: 25 })).toBe(21)
    expect(await first({ since: at(1), tail: 5 })).toBe(26)
    expect(await first({ since: at(3) })).toBeUndefined()
    const { cursor } = await readLog(app.db, logId, { limit: 3 })
    expect(await first({ after: cursor, since: at(3), tail: 1 })).toBe(4)
  })

  it('finds the time within a chunk', async () => {
    const writer = openLogWriter(Object.assign({}, app, { clock: { now: () => new Date(now) } }), { logId })
    let now = Date.UTC(2026, 0, 1)
    for (const number of countTo(50)) {
      now += 1_000
      await writer.say(`${number}`)
    }
    await writer.close()
    expect(await (await app.db.prismaClient()).logChunk.count({ where: { logId } })).toBe(1)
    expect(messagesOf([await readLog(app.db, logId, { since: new Date(Date.UTC(2026, 0, 1, 0, 0, 40)) })])).toEqual(numbers(40, 50))
  })

  it('rejects a cursor of another log, one past the end, and text that is not a cursor', async () => {
    const other = await ensureServiceLog(app.db, await createPlace(app))
    await append(app, other.id, ['other'])
    await append(app, logId, ['one'])
    const foreign = await readLog(app.db, other.id)
    const future = await readLog(app.db, logId)
    await expect(readLog(app.db, logId, { after: foreign.cursor })).rejects.toEqual(refused)
    await expect(readLog(app.db, logId, { after: 'nonsense' })).rejects.toEqual(refused)
    await app.db.pool.query('delete from log_chunk where log_id = $1', [logId])
    await app.db.pool.query('update log set next_seq = 1 where id = $1', [logId])
    await expect(readLog(app.db, logId, { after: future.cursor })).rejects.toEqual(refused)
  })

  it('throws not_found for a log that does not exist', async () => {
    const unknown = expect.objectContaining({ code: 'not_found' })
    await expect(readLog(app.db, newId())).rejects.toEqual(unknown)
    await expect(readLog(app.db, newId(), { tail: 5 })).rejects.toEqual(unknown)
  })

  it('reads a batch with one statement, and a limited part of a log with many chunks', async () => {
    const large = Object.assign({}, app, { settings: { ...app.settings, LOG_MAX_BYTES: 1e9 } })
    await append(
      large,
      logId,
      Array.from({ length: 400 }, () => 'x'.repeat(16_000)),
    )
    const statements: string[] = []
    const off = app.db.onStatement((text) => statements.push(text))
    const batch = await readLog(app.db, logId)
    off()
    expect(statements).toHaveLength(1)
    const size = batch.lines.reduce((sum, { message }) => sum + message.length, 0)
    expect([size > 500_000, size < 2_000_000]).toEqual([true, true])
    expect(seqsOf(await readAll(app, logId))).toEqual(countTo(400))
  })
})

describe('a gap in a log', () => {
  it('is reported once, and to a reader within it from its position on', async () => {
    await append(app, logId, numbers(1, 100))
    const { cursor } = await readLog(app.db, logId, { limit: 90 })
    for (let round = 1; round <= 10; round++) await append(app, logId, numbers(round * 100 + 1, round * 100 + 100))
    const whole = await readAll(app, logId)
    const gap = whole.flatMap((batch) => batch.gap ?? [])
    expect(gap).toHaveLength(1)
    expect(gap[0]!.fromSeq).toBeGreaterThan(101)

    const rest = await readAll(app, logId, { after: cursor })
    expect(rest.flatMap((batch) => batch.gap ?? [])).toEqual(gap)
    expect(seqsOf(rest)).toEqual(seqsOf(whole).filter((seq) => seq > 90))

    // A reader that has already read some of the missing lines.
    const seen = await readLog(app.db, logId, { tail: 1_100 - gap[0]!.toSeq, limit: 10 })
    for (let round = 11; round <= 20; round++) await append(app, logId, numbers(round * 100 + 1, round * 100 + 100))
    const later = await readAll(app, logId, { after: seen.cursor })
    const grown = (await readAll(app, logId)).flatMap((batch) => batch.gap ?? [])[0]!
    const own = later.flatMap((batch) => batch.gap ?? [])[0]!
    const fromSeq = gap[0]!.toSeq + 11
    const missing = numbers(fromSeq, grown.toSeq)
    expect(own).toEqual({ fromSeq, toSeq: grown.toSeq, lines: missing.length, bytes: missing.join('').length, reason: 'BYTE_CAP' })
  })

  it('is reported whole if a tail or a time starts in it', async () => {
    const at = (round: number) => new Date(Date.UTC(2026, 0, 1, 0, round))
    for (let round = 0; round < 20; round++) await append(app, logId, numbers(round * 100 + 1, round * 100 + 100), at(round))
    const [gap] = (await readAll(app, logId)).flatMap((batch) => batch.gap ?? [])
    expect((await readLog(app.db, logId, { tail: 2_000 - gap!.toSeq + 5 })).gap).toEqual(gap)
    expect((await readLog(app.db, logId, { tail: 2_000 - gap!.toSeq })).gap).toBeNull()
    expect((await readLog(app.db, logId, { since: at(10) })).gap).toEqual(gap)
    expect((await readLog(app.db, logId, { since: at(19) })).gap).toBeNull()
  })

  it('is always correct while a log exceeds its cap', async () => {
    const total = 30_000
    const writer = openLogWriter(app, { logId })
    const sink = writer.sink()
    const writing = (async () => {
      for (const number of countTo(total / 100))
        await sink('stdout', Buffer.from(`${numbers(number * 100 - 99, number * 100).join('\n')}\n`))
      await writer.close()
      await complete()
    })()
    let expected = 1
    let after: string | undefined
    for (let isComplete = false; !isComplete; ) {
      const batch = await readLog(app.db, logId, { after, limit: 40 })
      const missing = batch.gap ? numbers(batch.gap.fromSeq, batch.gap.toSeq) : []
      if (batch.gap) expect([batch.gap.lines, batch.gap.bytes]).toEqual([missing.length, missing.join('').length])
      const all = [...missing, ...messagesOf([batch])].map(Number).sort((a, b) => a - b)
      expect(all).toEqual(numbers(expected, expected + all.length - 1).map(Number))
      expected += all.length
      after = batch.cursor
      isComplete = batch.complete
    }
    expect(expected).toBe(total + 1)
    await writing
  })
})

describe('retention', () => {
  const expire = async () => {
    while ((await expireLogs.run(app, end.signal)) === 'again');
  }
  afterEach(() => shiftClock(database.url, 0))

  it('deletes old lines, and every reader sees the gap', async () => {
    await append(app, logId, numbers(1, 10), new Date(Date.now() - 20 * day))
    await append(app, logId, numbers(11, 20))
    const { cursor } = await readLog(app.db, logId, { limit: 4 })
    await expire()
    expect(seqsOf(await readAll(app, logId))).toEqual(countTo(20))

    await shiftClock(database.url, 15 * day)
    await expire()
    const gap = { fromSeq: 1, toSeq: 10, lines: 10, bytes: 11, reason: 'RETENTION' }
    expect(await readLog(app.db, logId)).toMatchObject({ gap, lines: numbers(11, 20).map((message) => ({ message })) })
    expect(await readLog(app.db, logId, { after: cursor })).toMatchObject({ gap: { ...gap, fromSeq: 5, lines: 6, bytes: 7 } })
    expect((await readLog(app.db, logId, { tail: 10 })).gap).toBeNull()
    expect((await readLog(app.db, logId, { tail: 11 })).gap).toEqual(gap)
  })

  it('keeps a completed log readable to its end when all of its lines are deleted', async () => {
    await append(app, logId, numbers(1, 10))
    await complete()
    await shiftClock(database.url, 31 * day)
    await expire()
    const batch = await readLog(app.db, logId)
    expect(batch).toMatchObject({ lines: [], gap: { fromSeq: 1, toSeq: 10, lines: 10, bytes: 11, reason: 'RETENTION' }, complete: true })
    expect(await readLog(app.db, logId, { after: batch.cursor })).toMatchObject({ lines: [], gap: null, complete: true })
  })

  it('continues the numbering, and keeps its gap apart from that of the byte cap', async () => {
    const old = new Date(Date.now() - 31 * day)
    await append(app, logId, numbers(1, 50), old)
    for (let round = 0; round < 20; round++) await append(app, logId, numbers(round * 100 + 51, round * 100 + 150))
    await expire()
    const gaps = (await readAll(app, logId)).flatMap((batch) => batch.gap ?? [])
    expect(gaps.map(({ fromSeq, reason }) => [fromSeq, reason])).toEqual([
      [1, 'RETENTION'],
      [expect.any(Number), 'BYTE_CAP'],
    ])
    expect(gaps[0]!.toSeq).toBe(50)
    await shiftClock(database.url, 31 * day)
    await expire()
    expect((await readAll(app, logId)).flatMap((batch) => batch.gap ?? [])).toEqual([
      expect.objectContaining({ fromSeq: 1, toSeq: 2_050, reason: 'RETENTION' }),
    ])
    expect(await append(app, logId, ['next'])).toBe(2_051)
  })
})

describe('following a log', () => {
  it('yields stored lines, then new ones, and ends with the complete batch', async () => {
    await append(app, logId, numbers(1, 5))
    const { batches, ended } = follow(app, { mode: 'stored' })
    await until('the stored lines have come', () => seqsOf(batches).length === 5)
    await append(app, logId, numbers(6, 9))
    await until('the new lines have come', () => seqsOf(batches).length === 9)
    await complete()
    await ended
    expect(messagesOf(batches)).toEqual(numbers(1, 9))
    expect(batches.map((batch) => batch.complete)).toEqual([...batches.slice(1).map(() => false), true])
  })

  it('yields only new lines in that mode, unless a start is given', async () => {
    await append(app, logId, numbers(1, 5))
    const [fresh, tail] = [follow(app, { mode: 'new' }), follow(app, { mode: 'new', tail: 2 })]
    await until('the tail has come', () => seqsOf(tail.batches).length === 2)
    await append(app, logId, ['6'])
    await until('both have the new line', () => seqsOf(tail.batches).length === 3 && seqsOf(fresh.batches).length === 1)
    expect([messagesOf(fresh.batches), messagesOf(tail.batches)]).toEqual([['6'], ['4', '5', '6']])
  })

  it('is notified by another process', async () => {
    const other = await createTestApp(database.url)
    const { batches } = follow(other, { mode: 'stored' })
    await append(app, logId, ['one'])
    await until('the line has come', () => batches.length === 1)
    end.abort()
    await other.close()
  })

  it('finds lines without a notification', async () => {
    const stream = followLog(app, logId, { mode: 'stored', pollMs: 20 }, end.signal)
    const next = stream.next()
    await append(Object.assign({}, app, { wake: { ...app.wake, notify() {} } }), logId, ['unheard'])
    expect(messagesOf([(await next).value!])).toEqual(['unheard'])
    await stream.return()
  })

  it('misses no line that is written while it reads', async () => {
    await append(app, logId, ['one'])
    let isAppended = false
    const db = intercepting(app.db, async (text, send) => {
      const found = await send()
      if (!isAppended && text.includes('bytes_ahead')) {
        isAppended = true
        const woken = app.wake.next(`log:${logId}`, 5_000)
        await append(app, logId, ['two'])
        await woken
      }
      return found
    })
    const { batches } = follow(Object.assign({}, app, { db }), { mode: 'stored' })
    await until('both lines have come', () => messagesOf(batches).length === 2)
    expect(messagesOf(batches)).toEqual(['one', 'two'])
  })

  it('ends on abort and when the log is deleted, and leaves no listener', async () => {
    let listeners = 0
    const on: App['wake']['on'] = (topic, listener) => {
      listeners++
      const off = app.wake.on(topic, listener)
      return () => {
        listeners--
        off()
      }
    }
    const watched = Object.assign({}, app, { wake: { ...app.wake, on } })
    const aborted = follow(watched, { mode: 'new' })
    const deleted = follow(watched, { mode: 'stored' }, new AbortController().signal)
    await append(app, logId, ['one'])
    await until('both follow', () => aborted.batches.length + deleted.batches.length >= 1 && listeners === 1)
    end.abort()
    await aborted.ended
    await until('the line has come', () => deleted.batches.length === 1)
    await app.db.pool.query('delete from log where id = $1', [logId])
    app.wake.notify(`log:${logId}`)
    await deleted.ended
    expect(listeners).toBe(0)
  })

  it('shares one read among followers at the same position', async () => {
    await append(app, logId, ['first'])
    const followers = countTo(20).map(() => follow(app, { mode: 'stored' }))
    await until('all are at the end', () => followers.every(({ batches }) => batches.length === 1))
    let reads = 0
    const off = app.db.onStatement((text) => {
      if (text.includes('bytes_ahead')) reads++
    })
    await append(app, logId, ['second'])
    await until('all have the line', () => followers.every(({ batches }) => batches.length === 2))
    off()
    expect(reads).toBeLessThan(8)
    expect(new Set(followers.map(({ batches }) => batches[1])).size).toBeLessThan(4)
  })

  it('shares the last batch with a follower that is late, and gives it the lines since in one batch if it is later', async () => {
    await append(app, logId, ['1'])
    const [prompt, late, later] = countTo(3).map(() => followLog(app, logId, { mode: 'stored', pollMs: 60_000 }, end.signal))
    for (const follower of [prompt!, late!, later!]) await follower.next()
    await append(app, logId, ['2'])
    const second = (await prompt!.next()).value
    expect((await late!.next()).value).toBe(second)
    for (const line of ['3', '4']) {
      await append(app, logId, [line])
      expect(messagesOf([(await prompt!.next()).value!])).toEqual([line])
    }
    expect(messagesOf([(await later!.next()).value!])).toEqual(['2', '3', '4'])
    expect(messagesOf([(await late!.next()).value!])).toEqual(['3', '4'])
    for (const follower of [prompt!, late!, later!]) await follower.return()
  })

  it('yields every line exactly once across any number of reconnects, while lines are written', async () => {
    const large = Object.assign({}, app, { settings: { ...app.settings, LOG_MAX_BYTES: 1e9 } })
    const other = await createTestApp(database.url)
    const total = 6_000
    const writers = [0, 1].map(async (number) => {
      const writer = openLogWriter(large, { logId })
      for (let line = number; line < total; line += 2) {
        await writer.sink()('stdout', Buffer.from(`${line}\n`))
        if (line % 100 === number) await writer.flush()
      }
      await writer.close()
    })
    const written = Promise.all(writers).then(complete)

    let seed = 42
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    const readers = countTo(4).map(async (number) => {
      const got: LogBatch[] = []
      let cuts = 0
      while (!got.at(-1)?.complete) {
        const cut = new AbortController()
        let left = 1 + random(3)
        for await (const batch of followLog(
          number % 2 === 0 ? other : app,
          logId,
          { mode: 'stored', after: got.at(-1)?.cursor },
          cut.signal,
        )) {
          got.push(batch)
          if (--left === 0) {
            cut.abort()
            cuts++
          }
        }
      }
      return { got, cuts }
    })
    const results = await Promise.all(readers)
    await written
    for (const { got, cuts } of results) {
      expect(seqsOf(got)).toEqual(countTo(total))
      expect(
        messagesOf(got)
          .map(Number)
          .sort((a, b) => a - b),
      ).toEqual(countTo(total).map((line) => line - 1))
      expect(cuts).toBeGreaterThan(2)
    }
    await other.close()
  })

  it('serves a slow reader from storage, with a gap for the lines that it missed', async () => {
    const stream = followLog(app, logId, { mode: 'stored' }, end.signal)
    await append(app, logId, ['1'])
    expect(messagesOf([(await stream.next()).value!])).toEqual(['1'])
    for (let round = 0; round < 30; round++) await append(app, logId, numbers(round * 100 + 2, round * 100 + 101))
    await complete()
    const batches: LogBatch[] = []
    for await (const batch of stream) batches.push(batch)
    const missing = batches.reduce((sum, { gap }) => sum + (gap?.lines ?? 0), 0)
    expect(missing).toBeGreaterThan(0)
    expect(seqsOf(batches).length + missing).toBe(3_000)
    expect(batches.at(-1)?.complete).toBe(true)
  })
})
