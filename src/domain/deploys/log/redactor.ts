/**
 * Takes secret values out of lines, in the forms in which programs print them: plain, base64 (also within a longer text, or wrapped),
 * hex, and each of them escaped (see escapes.ts). Works on whole lines, before they are cut; of a value with several lines each line
 * counts for itself.
 */
import { isTooShortToRedact, minRedactedLength } from '../../configuration/variable/index.ts'
import { bytesOf, type Reading, readingsOf, textOf } from './escapes.ts'

/** How often values were taken out, by key. */
export type Hits = Map<string, number>

/** `isCut`: more followed, so an end that may be the beginning of a secret goes too. What was found is added to `hits`. */
export type Redact = ((text: string, isCut?: boolean, hits?: Hits) => string) & {
  /**
   * Where a line that is still growing can be cut, so that what follows shows no part of a value, and what comes before shows none
   * where it is redacted as cut; 0: nowhere yet. More than 0 once the line is twice as long as the longest value is in its longest form.
   */
  cutOf?: (bytes: Buffer) => number
}

/** A value and what it is counted under. */
export type SecretValue = { key: string; value: string }

export const redacted = '[redacted]'

/** Without a key: a beginning, which doesn't count. */
type Span = { start: number; end: number; key: string | null }

/** The most bytes by which one byte of a value is written: `\u0041`. Only a value that is escaped twice throughout may be longer. */
const longestEscape = 6

/** Values that are too short to redact are left as they are. */
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
  if (keys.size === 0) return Object.assign((text: string) => text, { cutOf: (bytes: Buffer) => bytes.length })
  const find = finder(keys)
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
  return Object.assign(redact, { cutOf: cutter(find, longest) })
}

/** Forms write a blank as `+`, other URLs leave a `+` as it is: the two are taken for one. */
const searchable = (bytes: string) => bytes.replaceAll('+', ' ')

const searchableReadings = (bytes: string, isCut?: boolean): Reading[] =>
  readingsOf(bytes, isCut).map(({ text, placeOf }) => ({ text: searchable(text), placeOf }))

/** Finds patterns by their first characters: a line costs the same for one value and for a thousand. */
function finder(keys: ReadonlyMap<string, string>): (reading: Reading) => Span[] {
  const byStart = Map.groupBy(keys.keys(), (pattern) => pattern.slice(0, minRedactedLength))
  // Most places are passed by a look at this, three times as fast as by the map.
  const known = new Uint8Array(2 ** startBits)
  for (const start of byStart.keys()) known[slotOf(Buffer.from(start, 'latin1').readInt32BE())] = 1
  return ({ text, placeOf }) => {
    const spans: Span[] = []
    let code = 0
    for (let end = 1; end <= text.length; end++) {
      code = (code << 8) | text.charCodeAt(end - 1)
      if (known[slotOf(code)] === 0 || end < minRedactedLength) continue
      const start = end - minRedactedLength
      for (const pattern of byStart.get(text.slice(start, end)) ?? []) {
        if (!text.startsWith(pattern, start)) continue
        spans.push({ start: placeOf(start), end: placeOf(start + pattern.length), key: keys.get(pattern)! })
      }
    }
    return spans
  }
}

const startBits = 14
/** Of four bytes. */
const slotOf = (code: number) => Math.imul(code, 0x9e3779b1) >>> (32 - startBits)

function cutter(find: (reading: Reading) => Span[], longest: number): (bytes: Buffer) => number {
  return (bytes) => {
    if (bytes.length < 2 * longest) return 0
    // What begins before this ends within what is there.
    let cut = bytes.length - longest + 1
    while (cut > 0 && (bytes[cut]! & 0xc0) === 0x80) cut--
    cut = betweenEscapes(bytes, cut)
    const from = betweenEscapes(bytes, Math.max(0, cut - longest))
    const spans = searchableReadings(bytes.toString('latin1', from)).flatMap(find)
    const across = spans.filter(({ start, end }) => start + from < cut && cut < end + from)
    // One that ends behind the earliest of them is covered by it; the beginning that stays before goes with the cut line.
    return Math.min(cut, ...across.map(({ start }) => start + from))
  }
}

/** A place from which a run of backslashes is read as it is in the whole line, also when it is escaped twice. */
function betweenEscapes(bytes: Buffer, place: number): number {
  let start = place
  while (start > 0 && bytes[start - 1] === 0x5c) start--
  return place - ((place - start) % 4)
}

/** The value, and what programs make of one that holds escapes; each of them also line by line. */
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

/** The characters that stand for the value alone, when so many bytes of another text share its first group. */
function base64Forms(bytes: Buffer, offset: number): string[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const start = [0, 2, 3][offset]!
  const end = Math.floor(((offset + bytes.length) * 8) / 6)
  const own = text.slice(start, end)
  return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
}

/** Line by line, as `base64` and PEM print a value of its own; a short rest says nothing. */
function wrappedBase64(bytes: Buffer): string[] {
  const text = bytes.toString('base64')
  return [64, 76]
    .filter((width) => text.length > width)
    .flatMap((width) => text.match(new RegExp(`.{1,${width}}`, 'g')) ?? [])
    .filter((line) => line.length >= 2 * minRedactedLength)
}

/** Matches that overlap are one; each key in it counts once. */
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

/** Where the text's end is a beginning of one of the patterns, the longest; the text's length where it is none. */
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
