import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureLogs, type LogBatch, type LogStart, readLog, readLogs } from '../../../src/domain/deploys/log/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { statementsOf } from '../../support/tenant.ts'
import { append, countTo, createDeployment, createPlace, seqsOf } from './log-support.ts'

let database: TestDatabase
let app: TestApp
beforeAll(async () => {
  database = await createTestDatabase()
  app = await createTestApp(database.url, { LOG_MAX_BYTES: '20000' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const roomOf = (bytes: number) => {
  const room = {
    bytesLeft: bytes,
    takeBytes(count: number) {
      room.bytesLeft -= count
    },
  }
  return room
}
const large = 100 * 1024 * 1024
const batchesOf = (requests: { logId: string; start: LogStart }[], bytes = large) =>
  readLogs(app.db, requests, { room: roomOf(bytes) }) as Promise<LogBatch[]>
const newLog = async () => (await ensureLogs(app.db, [{ ...(await createPlace(app)), deploymentId: null }]))[0]!
const unbounded = () => Object.assign({}, app, { settings: { ...app.settings, LOG_MAX_BYTES: 1e9 } })

describe('reading many logs at once', () => {
  it('returns the same batches as reading each alone, for every request', async () => {
    const logs = await Promise.all(countTo(4).map(newLog))
    const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second))
    // Logs with no chunk, one chunk and several, and one over its cap, with a gap.
    await append(app, logs[1]!, ['a', 'b', 'c'], at(5))
    for (let round = 0; round < 4; round++) await append(app, logs[2]!, countTo(250).map(String), at(round * 10))
    for (let round = 0; round < 11; round++) await append(app, logs[3]!, countTo(100).map(String), at(round))
    const cursor = async (logId: string, limit: number) => ({ after: (await readLog(app.db, logId, { limit })).cursor })
    const starts: LogStart[] = [
      {},
      ...[0, 1, 2, 3, 90, 250, 251, 700, 1_000, 10_000].map((tail) => ({ tail })),
      ...[0, 4, 5, 6, 10, 15, 30, 31].map((second) => ({ since: at(second) })),
      { since: at(10), tail: 600 },
      { since: at(20), tail: 900 },
    ]
    for (const logId of logs) {
      const own = [...starts, await cursor(logId, 1), await cursor(logId, 130), { ...(await cursor(logId, 90)), tail: 3 }]
      const [together, alone] = [
        await batchesOf(own.map((start) => ({ logId, start }))),
        await Promise.all(own.map((start) => readLog(app.db, logId, start))),
      ]
      for (const [index, start] of own.entries()) expect({ start, ...together[index] }).toEqual({ start, ...alone[index] })
    }
  })

  it('takes as many statements as reading one', async () => {
    const places = await Promise.all(countTo(6).map(() => createPlace(app)))
    const read = async (count: number) => {
      const logIds = await ensureLogs(
        app.db,
        places.slice(0, count).map((place) => ({ ...place, deploymentId: null })),
      )
      return batchesOf(logIds.map((logId) => ({ logId, start: { tail: 5 } })))
    }
    await read(6)
    for (const place of places) {
      const [logId] = await ensureLogs(app.db, [{ ...place, deploymentId: null }])
      await append(app, logId!, ['one'])
    }
    const [one, six] = [await statementsOf(app, () => read(1)), await statementsOf(app, () => read(6))]
    expect([one.length, six.length]).toEqual([3, 3])
    expect((await read(6)).map((batch) => batch.lines.length)).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('creates missing logs of services and of deployments', async () => {
    const place = await createPlace(app)
    const deploymentId = await createDeployment(app, place)
    const places = [
      { ...place, deploymentId: null },
      { ...place, deploymentId },
    ]
    const ids = await ensureLogs(app.db, places)
    expect(new Set(ids).size).toBe(2)
    expect(await ensureLogs(app.db, places.toReversed())).toEqual(ids.toReversed())
  })

  it('returns an error in place of the batch that failed', async () => {
    const [one, other] = [await newLog(), await newLog()]
    await append(app, one, ['one'])
    const { cursor } = await readLog(app.db, one)
    const found = await readLogs(
      app.db,
      [
        { logId: other, start: { after: cursor } },
        { logId: newId(), start: {} },
        { logId: one, start: {} },
        { logId: one, start: { after: 'nonsense' } },
      ],
      { room: roomOf(large) },
    )
    expect(found).toEqual([
      expect.objectContaining({ code: 'invalid_input', field: 'after' }),
      expect.objectContaining({ code: 'not_found' }),
      expect.objectContaining({ lines: [expect.objectContaining({ message: 'one' })] }),
      expect.objectContaining({ code: 'invalid_input', field: 'after' }),
    ])
  })
})

describe('a batch that exceeds the size limit', () => {
  it('omits the oldest lines of a tail and sets hasMore', async () => {
    const logId = await newLog()
    await append(
      unbounded(),
      logId,
      countTo(200).map(() => 'x'.repeat(16_000)),
    )
    const [batch] = await batchesOf([{ logId, start: { tail: 200 } }])
    const seqs = seqsOf([batch!])
    expect([seqs.at(-1), seqs.length > 60, seqs.length < 90]).toEqual([200, true, true])
    expect(seqs).toEqual(countTo(200).slice(-seqs.length))
    expect(batch).toMatchObject({ hasMore: true, gap: null, complete: false })
    const [short] = await batchesOf([{ logId, start: { tail: 20 } }])
    expect([seqsOf([short!]), short!.hasMore]).toEqual([countTo(200).slice(-20), false])
  })

  it('can be continued from its cursor', async () => {
    const logId = await newLog()
    await append(
      unbounded(),
      logId,
      countTo(200).map(() => 'x'.repeat(16_000)),
    )
    const batches: LogBatch[] = []
    for (let start: LogStart = {}; ; start = { after: batches.at(-1)!.cursor }) {
      batches.push(...(await batchesOf([{ logId, start }])))
      if (!batches.at(-1)!.hasMore) break
    }
    expect(seqsOf(batches)).toEqual(countTo(200))
    expect(batches.length).toBeGreaterThan(2)
  })

  it('shares the limit: a small log is complete beside large ones, and all together stay within the limit', async () => {
    const logs = await Promise.all(countTo(5).map(newLog))
    for (const logId of logs.slice(0, 4)) {
      await append(
        unbounded(),
        logId,
        countTo(60).map(() => 'x'.repeat(16_000)),
      )
    }
    await append(app, logs[4]!, ['small'])
    const bytes = 1024 * 1024
    const room = roomOf(bytes)
    const requests = logs.flatMap((logId) => [
      { logId, start: { tail: 1_000 } },
      { logId, start: {} },
    ])
    const found = (await readLogs(app.db, requests, { room })) as LogBatch[]
    expect(room.bytesLeft).toBeGreaterThanOrEqual(0)
    expect(found.slice(-2).map(({ lines, hasMore }) => [lines.map(({ message }) => message), hasMore])).toEqual([
      [['small'], false],
      [['small'], false],
    ])
    for (const batch of found.slice(0, 8)) expect(batch.hasMore).toBe(true)
    const distinct = new Set(found.flatMap(({ lines }) => lines))
    expect([...distinct].reduce((sum, { message }) => sum + message.length, 0)).toBeLessThanOrEqual(bytes)
  })

  it('reports the last gap of a tail that spans several', async () => {
    const logId = await newLog()
    for (let round = 0; round < 6; round++) await append(app, logId, countTo(10).map(String))
    await app.db.pool.query('delete from log_chunk where log_id = $1 and first_seq in (11, 31)', [logId])
    const [whole] = await batchesOf([{ logId, start: { tail: 60 } }])
    expect([seqsOf([whole!]), whole!.gap?.fromSeq, whole!.hasMore]).toEqual([
      [...countTo(30).slice(-10), ...countTo(60).slice(-20)],
      31,
      true,
    ])
    const [inner] = await batchesOf([{ logId, start: { tail: 35 } }])
    expect([seqsOf([inner!])[0], inner!.gap?.fromSeq, inner!.hasMore]).toEqual([26, 31, false])
    const [within] = await batchesOf([{ logId, start: { tail: 45 } }])
    expect([seqsOf([within!])[0], within!.gap?.fromSeq, within!.hasMore]).toEqual([21, 31, true])
  })
})
