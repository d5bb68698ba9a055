import { expect, it } from 'vitest'
import { findDatabase } from '../../../src/domain/resources/database/index.ts'
import { findRedis } from '../../../src/domain/resources/redis/index.ts'
import { errors } from '../../../src/platform/errors.ts'
import { eitherRow, queryRow, type Route, type Visit } from '../../../src/rest/core/index.ts'

const shape = { method: 'GET' as const, path: '/things/{thing_id}', tag: 'Things', summary: 'Thing', params: { thing_id: 'id' } }
const ofDatabase = queryRow({ ...shape, id: 'one', read: findDatabase, status: 204 })
const ofRedis = queryRow({ ...shape, id: 'other', read: findRedis, status: 204 })

const answering =
  (answer: string | Error): Route['run'] =>
  async () => {
    if (answer instanceof Error) throw answer
    return { status: 200, body: answer, version: null }
  }
const either = (first: string | Error, second: string | Error) =>
  eitherRow({ ...ofDatabase, run: answering(first) }, { ...ofRedis, run: answering(second) }).run({} as Visit, {}, {})

it('the second of two rows runs only where the first finds nothing', async () => {
  expect(await either('first', 'second')).toEqual({ status: 200, body: 'first', version: null })
  expect(await either(errors.not_found(), 'second')).toEqual({ status: 200, body: 'second', version: null })
  await expect(either(errors.not_found(), errors.not_found())).rejects.toMatchObject({ kind: 'not_found' })
  await expect(either(errors.not_found(), errors.forbidden())).rejects.toMatchObject({ kind: 'forbidden' })
})

it.each([errors.forbidden(), errors.version_conflict(), new Error('unexpected')])('%s of the first row is final', async (error) => {
  await expect(either(error, 'second')).rejects.toBe(error)
})

it('two rows with different responses are no row', () => {
  expect(() => eitherRow(ofDatabase, { ...ofRedis, status: 201 })).toThrow('one and other have different responses')
})
