/**
 * Replaces secret values in lines, in the forms in which programs print them: plain, base64 (also as part of a longer text, or wrapped),
 * hex, and each of these escaped (see escapes.ts). Works on whole lines, before they are truncated. Each line of a multi-line value is
 * also replaced on its own.
 */
import { isTooShortToRedact, minRedactedLength } from '../../configuration/variable/index.ts'
import { bytesOf, isEscapeMark, type Reading, readingsOf, textOf } from './escapes.ts'

/** Number of redactions, by key. */
export type Hits = Map<string, number>

/** `isCut`: the line was longer, so an end that may be the beginning of a secret is replaced too. Adds the redactions to `hits`. */
export type Redact = ((text: string, isCut?: boolean, hits?: Hits) => string) & {
  /**
   * Offset at which an unfinished line can be split without revealing part of a value, given that the first part is redacted with
   * `isCut`. 0 if there is none yet; there is one once the line is twice as long as the longest form of any value.
   */
  cutOf?: (bytes: Buffer) => number
  /**
   * Searches whole lines of UTF-8 from the start of a line. Returns an offset in the first line that redaction may change, or the length if
   * it changes none. Without it, any line may change.
   */
  search?: (bytes: Buffer, from: number) => number
}

/** A value, and the key under which its redactions are counted. */
export type SecretValue = { key: string; value: string }

export const redacted = '[redacted]'

/** A match to replace. `key` is null for the beginning of a value, which is not counted. */
type Span = { start: number; end: number; key: string | null }

/** Maximum length of one escaped byte: `\u0041`. Only a value that is escaped twice throughout can exceed it. */
const longestEscape = 6

/** Creates a redactor for the values, except those that are too short to redact. */
export function createRedactor(values: readonly (string | SecretValue)[]): Redact {
  const named = values.map((value) => (typeof value === 'string' ? { key: '', value } : value))
  const keys = new Map<string, string>()
  let longest = 0
  for (const { key, value } of named) {
    for (const form of variantsOf(value).flatMap(formsOf)) {
      const pattern = searchable(bytesOf(form))
      if (!keys.has(pattern)) keys.set(pattern, key)
    }
    longest = Math.max(longest, longestEscape * Buffer.byteLength(value))
  }
  const nothing = (bytes: Buffer) => bytes.length
  if (keys.size === 0) return Object.assign((text: string) => text, { cutOf: nothing, search: nothing })
  const starts = startsOf(keys.keys())
  const find = finder(keys, starts)
  const redact = (text: string, isCut = false, hits?: Hits) => {
    const bytes = bytesOf(text)
    const readings = searchableReadings(bytes, isCut)
    const spans = readings.flatMap(find)
    if (isCut) {
      for (const { text, placeOf } of readings) {
        const beginning = beginningAtEnd(text, keys.keys())
        if (beginning < text.length) spans.push({ start: placeOf(beginning), end: bytes.length, key: null })
      }
    }
    return spans.length > 0 ? textOf(withoutMatches(bytes, spans, hits)) : text
  }
  return Object.assign(redact, { cutOf: cutter(find, longest), search: searcher(starts) })
}

/** A redactor that adds its redactions to `hits`. `current` returns the redactor to use, which may change over time. */
export const countingRedactor = (current: () => Redact, hits: Hits): Redact =>
  Object.assign((text: string, isCut?: boolean) => current()(text, isCut, hits), {
    cutOf: (bytes: Buffer) => current().cutOf?.(bytes) ?? bytes.length,
    search: (bytes: Buffer, from: number) => current().search?.(bytes, from) ?? from,
  })

/** Treats `+` and space as equal, because forms encode a space as `+`, but other URLs do not. */
const searchable = (bytes: string) => bytes.replaceAll('+', ' ')

const searchableReadings = (bytes: string, isCut?: boolean): Reading[] =>
  readingsOf(bytes, isCut).map(({ text, placeOf }) => ({ text: searchable(text), placeOf }))

/** Patterns by their first characters, so that the cost of a line does not depend on the number of values. */
type Starts = {
  /** Whether a pattern may start with these four bytes. It rules out most places, and makes the search three times as fast. */
  mayBe: Uint8Array
  byStart: ReadonlyMap<string, string[]>
}

function startsOf(patterns: Iterable<string>): Starts {
  const byStart = Map.groupBy(patterns, (pattern) => pattern.slice(0, minRedactedLength))
  const mayBe = new Uint8Array(2 ** startBits)
  for (const start of byStart.keys()) mayBe[slotOf(Buffer.from(start, 'latin1').readInt32BE())] = 1
  return { mayBe, byStart }
}

const startBits = 16
/** Hash of four bytes. */
const slotOf = (code: number) => Math.imul(code, 0x9e3779b1) >>> (32 - startBits)

function finder(keys: ReadonlyMap<string, string>, { mayBe, byStart }: Starts): (reading: Reading) => Span[] {
  return ({ text, placeOf }) => {
    const spans: Span[] = []
    let code = 0
    for (let end = 1; end <= text.length; end++) {
      code = (code << 8) | text.charCodeAt(end - 1)
      if (mayBe[slotOf(code)] === 0 || end < minRedactedLength) continue
      const start = end - minRedactedLength
      for (const pattern of byStart.get(text.slice(start, end)) ?? []) {
        if (!text.startsWith(pattern, start)) continue
        spans.push({ start: placeOf(start), end: placeOf(start + pattern.length), key: keys.get(pattern)! })
      }
    }
    return spans
  }
}

/** The bytes as `searchable` maps them, and `escapeMark` for those that start an escape. */
const escapeMark = 0x100
const searchableByte = Uint16Array.from({ length: 256 }, (_, byte) =>
  isEscapeMark(String.fromCharCode(byte)) ? escapeMark : searchable(String.fromCharCode(byte)).charCodeAt(0),
)

/** Searches bytes for the patterns, without decoding them: any escape may be part of one. */
function searcher({ mayBe, byStart }: Starts): (bytes: Buffer, from: number) => number {
  const byCode = new Map(
    [...byStart].map(([start, patterns]) => [
      Buffer.from(start, 'latin1').readInt32BE(),
      // A pattern with a line feed is in no line.
      patterns.filter((pattern) => !pattern.includes('\n')).map((pattern) => Buffer.from(pattern, 'latin1')),
    ]),
  )
  const isAt = (pattern: Buffer, bytes: Buffer, start: number) => {
    if (start + pattern.length > bytes.length) return false
    for (let i = minRedactedLength; i < pattern.length; i++) if (searchableByte[bytes[start + i]!] !== pattern[i]) return false
    return true
  }
  return (bytes, from) => {
    let code = 0
    for (let at = from; at < bytes.length; at++) {
      const byte = searchableByte[bytes[at]!]!
      if (byte === escapeMark) return at
      code = (code << 8) | byte
      if (mayBe[slotOf(code)] === 0) continue
      const start = at - minRedactedLength + 1
      if (start < from) continue
      for (const pattern of byCode.get(code) ?? []) if (isAt(pattern, bytes, start)) return start
    }
    return bytes.length
  }
}

function cutter(find: (reading: Reading) => Span[], longest: number): (bytes: Buffer) => number {
  return (bytes) => {
    if (bytes.length < 2 * longest) return 0
    // A value that begins before this offset ends within `bytes`.
    let cut = bytes.length - longest + 1
    while (cut > 0 && (bytes[cut]! & 0xc0) === 0x80) cut--
    cut = betweenEscapes(bytes, cut)
    const from = betweenEscapes(bytes, Math.max(0, cut - longest))
    const spans = searchableReadings(bytes.toString('latin1', from)).flatMap(find)
    const across = spans.filter(({ start, end }) => start + from < cut && cut < end + from)
    // Splitting at the earliest start is enough: the beginning of a value before it is replaced with the end of the first part.
    return Math.min(cut, ...across.map(({ start }) => start + from))
  }
}

/** The nearest offset at or before `place` from which a run of backslashes decodes as it does in the whole line, even if escaped twice. */
function betweenEscapes(bytes: Buffer, place: number): number {
  let start = place
  while (start > 0 && bytes[start - 1] === 0x5c) start--
  return place - ((place - start) % 4)
}

/** The value, and its decodings if it contains escapes; each also line by line. */
function variantsOf(value: string): string[] {
  const variants = readingsOf(bytesOf(value)).map(({ text }) => textOf(text))
  return [...variants, ...variants.flatMap(splitLines)]
}

const splitLines = (value: string) => (/[\r\n]/.test(value) ? value.split(/\r?\n|\r/) : [])

function formsOf(value: string): string[] {
  if (isTooShortToRedact(value)) return []
  const bytes = Buffer.from(value)
  const hex = bytes.toString('hex')
  return [
    value,
    hex,
    hex.toUpperCase(),
    bytes.toString('base64'),
    ...[0, 1, 2].flatMap((offset) => base64Forms(bytes, offset)),
    ...wrappedBase64(bytes),
  ]
}

/** The base64 characters that depend on the value alone, if it is preceded by other bytes, `offset` of them in its first group. */
function base64Forms(bytes: Buffer, offset: number): string[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const start = [0, 2, 3][offset]!
  const end = Math.floor(((offset + bytes.length) * 8) / 6)
  const own = text.slice(start, end)
  return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
}

/** The lines in which `base64` and PEM print the value, except a last one that is too short to identify it. */
function wrappedBase64(bytes: Buffer): string[] {
  const text = bytes.toString('base64')
  return [64, 76]
    .filter((width) => text.length > width)
    .flatMap((width) => text.match(new RegExp(`.{1,${width}}`, 'g')) ?? [])
    .filter((line) => line.length >= 2 * minRedactedLength)
}

/** Replaces overlapping matches together. Each key in them counts once. */
function withoutMatches(text: string, spans: Span[], hits?: Hits): string {
  spans.sort((a, b) => a.start - b.start)
  let shown = ''
  let done = 0
  let counted = new Set<string>()
  for (const { start, end, key } of spans) {
    if (start >= done) {
      shown += `${text.slice(done, start)}${redacted}`
      counted = new Set()
    }
    if (hits && key !== null && !counted.has(key)) hits.set(key, (hits.get(key) ?? 0) + 1)
    if (key !== null) counted.add(key)
    done = Math.max(done, end)
  }
  return shown + text.slice(done)
}

/** Start of the longest beginning of a pattern at the end of the text, or the text's length if there is none. */
function beginningAtEnd(text: string, patterns: Iterable<string>): number {
  let earliest = text.length
  for (const pattern of patterns) earliest = Math.min(earliest, beginningOf(pattern, text))
  return earliest
}

function beginningOf(pattern: string, text: string): number {
  const start = pattern.slice(0, minRedactedLength)
  const first = Math.max(0, text.length - pattern.length + 1)
  for (let at = text.indexOf(start, first); at >= 0; at = text.indexOf(start, at + 1)) {
    if (pattern.startsWith(text.slice(at))) return at
  }
  for (let length = minRedactedLength - 1; length > 0; length--) if (text.endsWith(pattern.slice(0, length))) return text.length - length
  return text.length
}
