import { expect, it } from 'vitest'
import { createLoad, type Load, type Loading, loadAlone } from '../../src/graphql/builder/loader.ts'
import { createPace } from '../../src/platform/pace.ts'

const reads: (readonly number[])[] = []
const squares = async (keys: readonly number[]) => {
  reads.push(keys)
  return keys.map((key) => key * key)
}
const loadFor = (signal = new AbortController().signal): Load => createLoad(createPace(signal), signal)

it('reads the keys of one name together, including those that are asked for a little later', async () => {
  const load = loadFor()
  const first = load('a', 1, squares)
  const later = Promise.resolve().then(() => load('a', 2, squares))
  const other = load('b', 3, squares)
  expect(await Promise.all([first, later, other])).toEqual([1, 4, 9])
  expect(reads.splice(0)).toEqual([[1, 2], [3]])
  expect(await load('a', 4, squares)).toBe(16)
  expect(reads.splice(0)).toEqual([[4]])
})

it('converts a value as often as it is asked to, within the same read', async () => {
  const load = loadFor()
  const square = load('a', 3, squares)
  const text = square.map((value) => value + 1).map(String)
  const failing = square.map((): string => {
    throw new Error('cannot be converted')
  })
  expect(await text).toBe('10')
  await expect(failing).rejects.toThrow('cannot be converted')
  expect(reads.splice(0)).toEqual([[3]])
  expect(text.batch).toBe(square.batch)
})

it.each<[string, (loading: Loading<number>) => unknown]>([
  ['then', (loading) => loading.then(undefined, String)],
  ['catch', (loading) => loading.catch(String)],
  [
    'await',
    async (loading) => {
      try {
        return await loading
      } catch (error) {
        return String(error)
      }
    },
  ],
])('tells everyone who asked that it could not be read (%s)', async (_way, caught) => {
  const load = loadFor()
  const read = async (): Promise<number[]> => {
    throw new Error('away')
  }
  // The second one is asked for by nobody who listens.
  const [first] = [load('a', 1, read), load('a', 2, read)]
  expect(await caught(first!)).toBe('Error: away')
})

it('reads nothing for a client that has gone', async () => {
  const gone = new AbortController()
  const square = loadFor(gone.signal)('a', 1, squares)
  gone.abort(new Error('gone'))
  await expect(square).rejects.toThrow('gone')
  expect(reads).toEqual([])
})

it('a value that is read alone is a batch of its own', async () => {
  const pace = createPace()
  expect(await loadAlone({ pace }, Promise.resolve(5)).map((value) => value * 2)).toBe(10)
  let ended = false
  await loadAlone({ pace }, Promise.reject(new Error('away')))
    .finally(() => {
      ended = true
    })
    .catch(() => {})
  expect(ended).toBe(true)
})
