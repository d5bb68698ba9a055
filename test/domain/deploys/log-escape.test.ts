import { describe, expect, it } from 'vitest'
import { createRedactor } from '../../../src/domain/deploys/log/index.ts'
import { splitToLines } from './log-support.ts'

const secret = `p/s~s wörd+"1&2<3>(4)'5*6$7\\n🚢`
const json = JSON.stringify(secret).slice(1, -1)
const percent = encodeURIComponent(secret)
const base64 = Buffer.from('?>?>?>ÿÿ~~~').toString('base64')
const unit = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
const unitInCapitals = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}`
const userInfo = (password: string) => {
  const url = new URL('https://host')
  url.password = password
  return url.password
}

describe('a value is redacted', () => {
  it.each([
    ['by Python’s quote', percent.replaceAll('%2F', '/')],
    ['as a URL’s password', userInfo(secret)],
    ['as a URL’s query', new URL(`https://host/?${secret}`).search.slice(1)],
    ['as a form', new URLSearchParams({ '': secret }).toString().slice(1)],
    ['with each byte escaped', Buffer.from(secret).toString('hex').replace(/../g, '%$&')],
    ['with hex in mixed case', percent.replace(/%(.)(.)/g, (_, a, b) => `%${a}${b.toLowerCase()}`)],
    ['as JSON by Go', json.replace(/[<>&]/g, unit)],
    ['as JSON by .NET', json.replace(/[<>&+'\u0080-\uffff]/g, unitInCapitals).replaceAll('\\"', '\\u0022')],
    ['as JSON by PHP', json.replace(/[\u0080-\uffff]/g, unit).replaceAll('/', '\\/')],
    [
      'by Python’s repr of bytes',
      secret.replaceAll('\\', '\\\\').replace(/[^ -~]+/g, (text) => Buffer.from(text).toString('hex').replace(/../g, '\\x$&')),
    ],
    ['as a shell word', secret.replace(/[^\w/öß🚢]/gu, '\\$&')],
    ['URL-encoded twice', encodeURIComponent(percent)],
    ['as JSON in JSON', JSON.stringify(json).slice(1, -1)],
    ['as JSON in a URL', encodeURIComponent(json)],
    ['as a URL in JSON', percent.replaceAll('%', '\\u0025')],
  ])('%s', (_form, printed) => {
    const hits = new Map<string, number>()
    expect(createRedactor([{ key: 'KEY', value: secret }])(`before ${printed} after 50% c:\\x`, false, hits)).toBe(
      'before [redacted] after 50% c:\\x',
    )
    expect(hits).toEqual(new Map([['KEY', 1]]))
  })

  it('even if it looks like escapes itself and its percent signs are not escaped', () => {
    const redact = createRedactor(['p%41 %2B\\u0041x'])
    for (const printed of ['p%41 %2B\\u0041x', userInfo('p%41 %2B\\u0041x'), 'p%2541+%252B\\u0041x', 'pA +Ax']) {
      expect(redact(`[${printed}]`)).toBe('[[redacted]]')
    }
  })

  it('with real line breaks if it was set with escaped ones', () => {
    const redact = createRedactor(['-----BEGIN KEY-----\\nMIIEow+AbCdEf\\n-----END KEY-----\\n'])
    expect(['-----BEGIN KEY-----', 'MIIEow+AbCdEf'].map((line) => redact(line))).toEqual(['[redacted]', '[redacted]'])
  })

  it('in escaped base64', () => {
    expect(base64).toMatch(/[+/].*=/)
    const redact = createRedactor(['?>?>?>ÿÿ~~~'])
    expect(redact(encodeURIComponent(base64))).toBe('[redacted]')
    expect(redact(base64.replace(/[+/=]/g, unit))).toBe('[redacted]')
  })

  it('once per occurrence, even if many occur next to each other in different forms', () => {
    const hits = new Map<string, number>()
    const redact = createRedactor([
      { key: 'A', value: 'one/two' },
      { key: 'B', value: 'two three' },
    ])
    expect(redact('one/two one%2Ftwo\\u0020three two+threeone\\/two', false, hits)).toBe('[redacted] [redacted] [redacted][redacted]')
    expect(hits).toEqual(
      new Map([
        ['A', 3],
        ['B', 2],
      ]),
    )
  })
})

describe('a truncated line reveals no part', () => {
  const forms = [encodeURIComponent(secret), json, [...secret.split('')].map(unit).join(''), JSON.stringify(json).slice(1, -1)]

  it('of an escaped value at its end', () => {
    const redact = createRedactor([secret])
    for (const form of forms) {
      for (let end = 1; end < form.length; end++) {
        // Lines are never cut within a character.
        if (!form.slice(0, end).isWellFormed()) continue
        const shown = redact(`--${form.slice(0, end)}`, true)
        expect(shown.replace('[redacted]', '')).toMatch(/^--(\\(u[0-9a-f]{0,3})?)?$/)
      }
    }
  })

  it('of an escaped value that is cut before its end', () => {
    const source = { stream: 'stdout' as const, instanceId: null, messageBytes: 1024 * 1024, redact: createRedactor([secret]) }
    const size = 64 * 1024
    const longest = 6 * Buffer.byteLength(secret)
    for (const form of forms) {
      for (let before = size - 2 * longest; before <= size; before += 41) {
        const bytes = Buffer.from(`${'-'.repeat(before)}${form}${'-'.repeat(2 * longest)}\n`)
        const first = splitToLines(source, bytes.subarray(0, size), new Date(0), false)
        expect(first.consumedBytes).toBeGreaterThan(0)
        const rest = splitToLines(source, bytes.subarray(first.consumedBytes), new Date(0), true)
        const shown = [...first.lines, ...rest.lines].map(({ message }) => message).join('')
        expect(shown.replaceAll('[redacted]', '')).toMatch(/^-+$/)
      }
    }
  })

  it('after a run of backslashes of any length, and can be cut even if there is nothing else', () => {
    const value = 'nope "and" more'
    const redact = createRedactor([value])
    const source = { stream: 'stdout' as const, instanceId: null, messageBytes: 1024 * 1024, redact }
    for (let more = 0; more < 9; more++) {
      const text = `${'x'.repeat(more)}${'\\'.repeat(65_536)}${JSON.stringify(value).slice(1, -1)}\n`
      const first = splitToLines(source, Buffer.from(text).subarray(0, 65_536 + more), new Date(0), false)
      expect(first.consumedBytes).toBeGreaterThan(0)
      const rest = splitToLines(source, Buffer.from(text).subarray(first.consumedBytes), new Date(0), true)
      expect(rest.lines[0]!.message).toMatch(/^\\*\[redacted\]$/)
    }
  })
})
