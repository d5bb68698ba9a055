import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import dotenv from 'dotenv'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
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

/** Letters, and all characters that a parser may treat specially. */
const characters = [
  "'",
  '"',
  '`',
  '\\',
  '\n',
  '\r',
  '$',
  '#',
  ' ',
  '=',
  'a',
  'n',
  '\t',
  '!',
  '~',
  '&',
  ';',
  '(',
  '*',
  'é',
  '🗝',
  '\u2028',
  '\u00a0',
  '{',
]
const oddText = fc.array(fc.constantFrom(...characters), { maxLength: 12 }).map((parts) => parts.join(''))
const anyText = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('\0'))

describe('a .env file', () => {
  it('parses to the entries that were printed, and to the commented ones once their comment marks are removed', () => {
    const entry = fc.record({ key: fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/), value: fc.oneof(anyText, oddText) })
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: ({ key }) => key }), (entries) => {
        const { text, comments } = printDotenv(entries)
        expect(parseDotenv(text)).toEqual(entries.filter(({ key }) => !comments.includes(key)))
        const uncommented = parseDotenv(text.replace(/^# (\w+=")/gm, '$1'))
        expect(uncommented).toEqual(entries.filter(({ key, value }) => !comments.includes(key) || !/[\u2028\u2029]/.test(value)))
      }),
      { numRuns: 1_500 },
    )
  })

  it('is read alike by npm dotenv, node --env-file and a shell', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'quayside-dotenv-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const file = join(folder, '.env')
    const print = 'process.stdout.write(JSON.stringify(process.env))'
    const options = { env: {}, encoding: 'utf8' as const, maxBuffer: 1 << 26 }
    const readers = {
      dotenv: (text: string) => dotenv.parse(text),
      node: () => JSON.parse(execFileSync(process.execPath, [`--env-file=${file}`, '--eval', print], options)),
      sh: () =>
        JSON.parse(execFileSync('/bin/sh', ['-c', `set -a; . "$0"; exec "$1" --eval "$2"`, file, process.execPath, print], options)),
    }
    const fixed = [
      '',
      'plain',
      'two words',
      'a#b',
      ' # ',
      '$HOME',
      '`id`',
      '$(id)',
      'a\\nb',
      'C:\\dir\\file',
      '-----BEGIN KEY-----\nabc\n-----END KEY-----\n',
      '{"json": "yes", "n": 1}',
      "it's",
      "it's\nlong # here",
      'ключ 🗝',
      'x'.repeat(5_000),
    ]
    const unlike = [`it's "both"`, `don't $HOME`, 'line\r\nend', 'ends in \\', "it's\u2028$x"]
    const sampled = fc.sample(fc.oneof(oddText, anyText), { numRuns: 600, seed: 14 })
    const entries = [...fixed, ...unlike, ...sampled].map((value, index) => ({ key: `Q${index}`, value }))
    const { text, comments } = printDotenv(entries)
    await writeFile(file, text)
    const written = Object.fromEntries(entries.filter(({ key }) => !comments.includes(key)).map(({ key, value }) => [key, value]))
    for (const [name, read] of Object.entries(readers)) {
      const ours = Object.entries(read(text)).filter(([key]) => /^Q\d+$/.test(key))
      expect({ name, read: Object.fromEntries(ours) }).toEqual({ name, read: written })
    }
    expect(comments.slice(0, unlike.length)).toEqual(unlike.map((_value, index) => `Q${fixed.length + index}`))
    expect(Object.keys(written).length).toBeGreaterThan(300)
  })

  it('may have comments, exports, quotes, blank lines, Windows line ends and multi-line values', () => {
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

  it('is refused with the number of the line that cannot be parsed, without its text', () => {
    expect(problem('A=1\nnonsense hunter2\n')).toBe('line 2: must have the form KEY=value')
    expect(problem('A=1\n\nB="hunter2\nC=3')).toBe('line 3: the opening " has no closing "')
    expect(problem("A='x' hunter2")).toBe('line 1: only a comment can follow the closing quote')
    expect(problem('=x')).toBe('line 1: must have the form KEY=value')
  })
})
