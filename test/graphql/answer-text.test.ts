import fc from 'fast-check'
import { expect, it } from 'vitest'
import { writeInTurns } from '../../src/graphql/answer-text.ts'
import { createPace } from '../../src/platform/pace.ts'

const write = (value: unknown) => writeInTurns(value, createPace(), 50)

it('writes what JSON.stringify writes', async () => {
  const given = {
    data: { at: new Date(0), none: null, left: undefined, lists: [[], [1], [{ a: [] }], {}], text: '"\\\u2028é' },
    errors: [],
  }
  expect(await write(given)).toBe(JSON.stringify(given))
  const deep = {
    data: Array.from({ length: 30 }, (_, n) => ({
      n,
      list: Array.from({ length: 40 }, (_, m) => ({ m, at: new Date(m), none: undefined })),
    })),
  }
  expect(await write(deep)).toBe(JSON.stringify(deep))
  const long = { data: { lines: Array.from({ length: 175 }, (_, n) => ({ n, at: new Date(n) })), mixed: [1, { a: { b: [2] } }, 3] } }
  expect(await write(long)).toBe(JSON.stringify(long))
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 6 }), async (value) => {
      expect(await write({ data: value })).toBe(JSON.stringify({ data: value }))
    }),
  )
})
