import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPace } from '../../src/platform/pace.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

/** Simulates a piece of a long computation by advancing time, so that the result doesn't depend on the machine's load. */
const work = (ms: number) => void vi.advanceTimersByTime(ms)

/** Runs pieces of 2 ms one after the other; `done` counts them. */
function longWork(pieces: number, signal?: AbortSignal) {
  const pace = createPace(signal)
  const state = { done: 0, pace }
  const run = async () => {
    for (; state.done < pieces; state.done++) {
      await pace.next()
      work(2)
    }
  }
  return Object.assign(state, { ended: run() })
}

const roundOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('a long computation', () => {
  it('yields to the event loop between its parts', async () => {
    const long = longWork(40)
    let rounds = 0
    while (long.done < 40) {
      await roundOfTheLoop()
      rounds++
    }
    await long.ended
    expect(rounds).toBeGreaterThanOrEqual(10)
  })

  it('alternates with others: none is far ahead', async () => {
    const all = Array.from({ length: 4 }, () => longWork(30))
    let ahead = 0
    while (all.some(({ done }) => done < 30)) {
      await roundOfTheLoop()
      const done = all.map((one) => one.done)
      if (Math.max(...done) < 30) ahead = Math.max(ahead, Math.max(...done) - Math.min(...done))
    }
    await Promise.all(all.map(({ ended }) => ended))
    expect(ahead).toBeLessThan(10)
  })

  it('with many waiting parts does not block a short one', async () => {
    const pace = createPace()
    pace.next()
    work(6)
    let done = 0
    const parts = Array.from({ length: 200 }, async () => {
      await pace.next()
      work(1)
      done++
    })
    const short = createPace()
    for (let step = 0; step < 5; step++) {
      await roundOfTheLoop()
      await short.next()
    }
    expect(done).toBeLessThan(150)
    await Promise.all(parts)
    expect(done).toBe(200)
  })

  it('ends with its signal, wherever it waits', async () => {
    const gone = new AbortController()
    const long = longWork(1_000_000, gone.signal)
    await roundOfTheLoop()
    gone.abort(new Error('gone'))
    await expect(long.ended).rejects.toThrow('gone')
    expect(() => long.pace.next()).toThrow('gone')
  })

  it('that is short never waits', () => {
    const pace = createPace()
    expect(pace.next()).toBeUndefined()
  })
})

it('calls back when nothing waits any more', async () => {
  const pace = createPace()
  const told: string[] = []
  pace.whenIdle(() => told.push('at once'))
  await roundOfTheLoop()
  expect(told).toEqual(['at once'])
  pace.next()
  work(6)
  const parts = [1, 2, 3].map(async (part) => {
    await pace.next()
    work(6)
    told.push(`part ${part}`)
  })
  const idle = new Promise<void>((resolve) => pace.whenIdle(resolve)).then(() => told.push('idle'))
  await Promise.all([...parts, idle])
  expect(told).toEqual(['at once', 'part 1', 'part 2', 'part 3', 'idle'])
})

it('resumes a limited number of parts at once', async () => {
  const pace = createPace()
  const goneOn = Array.from({ length: 2_000 }, () => pace.next() === undefined).filter(Boolean).length
  expect([goneOn > 100, goneOn < 1_000]).toEqual([true, true])
})
