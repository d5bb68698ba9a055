/** Messages about invalid input: plain text about a field, never the message of the validation library. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseInput } from '../../src/platform/command.ts'
import { DomainError } from '../../src/platform/errors.ts'
import { commands, queries } from './support.ts'

const refusalOf = (schema: z.ZodType, input: unknown): DomainError | null => {
  try {
    parseInput(schema, input)
    return null
  } catch (error) {
    if (error instanceof DomainError) return error
    throw error
  }
}

const junk = [undefined, null, '', 'no-such-word', -1, 0, 1.5, 1e18, true, [], [5], [null], [{}], {}, { a: 1 }, new Date(Number.NaN)]
const foreign = /\b(expected|received|Invalid|undefined|Too (small|big)|NaN|>=|<=|ZodError)\b/

describe('a message says in plain words what a field must be', () => {
  it.each([...commands.values(), ...queries.values()].map((declared) => [declared.name, declared.input as z.ZodType] as const))(
    '%s',
    (_name, schema) => {
      const fields = schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
      const inputs = [{}, null, 5, 'text', [], ...fields.flatMap((field) => junk.map((value) => ({ [field]: value })))]
      for (const input of inputs) {
        const error = refusalOf(schema, input)
        const texts = [error?.message ?? '', ...((error?.details?.issues ?? []) as { message: string }[]).map(({ message }) => message)]
        for (const text of texts) expect({ input, text }).not.toMatchObject({ text: expect.stringMatching(foreign) })
      }
    },
  )
})

it.each<[string, z.ZodType, unknown]>([
  ['is required', z.string(), undefined],
  ['is required', z.enum(['A', 'B']), undefined],
  ['must not be null', z.string(), null],
  ['must be a string', z.string(), 5],
  ['must be a number', z.number(), '5'],
  ['must be an integer', z.number().int(), 1.5],
  ['must be true or false', z.boolean(), 'yes'],
  ['must be a list', z.array(z.string()), {}],
  ['must be an object', z.object({}), []],
  ['must be an object', z.record(z.string(), z.string()), 'x'],
  ['must be a date and time', z.date(), 'today'],
  ['must not be empty', z.string().min(1), ''],
  ['must be at least 3 characters', z.string().min(3), 'x'],
  ['must be at most 3 characters', z.string().max(3), 'xxxx'],
  ['must be at least 2', z.number().min(2), 1],
  ['must be at most 2', z.number().max(2), 3],
  ['must have at most 1 item', z.array(z.string()).max(1), ['a', 'b']],
  ['must be one of A, B', z.enum(['A', 'B']), 'secret'],
  ['has an invalid format', z.union([z.string(), z.number()]), true],
])('says "%s"', (text, schema, value) => {
  expect(refusalOf(z.object({ field: schema }), { field: value })).toMatchObject({ field: 'field', message: `field: ${text}` })
})

it('keeps the message of a schema that has its own', () => {
  expect(refusalOf(z.object({ a: z.string().max(1, { error: 'one letter' }) }), { a: 'xx' })).toMatchObject({ message: 'a: one letter' })
})

it.each(['\ud800', '\udc00x', 'a\ud800b', '\0'])('refuses text that cannot be stored, wherever it is: %j', (text) => {
  const anything = z.any()
  for (const [input, field] of [
    [{ a: text }, 'a'],
    [{ a: [{ b: text }] }, 'a.0.b'],
    [{ a: { [text]: 1 } }, 'a'],
  ] as const) {
    expect(refusalOf(anything, input)).toMatchObject({ code: 'invalid_input', field })
  }
  expect(refusalOf(anything, { a: 'a\ud83d\ude00b' })).toBeNull()
})
