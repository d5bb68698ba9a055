import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, type NewLine, splitCompleteLines } from '../../../src/domain/deploys/log/index.ts'
import { createLineSplitter } from '../../../src/domain/deploys/log/line-splitter.ts'

const secret = 'S3cr3t-"canary"/+Öß value%&0123456789'
const lines = ['-----BEGIN KEY-----', 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj', '-----END KEY-----']
const pem = lines.join('\n')

/** Each form of a value, and what of it must never be read: no character of it is another's. */
const forms = [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret),
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
/** Parts that stand for the value alone; eight characters of one would tell something. */
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

const stored = (chunks: Uint8Array[]): NewLine[] => {
  const found: NewLine[] = []
  const splitter = createLineSplitter({ stream: 'stdout', instanceId: null, messageBytes: 400, redact }, (line) => found.push(line))
  for (const chunk of chunks) splitter.push(chunk, new Date(0))
  splitter.end(new Date(0))
  return found
}

const leaks = (found: NewLine[]) => {
  const text = found.map(({ message }) => message).join('\n')
  return traces.filter((trace) => text.includes(trace))
}

describe('no placement of a secret is stored', () => {
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

  it('where a line without an end is taken in pieces', () => {
    const source = { stream: 'stdout' as const, instanceId: null, messageBytes: 64 * 1024, redact }
    for (let shift = 0; shift < 80; shift++) {
      // The secret lies across the end of what was read first.
      let rest = Buffer.from(`${'x'.repeat(64 * 1024 - shift)}${secret}`)
      const found: NewLine[] = []
      const first = splitCompleteLines(source, rest, new Date(0), false)
      found.push(...first.lines)
      rest = Buffer.concat([rest.subarray(first.consumedBytes), Buffer.from(`${secret} end\n`)])
      found.push(...splitCompleteLines(source, rest, new Date(0), true).lines)
      const text = found.map(({ message }) => message).join('\n')
      expect(leaks(found)).toEqual([])
      expect(text).not.toContain(secret.slice(-8))
      expect(text).not.toContain(secret.slice(0, 8))
    }
  })
})

describe('a redactor', () => {
  it('counts what it takes out, by key', () => {
    const hits = new Map<string, number>()
    redact(`${secret} and ${secret}`, false, hits)
    redact(lines[1]!, false, hits)
    redact('nothing', false, hits)
    expect(Object.fromEntries(hits)).toEqual({ TOKEN: 2, PEM: 1 })
  })

  it('leaves text alone that holds no value', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '\t', 'ö'), maxLength: 200 }), (text) => {
        expect(redact(text)).toBe(text)
      }),
    )
  })
})
