import { expect, it } from 'vitest'
import { createUsageReader } from '../../../src/domain/resources/resource/index.ts'
import type { Usage } from '../../../src/platform/usage.ts'
import type { App } from '../../../src/platform/work.ts'

const capacity = { millicores: 2_000, memoryBytes: 1_000 }
const day = 86_400_000

/** A reader of servers that each use 1000 millicores and 250 bytes. Its clock and theirs stand still but for a second at each measurement. */
function useServers() {
  let now = 0
  const app = { clock: { elapsedMs: () => now, now: () => new Date() } } as unknown as App
  const running = new Set(['a', 'b'])
  const measured: string[][] = []
  const read = createUsageReader(async (_app, ids) => {
    measured.push([...ids])
    now += 1_000
    const usageOf = (id: string): Usage => ({ run: id, cpuMs: now, uptimeMs: day + now, memoryBytes: 250 })
    return { usage: new Map(ids.filter((id) => running.has(id)).map((id) => [id, usageOf(id)])), capacity }
  })
  const wait = (ms: number) => {
    now += ms
  }
  return { read: (ids: string[]) => read(app, ids), running, measured, wait }
}

const use = { cpuPercent: 50, memoryPercent: 25 }

it('measures a server twice when somebody asks for the first time, and once when it was measured recently', async () => {
  const { read, measured, wait } = useServers()
  expect(await read(['a'])).toEqual([use])
  expect(measured).toEqual([['a'], ['a']])
  wait(30_000)
  expect(await read(['a', 'b', 'a'])).toEqual([use, use, use])
  expect(measured.slice(2)).toEqual([['a', 'b'], ['b']])
  wait(day)
  expect(await read(['a'])).toEqual([use])
  expect(measured.slice(4)).toEqual([['a'], ['a']])
})

it('measures it once for all who ask within a few seconds', async () => {
  const { read, measured, wait } = useServers()
  expect(await Promise.all([read(['a']), read(['a']), read(['b', 'a'])])).toEqual([[use], [use], [use, use]])
  expect(await read(['a'])).toEqual([use])
  expect(measured.flat().filter((id) => id === 'a')).toHaveLength(2)
  wait(3_000)
  expect(await read(['a'])).toEqual([use])
  expect(measured.flat().filter((id) => id === 'a')).toHaveLength(3)
})

it('is null for a server that does not run, also if it did a moment ago', async () => {
  const { read, running, wait } = useServers()
  expect(await read(['c', 'a'])).toEqual([null, use])
  running.delete('a')
  wait(5_000)
  expect(await read(['a'])).toEqual([null])
})

it('fails for those who ask, and measures again for the next one', async () => {
  let fails = true
  const app = { clock: { elapsedMs: () => performance.now() } } as unknown as App
  const read = createUsageReader(async () => {
    if (fails) throw new Error('the database is away')
    return null
  })
  const asked = [read(app, ['a']), read(app, ['a'])]
  for (const one of asked) await expect(one).rejects.toThrow('the database is away')
  fails = false
  expect(await read(app, ['a'])).toEqual([null])
})
