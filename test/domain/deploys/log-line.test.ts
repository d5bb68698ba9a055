import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, type NewLine, type Redact } from '../../../src/domain/deploys/log/index.ts'
import { createLineSplitter, type LineSource } from '../../../src/domain/deploys/log/line-splitter.ts'
import { cursorOf, cutUtf8, positionOf } from '../../../src/domain/deploys/log/model.ts'
import { linesOf, splitToLines } from './log-support.ts'

const at = new Date('2026-01-31T12:00:00Z')
const source: LineSource = { stream: 'stdout', instanceId: null, messageBytes: 16 * 1024 }

function split(chunks: Uint8Array[], options: Partial<LineSource> = {}): NewLine[] {
  const lines: NewLine[] = []
  const splitter = createLineSplitter({ ...source, ...options }, (run) => lines.push(...linesOf(run)))
  for (const chunk of chunks) splitter.push(chunk, at)
  splitter.end(at)
  return lines
}
const messages = (chunks: (string | Uint8Array)[], options: Partial<LineSource> = {}) =>
  split(
    chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk)),
    options,
  ).map(({ message }) => message)

/** Splits bytes at the given fractions. */
function cutAt(bytes: Buffer, cuts: number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end))
}

describe('splitting output into lines', () => {
  it('ends a line at LF and at CRLF, and keeps a lone CR', () => {
    expect(messages(['a\nb\r\nc\rd\n\r\n\n'])).toEqual(['a', 'b', 'c\rd', '', ''])
  })

  it('emits a last line without a line break when the stream ends', () => {
    expect(messages(['a\nb'])).toEqual(['a', 'b'])
    expect(messages(['a\n'])).toEqual(['a'])
    expect(messages([])).toEqual([])
  })

  it('decodes a character that is split between two chunks', () => {
    const bytes = Buffer.from('Grüße 🚢\n')
    for (let cut = 0; cut <= bytes.length; cut++) expect(messages([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(['Grüße 🚢'])
  })

  it('replaces invalid UTF-8, removes NUL and keeps escape sequences', () => {
    expect(messages([Buffer.from([0x61, 0xff, 0x62, 0x0a]), 'x\0y\n', '\u001b[31mred\u001b[0m\n'])).toEqual([
      'a\ufffdb',
      'xy',
      '\u001b[31mred\u001b[0m',
    ])
  })

  it('emits the same lines wherever the bytes are split', () => {
    const piece = fc.oneof(fc.constantFrom('\n', '\r\n', '\r', 'é', '🚢', 'x'.repeat(40)), fc.string({ maxLength: 8 }))
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        (pieces, cuts) => {
          const bytes = Buffer.from(pieces.join(''))
          expect(split(cutAt(bytes, cuts), { messageBytes: 64 })).toEqual(split([bytes], { messageBytes: 64 }))
        },
      ),
    )
  })

  it('does not read a chunk again after it was pushed', () => {
    const chunk = Buffer.from('half')
    const lines: NewLine[] = []
    const splitter = createLineSplitter(source, (run) => lines.push(...linesOf(run)))
    splitter.push(chunk, at)
    chunk.fill('!')
    splitter.push(Buffer.from(' line\n'), at)
    expect(lines[0]?.message).toBe('half line')
  })

  it('truncates a line at 16 KiB of UTF-8 and marks it', () => {
    const [exact, over, wide] = split([Buffer.from(`${'x'.repeat(16_384)}\r\n${'x'.repeat(16_385)}\n${'€'.repeat(100_000)}\n`)])
    expect([exact!.message.length, exact!.truncated]).toEqual([16_384, false])
    expect([over!.message.length, over!.truncated]).toEqual([16_384, true])
    expect([wide!.message, wide!.truncated]).toEqual(['€'.repeat(5_461), true])
  })

  it('sets the level INFO for messages of Quayside only', () => {
    expect(split([Buffer.from('a\n')], { stream: 'system' })[0]?.level).toBe('INFO')
    expect(split([Buffer.from('ERROR a\n')], { stream: 'stderr' })[0]?.level).toBeNull()
  })
})

describe('splitting output that is read again by offset', () => {
  it('consumes whole lines only, until the source has ended', () => {
    const bytes = Buffer.from('one\ntwo\nthr')
    const { lines, consumedBytes } = splitToLines(source, bytes, at, false)
    expect([lines.map(({ message }) => message), consumedBytes]).toEqual([['one', 'two'], 8])
    const rest = splitToLines(source, bytes.subarray(consumedBytes), at, true)
    expect([rest.lines.map(({ message }) => message), rest.consumedBytes]).toEqual([['thr'], 3])
  })

  it('continues after a line without an end', () => {
    expect(splitToLines(source, Buffer.alloc(60_000, 'x'), at, false).consumedBytes).toBe(0)
    const { lines, consumedBytes } = splitToLines(source, Buffer.alloc(70_000, 'x'), at, false)
    expect([lines.length, lines[0]!.message.length, lines[0]!.truncated, consumedBytes]).toEqual([1, 16_384, true, 70_000])
  })
})

it('text is truncated between characters only', () => {
  expect(cutUtf8('aé🚢', 7)).toBe('aé🚢')
  expect([6, 5, 4, 3, 2, 1, 0].map((bytes) => cutUtf8('aé🚢', bytes))).toEqual(['aé', 'aé', 'aé', 'aé', 'a', 'a', ''])
})

describe('cursors', () => {
  const logId = '0190163d-8694-739b-aea5-966c26f8ad91'
  it('decode to their position', () => {
    const position = { seq: 2 ** 40, bytes: 2 ** 50 }
    expect(positionOf(logId, cursorOf(logId, position))).toEqual(position)
  })

  it('are rejected if they belong to another log or are not cursors', () => {
    const refused = expect.objectContaining({ code: 'invalid_input', field: 'after' })
    const other = cursorOf('0190163d-8694-739b-aea5-966c26f8ad92', { seq: 1, bytes: 1 })
    for (const text of [other, '', 'x', `${cursorOf(logId, { seq: 1, bytes: 1 })}A`, 'é'.repeat(43), `${'_'.repeat(42)}8`]) {
      let error: unknown
      try {
        positionOf(logId, text)
      } catch (thrown) {
        error = thrown
      }
      expect(error).toEqual(refused)
    }
  })
})

/** With a large message limit, so that no line is truncated after redaction. */
const source64 = { stream: 'stdout' as const, instanceId: null, messageBytes: 1024 * 1024 }

/** The lines of output that grows by `step` bytes between reads, until its end. */
function linesWhileGrowing(source: typeof source64 & { redact: Redact }, bytes: Buffer, step: number): string {
  let [shown, from] = ['', 0]
  for (let to = step; ; to += step) {
    const isEnd = to >= bytes.length
    const { lines, consumedBytes } = splitToLines(source, bytes.subarray(from, to), at, isEnd)
    shown += lines.map(({ message }) => message).join('')
    from += consumedBytes
    if (isEnd) return shown
  }
}

describe('redaction', () => {
  const secret = 'p/ss wörd+"1&2'
  const redact = createRedactor([secret])
  const bytes = Buffer.from(secret)

  it.each([
    ['plain text', secret],
    ['JSON', JSON.stringify(secret).slice(1, -1)],
    ['JSON in ASCII', 'p/ss w\\u00f6rd+\\"1&2'],
    ['JSON with escaped slashes', JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/')],
    ['URL-encoded text', encodeURIComponent(secret)],
    ['form-encoded text', encodeURIComponent(secret).replaceAll('%20', '+')],
    ['URL-encoded text in lower case', encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase())],
    ['hex', bytes.toString('hex')],
    ['uppercase hex', bytes.toString('hex').toUpperCase()],
  ])('redacts a value that is printed as %s', (_form, printed) => {
    expect(redact(`before ${printed} after`)).toBe('before [redacted] after')
  })

  it('redacts a value in base64 at any offset of the encoded text, except for the characters that it shares with its neighbours', () => {
    for (const encoding of ['base64', 'base64url'] as const) {
      for (const [before, after] of [
        ['', ''],
        ['a', ''],
        ['ab', 'c'],
        ['abc', 'de'],
        ['user:', '\n'],
      ]) {
        const shown = redact(Buffer.from(`${before}${secret}${after}`).toString(encoding))
        expect(shown).toContain('[redacted]')
        const hidden = Buffer.from(shown.replace('[redacted]', ''), encoding).length
        expect(hidden).toBeLessThan(Buffer.byteLength(`${before}${after}`) + 4)
      }
    }
  })

  it('redacts overlapping values completely', () => {
    expect(createRedactor(['abcd', 'cdef', 'abcdefgh'])('xabcdefx abcdefghx')).toBe('x[redacted]x [redacted]x')
  })

  it('redacts each line of a multi-line value', () => {
    const key = '-----BEGIN KEY-----\nMIIEow\r\nAbCdEf\n-----END KEY-----\n'
    const shown = createRedactor([key])
    expect(['MIIEow', ' AbCdEf', '-----BEGIN KEY-----'].map((line) => shown(line))).toEqual(['[redacted]', ' [redacted]', '[redacted]'])
  })

  it('keeps values of fewer than four characters, and text without secrets', () => {
    expect(createRedactor(['', 'abc'])('abc')).toBe('abc')
    expect(redact('nothing here')).toBe('nothing here')
  })

  it('finds a value that is split between two chunks', () => {
    const text = Buffer.from(`x ${secret} y\n`)
    for (let cut = 0; cut < text.length; cut++) {
      expect(messages([text.subarray(0, cut), text.subarray(cut)], { redact })).toEqual(['x [redacted] y'])
    }
  })

  it('reveals no part of a value where an unfinished line is cut, wherever the value is', () => {
    const value = 'k7Qz-Rw4p'
    const source = { ...source64, redact: createRedactor([value, 'k7Qz-Rx']) }
    const size = 64 * 1024
    for (let before = size - 3 * value.length; before <= size + 3; before++) {
      const shown = linesWhileGrowing(source, Buffer.from(`${'x'.repeat(before)}${value}${'y'.repeat(200)}\n`), size + 1)
      expect(shown.replace(/\[redacted\]/g, '')).toMatch(/^x+y+$/)
      expect(shown).toContain('[redacted]')
    }
  })

  it('reveals no part of overlapping values where an unfinished line is cut', () => {
    const source = { ...source64, redact: createRedactor(['abca', 'cabxabc']) }
    const size = 64 * 1024
    for (let before = size - 40; before <= size; before++) {
      for (const text of ['abcabcabcabcabca', 'cabxabcabxabca']) {
        const shown = linesWhileGrowing(source, Buffer.from(`${'-'.repeat(before)}${text}${'-'.repeat(200)}\n`), size + 1)
        expect(shown.replace(/\[redacted\]/g, '')).toMatch(/^-+$/)
      }
    }
  })

  it('reveals no part of a value that is longer than the limit of an unfinished line, however it arrives', () => {
    const value = Array.from({ length: 15_000 }, (_, index) => `${index}=`).join('')
    expect(value.length).toBeGreaterThan(64 * 1024)
    const source = { ...source64, redact: createRedactor([value]) }
    for (const printed of [value, Buffer.from(value).toString('hex'), encodeURIComponent(value)]) {
      for (const before of [0, 10, 40_000, 70_000]) {
        for (const step of [30_001, 65_536, 700_000]) {
          const shown = linesWhileGrowing(source, Buffer.from(`${'x'.repeat(before)}${printed}${'y'.repeat(900)}\n`), step)
          expect(shown.replace(/\[redacted\]/g, '')).toMatch(/^x*y*$/)
        }
      }
    }
  })

  it('makes progress on an endless line that repeats a value', () => {
    const source = { ...source64, redact: createRedactor(['aaaa']) }
    expect(linesWhileGrowing(source, Buffer.alloc(300_000, 'a'), 70_000)).toMatch(/^(\[redacted\])+$/)
  })

  it('reveals no part of a value where a long line is truncated', () => {
    const shared = createRedactor(['SECRETSECRET'])
    for (let before = 100; before < 230; before++) {
      const [line] = split([Buffer.from(`${'x'.repeat(before)}SECRETSECRET${'y'.repeat(300)}\n`)], { messageBytes: 100, redact: shared })
      expect(line!.message).toMatch(/^x*(\[redacted\]|\[?[a-z]*)?$/)
      expect(line!.truncated).toBe(true)
    }
    const many = split([Buffer.from(`${'SECRETSECRET'.repeat(60)}\n`)], { messageBytes: 200, redact: shared })
    expect(many[0]!.message).not.toMatch(/S/)
  })
})
