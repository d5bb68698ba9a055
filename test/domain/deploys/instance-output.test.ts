/** Output of instances is stored completely and exactly once, and no instance delays the output of another. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import { readInstanceOutput, readLoudInstances, storeOutput, watchOutput } from '../../../src/domain/deploys/instance/output.ts'
import type { OutputPosition, Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import { type LogLine, readLog } from '../../../src/domain/deploys/log/index.ts'
import { ensureServiceLog } from '../../../src/domain/deploys/log/store.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { statementsOf } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { countTo, createDeployment, createPlace, type Place } from './log-support.ts'

let database: TestDatabase
let app: TestApp
let end: AbortController
const spools = new Map<string, Record<'stdout' | 'stderr', string>>()
const reads: { id: string; maxBytes: number }[] = []
/** Reads of this instance wait for this promise. */
const held = new Map<string, Promise<void>>()

beforeAll(async () => {
  database = await createTestDatabase()
  app = await createTestApp(database.url)
  const readOutput: Runtime['readOutput'] = async (id, position, maxBytes) => {
    reads.push({ id, maxBytes })
    await held.get(id)
    const spool = spools.get(id)!
    const next: OutputPosition = { ...position }
    let room = maxBytes
    const chunks = (['stdout', 'stderr'] as const).flatMap((stream) => {
      const bytes = Buffer.from(spool[stream]).subarray(position[stream], position[stream] + room)
      room -= bytes.length
      next[stream] += bytes.length
      return bytes.length > 0 ? [{ stream, bytes }] : []
    })
    return { chunks, position: next, droppedBytes: 0 }
  }
  runtimePort.provide(app, { readOutput } as Partial<Runtime> as Runtime)
})
afterAll(async () => {
  await app.close()
  await database.drop()
})
beforeEach(() => {
  spools.clear()
  held.clear()
  reads.length = 0
  end = new AbortController()
})

type Printer = Place & { id: string; deploymentId: string }

async function createPrinter(): Promise<Printer> {
  const place = await createPlace(app)
  const [id, deploymentId] = [newId(), await createDeployment(app, place)]
  await run(
    app.db,
    sql`insert into instance (id, organization_id, web_service_id, deployment_id, generation, status)
        values (${id}::uuid, ${place.organizationId}::uuid, ${place.webServiceId}::uuid, ${deploymentId}::uuid, 1, 'RUNNING')`,
  )
  spools.set(id, { stdout: '', stderr: '' })
  return { ...place, id, deploymentId }
}

const print = ({ id }: Printer, text: string, stream: 'stdout' | 'stderr' = 'stdout') => {
  spools.get(id)![stream] += text
}

async function linesOf(printer: Printer): Promise<LogLine[]> {
  const log = await ensureServiceLog(app.db, printer)
  const lines: LogLine[] = []
  for (let after: string | undefined; ; ) {
    const batch = await readLog(app.db, log.id, { after })
    lines.push(...batch.lines)
    after = batch.cursor
    if (!batch.hasMore) return lines
  }
}
const messagesOf = async (printer: Printer) => (await linesOf(printer)).map(({ message }) => message)
const look = () => readInstanceOutput.run(app, end.signal)
const lookAtLoud = () => readLoudInstances.run(app, end.signal)
const numbered = (from: number, to: number) =>
  countTo(to - from + 1).map((n) => `line ${String(n + from - 1).padStart(8, '0')} ${'x'.repeat(80)}`)

describe('the output of an instance', () => {
  it('is stored completely and in order, wherever reads split it', async () => {
    const printer = await createPrinter()
    const expected = numbered(1, 20_000)
    const text = `${expected.join('\n')}\n`
    for (let at = 0; at < text.length; at += 99_991) {
      print(printer, text.slice(at, at + 99_991))
      await storeOutput(app, printer)
    }
    const lines = await linesOf(printer)
    expect(lines.map(({ message }) => message)).toEqual(expected)
    expect(lines.map(({ seq }) => seq)).toEqual(countTo(20_000))
  })

  it('is stored once, even if it is read concurrently or by another process', async () => {
    const printer = await createPrinter()
    watchOutput(app, [printer])
    for (let round = 0; round < 10; round++) {
      print(printer, `${numbered(round * 300 + 1, round * 300 + 300).join('\n')}\n`)
      await Promise.all([look(), storeOutput(app, printer), lookAtLoud(), storeOutput(app, printer)])
    }
    await run(app.db, sql`update instance set stdout_offset = stdout_offset + 14 where id = ${printer.id}::uuid`)
    print(printer, 'taken already\nby this one\n')
    await storeOutput(app, printer)
    await storeOutput(app, printer)
    expect(await messagesOf(printer)).toEqual([...numbered(1, 3_000), 'by this one'])
  })

  it('is stored without an unfinished line until the line or the instance ends', async () => {
    const printer = await createPrinter()
    watchOutput(app, [printer])
    print(printer, `first\n${'a'.repeat(40_000)}`)
    for (let n = 0; n < 3; n++) await look()
    expect(await messagesOf(printer)).toEqual(['first'])
    print(printer, 'b\nprompt> ')
    await look()
    await lookAtLoud()
    expect((await messagesOf(printer)).map((message) => message.length)).toEqual([5, 16_384])
    await storeOutput(app, printer, { final: true })
    expect((await messagesOf(printer)).at(-1)).toBe('prompt> ')
  })

  it('takes one statement per round, and none without new output', async () => {
    const printer = await createPrinter()
    watchOutput(app, [printer])
    print(printer, 'first\n')
    await look()
    expect(await statementsOf(app, async () => void (await look()))).toEqual([])
    print(printer, 'second\n')
    print(printer, 'third\n', 'stderr')
    expect(await statementsOf(app, async () => void (await look()))).toHaveLength(1)
    expect(await messagesOf(printer)).toEqual(['first', 'second', 'third'])
  })
})

describe('the loop that reads output', () => {
  it('rests without instances', async () => {
    watchOutput(app, [])
    expect(readInstanceOutput.dueInMs?.(app)).toBeNull()
    watchOutput(app, [await createPrinter()])
    expect(readInstanceOutput.dueInMs?.(app)).toBeGreaterThan(0)
  })

  it('reads less often while nothing is printed, until a line is', async () => {
    const printer = await createPrinter()
    const { clock } = app
    let passedMs = 0
    app.clock = { ...clock, elapsedMs: () => clock.elapsedMs() + passedMs }
    try {
      watchOutput(app, [printer])
      const often = readInstanceOutput.dueInMs!(app)!
      passedMs = 60_000
      print(printer, 'no line yet')
      await look()
      expect(readInstanceOutput.dueInMs!(app)).toBeGreaterThan(often)
      print(printer, ', but now\n')
      await look()
      expect(readInstanceOutput.dueInMs!(app)).toBe(often)
    } finally {
      app.clock = clock
    }
  })
})

describe('an instance with heavy output', () => {
  it('is read in rounds of limited size, by a separate loop', async () => {
    const [loud, quiet] = [await createPrinter(), await createPrinter()]
    watchOutput(app, [loud, quiet])
    const flood = `${numbered(1, 30_000).join('\n')}\n`
    print(loud, flood)
    await look()
    let release = () => {}
    held.set(loud.id, new Promise((resolve) => (release = resolve)))
    const turn = lookAtLoud()
    for (const text of ['one', 'two', 'three']) {
      print(quiet, `${text}\n`)
      await look()
    }
    expect(await messagesOf(quiet)).toEqual(['one', 'two', 'three'])
    release()
    await turn
    while ((await linesOf(loud)).length < 30_000) await lookAtLoud()
    expect(await messagesOf(loud)).toEqual(numbered(1, 30_000))
    expect(Math.max(...reads.filter(({ id }) => id === loud.id).map(({ maxBytes }) => maxBytes))).toBe(256 * 1024)
    expect(reads.filter(({ id }) => id === loud.id).length).toBeGreaterThan(flood.length / (256 * 1024))
  })

  it('returns to the common loop when its output decreases', async () => {
    const printer = await createPrinter()
    watchOutput(app, [printer])
    let woken = 0
    const off = app.wake.on('loud output', () => woken++)
    print(printer, `${numbered(1, 1_000).join('\n')}\n`)
    expect(readLoudInstances.dueInMs?.(app)).toBeNull()
    await look()
    await until('the loop of loud instances is woken', () => woken > 0)
    off()
    expect(readLoudInstances.dueInMs?.(app)).toBeGreaterThan(0)
    await lookAtLoud()
    await lookAtLoud()
    expect(readLoudInstances.dueInMs?.(app)).toBeNull()
    print(printer, 'quiet\n')
    await look()
    expect((await messagesOf(printer)).at(-1)).toBe('quiet')
  })

  it('does not delay others when it cannot be read', async () => {
    const [broken, quiet] = [await createPrinter(), await createPrinter()]
    watchOutput(app, [broken, quiet])
    spools.delete(broken.id)
    print(quiet, 'here\n')
    await look()
    expect(await messagesOf(quiet)).toEqual(['here'])
    expect(app.logged.filter(({ msg }) => msg === 'reading the output of an instance failed')).toHaveLength(1)
  })
})
