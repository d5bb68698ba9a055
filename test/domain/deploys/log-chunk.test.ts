import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { createChunker, type NewChunk, readChunk } from '../../../src/domain/deploys/log/chunk.ts'
import { countingRedactor, createRedactor, type Hits, type LineRun, type NewLine, runOf } from '../../../src/domain/deploys/log/index.ts'
import { createLineSplitter } from '../../../src/domain/deploys/log/line-splitter.ts'
import { logLimits } from '../../../src/domain/deploys/log/model.ts'
import { migrate } from '../../../src/platform/db/migrate.ts'
import { createEmptyDatabase } from '../../support/database.ts'
import { lineOf, linesOf } from './log-support.ts'

const at = new Date('2026-01-31T12:00:00Z')
const limits = logLimits({ LOG_MAX_BYTES: 10_000_000 })

function chunksOf(runs: Iterable<LineRun>): NewChunk[] {
  const chunker = createChunker(limits)
  const full = [...runs].flatMap((run) => chunker.add(run))
  const last = chunker.seal()
  return last ? [...full, last] : full
}

const readAll = (chunks: NewChunk[]): NewLine[] => chunks.flatMap(({ lines }) => readChunk(1, lines)).map(({ seq, ...line }) => line)

describe('chunks', () => {
  it('return the lines that were added, whatever their properties are', () => {
    const line = fc.record({
      at: fc.constantFrom(at, new Date(at.getTime() + 1)),
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      level: fc.constantFrom('WARN' as const, null),
      instanceId: fc.constantFrom('0190163d-8694-739b-aea5-966c26f8ad91', null),
      message: fc.oneof(fc.string({ unit: 'binary' }), fc.constant('x'.repeat(3_000))).map((text) => text.replaceAll(/[\0\n]/g, '')),
      truncated: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), (lines) => {
        const chunks = chunksOf(lines.map((item) => runOf(item, limits.messageBytes)))
        expect(readAll(chunks)).toEqual(lines)
        expect(readChunk(7, chunks[0]!.lines).map(({ seq }) => seq)).toEqual(lines.map((_, index) => 7 + index))
        expect(chunks[0]!.bytes).toBe(lines.reduce((sum, { message }) => sum + Buffer.byteLength(message), 0))
        const times = lines.map((item) => item.at.getTime())
        expect([chunks[0]!.firstAt, chunks[0]!.lastAt]).toEqual([Math.min(...times), Math.max(...times)])
      }),
    )
  })

  it('contain at most 1000 lines, and fewer long ones, however the lines arrive', () => {
    const text = (message: string, count: number) => Buffer.from(`${message}\n`.repeat(count))
    const run = (message: string, count: number): LineRun => {
      const { message: _, ...line } = lineOf('', at)
      return { ...line, count, text: text(message, count) }
    }
    const long = 'x'.repeat(limits.messageBytes)
    for (const [message, count, expected] of [
      ['', 2_001, [1_000, 1_000, 1]],
      ['short', 1_000, [1_000]],
      [long, 20, [15, 5]],
    ] as const) {
      const atOnce = chunksOf([run(message, count)])
      expect(atOnce.map((chunk) => chunk.count)).toEqual(expected)
      const oneByOne = chunksOf(Array.from({ length: count }, () => run(message, 1)))
      expect(oneByOne).toEqual(atOnce)
      expect(readAll(atOnce)).toEqual(linesOf(run(message, count)))
    }
  })

  it('keep their lines when the memory of the output is used again', () => {
    const chunker = createChunker(limits)
    const output = Buffer.from('one\ntwo\n')
    const splitter = createLineSplitter({ stream: 'stdout', instanceId: null, messageBytes: 100 }, (run) => chunker.add(run))
    splitter.push(output, at)
    output.fill('!')
    expect(readChunk(1, chunker.seal()!.lines).map(({ message }) => message)).toEqual(['one', 'two'])
  })

  it('of an earlier version are converted', async () => {
    const migrations = join(import.meta.dirname, '../../../prisma/migrations')
    const earlier = await mkdtemp(join(tmpdir(), 'quayside-test-'))
    const database = await createEmptyDatabase()
    const client = new pg.Client({ connectionString: database.url })
    try {
      for (const name of await readdir(migrations))
        if (name < '20261127084022_log_chunk_runs') await cp(join(migrations, name), join(earlier, name), { recursive: true })
      await migrate({ url: database.url, directory: earlier })
      await client.connect()
      // Only the chunk matters here, so its log is omitted.
      await client.query('set session_replication_role = replica')
      const lines = [
        [at.getTime(), 'stdout', null, null, 'plain "é"', 0],
        [at.getTime() + 5, 'system', 'WARN', '0190163d-8694-739b-aea5-966c26f8ad91', 'two\nlines', 1],
      ]
      await client.query(
        `insert into log_chunk (log_id, first_seq, last_seq, bytes_before, bytes, first_at, last_at, lines)
         values (gen_random_uuid(), 4, 5, 0, 19, $1, $1, $2)`,
        [at, JSON.stringify(lines)],
      )
      await migrate({ url: database.url, directory: migrations })
      const { rows } = await client.query('select lines from log_chunk')
      expect(readChunk(4, rows[0].lines)).toEqual([
        { ...lineOf('plain "é"', at), seq: 4 },
        {
          ...{ seq: 5, at: new Date(at.getTime() + 5), stream: 'system', level: 'WARN' },
          ...{ instanceId: '0190163d-8694-739b-aea5-966c26f8ad91', message: 'two lines', truncated: true },
        },
      ])
    } finally {
      await client.end()
      await database.drop()
      await rm(earlier, { recursive: true })
    }
  })
})

describe('blocks of output', () => {
  const secrets = ['k7Qz-Rw4p', 'p/ss wörd+"1&2', 'abca', 'two\nlines']
  const messageBytes = 60

  /** The lines of the whole output, each decoded, redacted and truncated on its own. */
  function simply(bytes: Buffer): { lines: NewLine[]; hits: Hits } {
    const hits: Hits = new Map()
    const redact = createRedactor(secrets.map((value) => ({ key: value, value })))
    const text = bytes.toString('latin1')
    const whole = text.endsWith('\n') ? text.slice(0, -1) : text
    const lines = (text === '' ? [] : whole.split('\n')).map((raw, index, all) => {
      const isEnded = text.endsWith('\n') || index < all.length - 1
      const kept = Buffer.from(isEnded && raw.endsWith('\r') ? raw.slice(0, -1) : raw, 'latin1')
      return linesOf(runOf({ ...lineOf(redact(kept.toString().replaceAll('\0', ''), false, hits)), at }, messageBytes))[0]!
    })
    return { lines, hits }
  }

  function inBlocks(blocks: Buffer[]): { lines: NewLine[]; hits: Hits } {
    const hits: Hits = new Map()
    const lines: NewLine[] = []
    const redactor = createRedactor(secrets.map((value) => ({ key: value, value })))
    const source = { stream: 'stdout' as const, instanceId: null, messageBytes, redact: countingRedactor(() => redactor, hits) }
    const splitter = createLineSplitter(source, (run) => lines.push(...linesOf(run)))
    for (const block of blocks) splitter.push(block, at)
    splitter.end(at)
    return { lines, hits }
  }

  const plain = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'k', '7', ' ', 'é', '🚢', '+', '%', '\\', '\r', '\0'), maxLength: 20 })
  const secret = fc.constantFrom(
    ...secrets.flatMap((value) => {
      const bytes = Buffer.from(value)
      return [value, JSON.stringify(value), encodeURIComponent(value), bytes.toString('hex'), bytes.toString('base64'), value.slice(0, -1)]
    }),
  )
  const piece = fc.oneof(
    ...[plain, secret, fc.constant('x'.repeat(messageBytes + 1))].map((text) => text.map((part) => Buffer.from(part))),
    fc.constant(Buffer.from([0xff])),
  )
  // Of a longer line, only the beginning is redacted, so that memory is bounded.
  const line = fc.array(piece, { maxLength: 4 }).map((pieces) => Buffer.concat(pieces).subarray(0, 2 * messageBytes))
  const lineWithEnd = fc.tuple(line, fc.constantFrom('\n', '\n', '\r\n')).map(([text, end]) => Buffer.concat([text, Buffer.from(end)]))
  const output = fc.tuple(fc.array(lineWithEnd, { maxLength: 20 }), line).map(([lines, last]) => Buffer.concat([...lines, last]))

  it('have the same lines and redactions as line by line, wherever the output is split', () => {
    let unchanged = 0
    fc.assert(
      fc.property(output, fc.array(fc.nat(1_000), { maxLength: 10 }), (bytes, cuts) => {
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const blocks = places.slice(1).map((end, index) => bytes.subarray(places[index], end))
        const expected = simply(bytes)
        expect(inBlocks(blocks)).toEqual(expected)
        if (expected.lines.length > 1 && expected.hits.size === 0) unchanged++
      }),
      { numRuns: 2_000 },
    )
    expect(unchanged).toBeGreaterThan(100)
  })

  it('are emitted as one run, apart from the lines that change', () => {
    const runs: [count: number, text: string][] = []
    const redact = createRedactor(secrets)
    const splitter = createLineSplitter({ stream: 'stdout', instanceId: null, messageBytes, redact }, ({ count, text }) =>
      runs.push([count, text.toString()]),
    )
    splitter.push(Buffer.from('one\ntwo\nkey k7Qz-Rw4p\nthree\n100 %\nfour\nfive\nsi'), at)
    splitter.push(Buffer.from('x\nseven\n'), at)
    expect(runs).toEqual([
      [2, 'one\ntwo\n'],
      [1, 'key [redacted]\n'],
      [1, 'three\n'],
      [1, '100 %\n'],
      [2, 'four\nfive\n'],
      [1, 'six\n'],
      [1, 'seven\n'],
    ])
  })
})
