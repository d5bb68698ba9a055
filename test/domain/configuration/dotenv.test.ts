import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DotenvError, parseDotenv, printDotenv } from '../../../src/domain/configuration/env-var/dotenv.ts'

const asObject = (text: string) => Object.fromEntries(parseDotenv(text).map(({ key, value }) => [key, value]))
const problem = (text: string): string => {
  try {
    parseDotenv(text)
  } catch (error) {
    if (error instanceof DotenvError) return error.message
    throw error
  }
  return 'read'
}

describe('a .env text', () => {
  it('gives back what was printed', () => {
    const entry = fc.record({
      key: fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/),
      value: fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(fc.constantFrom("'", '"', '`', '\\', '\n', '\r', '$', '#', ' ', '=', 'a', 'n')).map((parts) => parts.join('')),
      ),
    })
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        expect(parseDotenv(printDotenv(entries))).toEqual(entries)
      }),
      { numRuns: 1_500 },
    )
  })

  it('may have comments, exports, quotes, blank lines, Windows line ends and values of several lines', () => {
    const text = [
      '\ufeff# a comment',
      'PLAIN=value # behind',
      '  export SPACED = two words  ',
      'HASH=a#b',
      'EMPTY=',
      "SINGLE='it is # \\n as it is'",
      'DOUBLE="line\\nbreak \\"quoted\\" \\$x" # behind',
      '',
      'PEM="-----BEGIN',
      'abc',
      '-----END"',
      'TICK=`a "b" \'c\'`',
      'URL=postgres://u:p@h/d?x=1',
    ].join('\r\n')
    expect(asObject(text)).toEqual({
      PLAIN: 'value',
      SPACED: 'two words',
      HASH: 'a#b',
      EMPTY: '',
      SINGLE: 'it is # \\n as it is',
      DOUBLE: 'line\nbreak "quoted" $x',
      PEM: '-----BEGIN\nabc\n-----END',
      TICK: 'a "b" \'c\'',
      URL: 'postgres://u:p@h/d?x=1',
    })
  })

  it('is refused with the line that can not be read, and without what stands there', () => {
    expect(problem('A=1\nnonsense hunter2\n')).toBe('line 2: is no KEY=value')
    expect(problem('A=1\n\nB="hunter2\nC=3')).toBe('line 3: the " is never closed')
    expect(problem("A='x' hunter2")).toBe('line 1: something follows the closing quote')
    expect(problem('=x')).toBe('line 1: is no KEY=value')
  })
})
