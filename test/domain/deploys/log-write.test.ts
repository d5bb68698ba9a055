import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  appendLines,
  completeLog,
  ensureDeploymentLog,
  ensureServiceLog,
  openLogWriter,
  readLog,
  runOf,
} from '../../../src/domain/deploys/log/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import {
  append,
  countTo,
  createDeployment,
  createPlace,
  inTransaction,
  keptOf,
  lineOf,
  messagesOf,
  type Place,
  readAll,
  seqsOf,
} from './log-support.ts'

const capBytes = 400_000
let database: TestDatabase
let app: TestApp
let place: Place
let logId: string

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  app = await createTestApp(database.url, { LOG_MAX_BYTES: String(capBytes) })
  place = await createPlace(app)
  logId = (await ensureServiceLog(app.db, place)).id
})
afterEach(() => app.close())

const bytes = (text: string) => Buffer.from(text)

describe('the rows of logs', () => {
  it('are one per deployment and one for the service, even if they are created concurrently', async () => {
    const deploymentId = await createDeployment(app, place)
    const logs = await Promise.all(
      countTo(8).flatMap(() => [
        inTransaction(app, ({ tx }) => ensureDeploymentLog(tx, { ...place, deploymentId })),
        inTransaction(app, ({ tx }) => ensureServiceLog(tx, place)),
      ]),
    )
    expect(new Set(logs.map(({ id }) => id)).size).toBe(2)
    expect(await (await app.db.prismaClient()).log.count({ where: place })).toBe(2)
  })

  it('are rejected for the service of another organization', async () => {
    await expect(ensureServiceLog(app.db, { ...place, organizationId: newId() })).rejects.toThrow('neither')
  })
})

describe('a writer', () => {
  it('stores the output of several streams and instances, each with its own unfinished line', async () => {
    const writer = openLogWriter(app, { logId })
    const instanceId = newId()
    const [build, instance] = [writer.sink(), writer.sink(instanceId)]
    await build('stdout', bytes('one '))
    await build('stderr', bytes('oops\n'))
    await instance('stdout', bytes('two '))
    await build('stdout', bytes('line\nlast'))
    await instance('stdout', bytes('lines\n'))
    await writer.say('Built.')
    await writer.close()
    const { lines } = await readLog(app.db, logId)
    expect(lines.map(({ seq, stream, level, instanceId: from, message }) => [seq, stream, level, from, message])).toEqual([
      [1, 'stderr', null, null, 'oops'],
      [2, 'stdout', null, null, 'one line'],
      [3, 'stdout', null, instanceId, 'two lines'],
      [4, 'system', 'INFO', null, 'Built.'],
      [5, 'stdout', null, null, 'last'],
    ])
  })

  it('stores a few lines without a flush, and notifies the followers of the log', async () => {
    let woken = 0
    const off = app.wake.on(`log:${logId}`, () => woken++)
    const writer = openLogWriter(app, { logId })
    await writer.sink()('stdout', bytes('hello\n'))
    await until('the line is stored', async () => (await readLog(app.db, logId)).lines.length === 1)
    await until('the topic is woken', () => woken > 0)
    off()
    await writer.close()
  })

  it('redacts before it stores', async () => {
    const writer = openLogWriter(app, { logId, redact: (line) => line.replaceAll('hunter22', '[redacted]') })
    await writer.sink()('stdout', bytes('password hunt'))
    await writer.sink()('stdout', bytes('unrelated\n'))
    await writer.say('using hunter22')
    await writer.close()
    expect(messagesOf(await readAll(app, logId))).toEqual(['unrelated', 'using [redacted]', 'password hunt'])
  })

  it('marks a line that was truncated at 16 KiB', async () => {
    const writer = openLogWriter(app, { logId })
    await writer.sink()('stdout', bytes(`${'x'.repeat(20_000)}\nshort\n`))
    await writer.close()
    const { lines } = await readLog(app.db, logId)
    expect(lines.map(({ message, truncated }) => [message.length, truncated])).toEqual([
      [16_384, true],
      [5, false],
    ])
  })

  it('numbers the lines of eight concurrent writers without gaps, and keeps the order of each', async () => {
    const other = await createTestApp(database.url, { LOG_MAX_BYTES: '10000000' })
    const large = Object.assign({}, app, { settings: other.settings })
    await Promise.all(
      countTo(8).map(async (number) => {
        const writer = openLogWriter(number % 2 === 0 ? other : large, { logId })
        const sink = writer.sink()
        for (const line of countTo(1_500)) await sink('stdout', bytes(`${number}:${line}\n`))
        await writer.close()
      }),
    )
    const batches = await readAll(app, logId)
    expect(seqsOf(batches)).toEqual(countTo(12_000))
    const byWriter = Map.groupBy(messagesOf(batches), (message) => Number(message.split(':')[0]))
    for (const [number, messages] of byWriter) expect(messages).toEqual(countTo(1_500).map((line) => `${number}:${line}`))
    await other.close()
  })

  it('keeps the order of a caller that does not wait', async () => {
    const writer = openLogWriter(Object.assign({}, app, { settings: { ...app.settings, LOG_MAX_BYTES: 1e9 } }), { logId })
    const sink = writer.sink()
    for (const number of countTo(30)) sink('stdout', bytes(`${`${number} ${'x'.repeat(97)}\n`.repeat(1_000)}`))
    await writer.close()
    const numbers = messagesOf(await readAll(app, logId)).map((message) => Number(message.split(' ')[0]))
    expect(numbers).toEqual(countTo(30_000).map((line) => Math.ceil(line / 1_000)))
  })

  it('makes its caller wait when output arrives faster than it is stored', async () => {
    const writer = openLogWriter(app, { logId })
    const sink = writer.sink()
    const block = bytes(`${'x'.repeat(99)}\n`.repeat(10_000))
    let waited = 0
    for (let round = 0; round < 8; round++) {
      const answer = sink('stdout', block)
      if (answer instanceof Promise) waited++
      await answer
    }
    expect(waited).toBeGreaterThan(0)
    await writer.close()
  })

  it('rejects the current and later calls when lines cannot be stored', async () => {
    const broken = await createTestApp(database.url)
    const writer = openLogWriter(broken, { logId })
    await broken.close()
    const sink = writer.sink()
    await sink('stdout', bytes('lost\n'))
    await expect(writer.flush()).rejects.toThrow('Cannot use a pool')
    await expect(Promise.resolve(sink('stdout', bytes('lost too\n')))).rejects.toThrow('Cannot use a pool')
    await expect(writer.say('lost as well')).rejects.toThrow('Cannot use a pool')
    await expect(writer.close()).rejects.toThrow('Cannot use a pool')
  })
})

describe('the byte cap', () => {
  it('keeps the beginning and the end of a log, each half of the cap, and reports exactly the missing lines', async () => {
    const message = (number: number) => `line ${number} ${'x'.repeat(number % 90)}`
    const total = 40_000
    const writer = openLogWriter(app, { logId })
    const sink = writer.sink()
    for (const number of countTo(total)) await sink('stdout', bytes(`${message(number)}\n`))
    await writer.close()

    const batches = await readAll(app, logId)
    const gaps = batches.flatMap(({ gap }) => gap ?? [])
    expect(gaps).toHaveLength(1)
    const [gap] = gaps
    const kept = seqsOf(batches)
    expect(kept).toEqual(countTo(total).filter((seq) => seq < gap!.fromSeq || seq > gap!.toSeq))
    expect(messagesOf(batches)).toEqual(kept.map(message))
    const missing = countTo(total).filter((seq) => seq >= gap!.fromSeq && seq <= gap!.toSeq)
    expect(gap).toEqual({
      fromSeq: missing[0],
      toSeq: missing.at(-1),
      lines: missing.length,
      bytes: missing.reduce((sum, seq) => sum + message(seq).length, 0),
      reason: 'BYTE_CAP',
    })
    const weight = (seqs: number[]) => seqs.reduce((sum, seq) => sum + message(seq).length + 32, 0)
    for (const half of [weight(kept.filter((seq) => seq < gap!.fromSeq)), weight(kept.filter((seq) => seq > gap!.toSeq))]) {
      expect(half).toBeGreaterThan(capBytes / 4)
      expect(half).toBeLessThanOrEqual(capBytes / 2)
    }
  })

  it('deletes nothing from a log below it', async () => {
    await append(
      app,
      logId,
      countTo(5_000).map((number) => `${number}`),
    )
    expect((await keptOf(app, logId)).lines).toBe(5_000)
  })

  it('applies to empty lines, and to long lines with a tiny cap', async () => {
    await append(
      app,
      logId,
      Array.from({ length: 50_000 }, () => ''),
    )
    const kept = await keptOf(app, logId)
    expect(kept.weight).toBeLessThanOrEqual(capBytes)
    expect(kept.lines).toBeGreaterThan(capBytes / 2 / 32)

    const tiny = Object.assign({}, app, { settings: { ...app.settings, LOG_MAX_BYTES: 1_000 } })
    const other = await ensureServiceLog(app.db, await createPlace(app))
    await append(
      tiny,
      other.id,
      Array.from({ length: 50 }, () => 'x'.repeat(20_000)),
    )
    const batches = await readAll(app, other.id)
    expect((await keptOf(app, other.id)).weight).toBeLessThanOrEqual(1_000)
    expect(seqsOf(batches).at(0)).toBe(1)
    expect(seqsOf(batches).at(-1)).toBe(50)
  })

  it('applies when several writers wait for each other', async () => {
    const writers = countTo(8).map(() => openLogWriter(app, { logId }))
    await Promise.all(
      writers.map(async (writer) => {
        await writer.sink()('stdout', bytes(`${'x'.repeat(79)}\n`.repeat(10_000)))
        await writer.close()
      }),
    )
    expect((await keptOf(app, logId)).weight).toBeLessThanOrEqual(capBytes)
    const batches = await readAll(app, logId)
    expect(seqsOf(batches).at(-1)).toBe(80_000)
    expect(seqsOf(batches).length + batches.reduce((sum, { gap }) => sum + (gap?.lines ?? 0), 0)).toBe(80_000)
  })

  it('limits disk and memory use for 100 MB of output', async () => {
    const writer = openLogWriter(app, { logId })
    const sink = writer.sink()
    const block = bytes(`${'flood '.repeat(16)}\n`.repeat(10_000))
    // V8's heap for short-lived objects grows with the first tens of megabytes, whatever is written.
    const warmUpBlocks = Math.ceil(50_000_000 / block.length)
    const blocks = warmUpBlocks + Math.ceil(100_000_000 / block.length)
    let warm = 0
    let peak = 0
    for (let round = 0; round < blocks; round++) {
      await sink('stdout', block)
      const { rss } = process.memoryUsage()
      if (round < warmUpBlocks) warm = rss
      peak = Math.max(peak, rss - warm)
    }
    await writer.close()
    expect(peak).toBeLessThan(150_000_000)
    expect((await keptOf(app, logId)).weight).toBeLessThanOrEqual(capBytes)
    const batches = await readAll(app, logId)
    expect(seqsOf(batches).at(-1)).toBe(blocks * 10_000)
    expect(seqsOf(batches).length + batches.reduce((sum, { gap }) => sum + (gap?.lines ?? 0), 0)).toBe(blocks * 10_000)
  })
})

describe('appending within a transaction', () => {
  it('is rolled back with it, and leaves no gap in the numbers', async () => {
    await append(app, logId, ['one'])
    await expect(
      inTransaction(app, async (work) => {
        expect(await appendLines(work, logId, [runOf(lineOf('never'), 100)])).toBe(2)
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect(await append(app, logId, ['two', 'three'])).toBe(2)
    expect(messagesOf(await readAll(app, logId))).toEqual(['one', 'two', 'three'])
  })

  it('removes NUL, replaces line feeds, and truncates long lines', async () => {
    await append(app, logId, ['a\0b\nc', 'x'.repeat(20_000)])
    const { lines } = await readLog(app.db, logId)
    expect(lines.map(({ message, truncated }) => [message, truncated])).toEqual([
      ['ab c', false],
      ['x'.repeat(16_384), true],
    ])
  })

  it('changes nothing without lines', async () => {
    expect(await append(app, logId, [])).toBeNull()
    expect((await readLog(app.db, logId)).lines).toEqual([])
  })
})

describe('completion', () => {
  it('happens once, and nothing is appended afterwards', async () => {
    await append(app, logId, ['last'])
    const complete = () => inTransaction(app, (work) => completeLog(work, logId))
    expect((await Promise.all([complete(), complete()])).sort()).toEqual([false, true])
    expect(await append(app, logId, ['late'])).toBeNull()

    const writer = openLogWriter(app, { logId })
    await writer.say('later')
    await writer.close()
    expect(messagesOf(await readAll(app, logId))).toEqual(['last'])
    expect(app.logged.filter(({ msg }) => String(msg).includes('after the end of their log'))).toHaveLength(1)
  })

  it('keeps a writer usable, whose lines are dropped with one warning', async () => {
    const writer = openLogWriter(app, { logId })
    await inTransaction(app, (work) => completeLog(work, logId))
    for (const number of countTo(5)) {
      await writer.say(`late ${number}`)
      await writer.flush()
    }
    await writer.close()
    expect(app.logged.filter(({ msg }) => String(msg).includes('after the end of their log'))).toHaveLength(1)
  })
})
