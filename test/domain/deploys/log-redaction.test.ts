import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, type NewLine } from '../../../src/domain/deploys/log/index.ts'
import { createLineSplitter } from '../../../src/domain/deploys/log/line-splitter.ts'
import { linesOf, splitToLines } from './log-support.ts'

const secret = 'S3cr3t-"canary"/+Öß value%&0123456789'
const lines = ['-----BEGIN KEY-----', 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj', '-----END KEY-----']
const pem = lines.join('\n')

const unit = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Each form of a value, with the part that must never be revealed: the characters that belong to it alone. */
const forms = [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret),
  new URLSearchParams({ '': secret }).toString().slice(1),
  Buffer.from(secret).toString('hex').replace(/../g, '%$&'),
  [...JSON.stringify(secret).slice(1, -1)].map((char) => (/[<>&'"+\\ö]/i.test(char) ? char : unit(char))).join(''),
  JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1),
  encodeURIComponent(encodeURIComponent(secret)),
  Buffer.from(secret).toString('hex'),
  Buffer.from(secret).toString('hex').toUpperCase(),
  Buffer.from(secret).toString('base64'),
  Buffer.from(`a${secret}`).toString('base64'),
  Buffer.from(`ab${secret}bc`).toString('base64'),
  pem,
  JSON.stringify(pem).slice(1, -1),
  Buffer.from(pem).toString('base64'),
  (
    Buffer.from(pem)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\n'),
]
/** Parts that are derived from the value alone. Eight characters of one would reveal something. */
const traces = [
  secret,
  ...lines,
  Buffer.from(secret).toString('hex'),
  ...[secret, pem].flatMap((value) =>
    [0, 1, 2].map((offset) =>
      Buffer.concat([Buffer.alloc(offset), Buffer.from(value)])
        .toString('base64')
        .slice(4, -8),
    ),
  ),
]

const redact = createRedactor([
  { key: 'TOKEN', value: secret },
  { key: 'PEM', value: pem },
])

const stored = (chunks: Uint8Array[], options = { messageBytes: 400, redact }): NewLine[] => {
  const found: NewLine[] = []
  const splitter = createLineSplitter({ stream: 'stdout', instanceId: null, ...options }, (run) => found.push(...linesOf(run)))
  for (const chunk of chunks) splitter.push(chunk, new Date(0))
  splitter.end(new Date(0))
  return found
}

const leaks = (found: NewLine[]) => {
  const text = found.map(({ message }) => message).join('\n')
  return traces.filter((trace) => text.includes(trace))
}

describe('a secret is not stored, wherever it occurs', () => {
  it('in any form, beside any text, cut at any byte', () => {
    const noise = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ' ', '=', '+', '/', '"', 'ö', '\n'), maxLength: 60 })
    let placements = 0
    fc.assert(
      fc.property(noise, fc.constantFrom(...forms), noise, (before, form, after) => {
        const bytes = Buffer.from(`${before}${form}${after}\n`)
        const step = Math.max(1, Math.floor(bytes.length / 40))
        for (let cut = 0; cut <= bytes.length; cut += step) {
          placements++
          expect(leaks(stored([bytes.subarray(0, cut), bytes.subarray(cut)]))).toEqual([])
        }
      }),
      { numRuns: 400 },
    )
    expect(placements).toBeGreaterThanOrEqual(10_000)
  })

  it('split at every byte', () => {
    for (const form of forms) {
      const bytes = Buffer.from(`got ${form} there\n`)
      for (let cut = 0; cut <= bytes.length; cut++) expect(leaks(stored([bytes.subarray(0, cut), bytes.subarray(cut)]))).toEqual([])
      expect(leaks(stored([...bytes].map((byte) => Uint8Array.of(byte))))).toEqual([])
    }
  })

  it('when an endless line is read in parts', () => {
    const source = { stream: 'stdout' as const, instanceId: null, messageBytes: 64 * 1024, redact }
    for (let shift = 0; shift < 80; shift++) {
      // The secret crosses the end of the first read.
      let rest = Buffer.from(`${'x'.repeat(64 * 1024 - shift)}${secret}`)
      const found: NewLine[] = []
      const first = splitToLines(source, rest, new Date(0), false)
      found.push(...first.lines)
      rest = Buffer.concat([rest.subarray(first.consumedBytes), Buffer.from(`${secret} end\n`)])
      found.push(...splitToLines(source, rest, new Date(0), true).lines)
      const text = found.map(({ message }) => message).join('\n')
      expect(leaks(found)).toEqual([])
      expect(text).not.toContain(secret.slice(-8))
      expect(text).not.toContain(secret.slice(0, 8))
    }
  })
})

/** Escapes a value character by character, as different encoders do. */
type Writer = (char: string, choice: number) => string
const inCase = (digits: string, choice: number) => (choice & 1 ? digits.toUpperCase() : digits)
const bytesIn = (char: string, choice: number) => [...Buffer.from(char)].map((byte) => inCase(byte.toString(16).padStart(2, '0'), choice))
const writers: Record<string, Writer> = {
  percent(char, choice) {
    if (char !== '%' && choice % 3 === 0) return char
    if (char === ' ' && choice % 3 === 1) return '+'
    return bytesIn(char, choice)
      .map((byte) => `%${byte}`)
      .join('')
  },
  json(char, choice) {
    const mustBe = /["\\\n]/.test(char)
    if (!mustBe && choice % 3 === 0) return char
    if (choice % 3 === 1) return char === '/' ? '\\/' : JSON.stringify(char).slice(1, -1)
    return char
      .split('')
      .map((part) => `\\u${inCase(unit(part).slice(2), choice)}`)
      .join('')
  },
}
const character = fc.constantFrom(...'abc019/\\"%&+$=~()*!\'@:;<>?#[]{}|^`_-., \nöß€🚢')
const written = fc.record({
  value: fc.string({ unit: character, minLength: 6, maxLength: 16 }).filter((text) => !/^\s|\s$|\n/.test(text)),
  writer: fc.constantFrom('percent', 'json'),
  outer: fc.constantFrom(null, 'percent', 'json'),
  choices: fc.array(fc.nat(5), { minLength: 40, maxLength: 40 }),
})
const write = (value: string, writer: string, choices: number[]) =>
  [...value].map((char, index) => writers[writer]!(char, choices[index % choices.length]!))

describe('a value is redacted, whichever of its characters are escaped', () => {
  it('in any alphabet, once or twice, cut at any byte', () => {
    let placements = 0
    fc.assert(
      fc.property(written, ({ value, writer, outer, choices }) => {
        const once = write(value, writer, choices).join('')
        const form = outer ? write(once, outer, choices.toReversed()).join('') : once
        const redact = createRedactor([{ key: 'KEY', value }])
        const bytes = Buffer.from(`XX ${form} ZZ\n`)
        for (let cut = 0; cut <= bytes.length; cut += Math.ceil(bytes.length / 25)) {
          placements++
          const found = stored([bytes.subarray(0, cut), bytes.subarray(cut)], { messageBytes: 4_096, redact })
          expect(found.map(({ message }) => message)).toEqual(['XX [redacted] ZZ'])
        }
      }),
      { numRuns: 600 },
    )
    expect(placements).toBeGreaterThanOrEqual(10_000)
  })

  it('at the end of a truncated line', () => {
    fc.assert(
      fc.property(written, ({ value, writer, choices }) => {
        const parts = write(value, writer, choices)
        const redact = createRedactor([value])
        const form = [...parts.join('')]
        for (let end = 1; end < form.length; end++) {
          const shown = redact(`XX${form.slice(0, end).join('')}`, true).replace('[redacted]', '')
          // At most the beginning of the escape of the value's first character.
          expect(shown.length - 2).toBeLessThan(parts[0]!.length)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('a redactor', () => {
  it('counts redactions by key', () => {
    const hits = new Map<string, number>()
    redact(`${secret} and ${secret}`, false, hits)
    redact(lines[1]!, false, hits)
    redact('nothing', false, hits)
    expect(Object.fromEntries(hits)).toEqual({ TOKEN: 2, PEM: 1 })
  })

  it('keeps text without values', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '\t', 'ö'), maxLength: 200 }), (text) => {
        expect(redact(text)).toBe(text)
      }),
    )
  })
})
