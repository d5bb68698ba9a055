/**
 * Takes secret values out of lines, in the forms in which programs print them: plain, base64 (also within a longer text, or wrapped),
 * URL-encoded, JSON-escaped, hex. Works on whole lines, before they are cut; of a value with several lines each line counts for itself.
 */

/** How often values were taken out, by key. */
export type Hits = Map<string, number>

/** `isCut`: more followed, so an end that may be the beginning of a secret goes too. What was found is added to `hits`. */
export type Redact = ((text: string, isCut?: boolean, hits?: Hits) => string) & {
  /**
   * Where a line that is still growing can be cut, so that what follows shows no part of a value, and what comes before shows none
   * where it is redacted as cut; 0: nowhere yet. More than 0 once the line is twice as long as the longest value.
   */
  cutOf?: (bytes: Buffer) => number
}

/** A value and what it is counted under. */
export type SecretValue = { key: string; value: string }

export const redacted = '[redacted]'

/** A shorter value is a word like any other: taking it out would leave no log, and hide nothing that can't be guessed. */
const minLength = 4

/** Without a key: a beginning, which doesn't count. */
type Span = { start: number; end: number; key: string | null }

/** Values of fewer than 4 characters are left as they are. */
export function createRedactor(values: readonly (string | SecretValue)[]): Redact {
  const named = values.map((value) => (typeof value === 'string' ? { key: '', value } : value))
  const keys = new Map<string, string>()
  for (const { key, value } of named) {
    for (const pattern of [value, ...splitLines(value)].flatMap(formsOf)) if (!keys.has(pattern)) keys.set(pattern, key)
  }
  if (keys.size === 0) return Object.assign((text: string) => text, { cutOf: (bytes: Buffer) => bytes.length })
  const find = finder(keys)
  const patterns = [...keys.keys()]
  const redact = (text: string, isCut = false, hits?: Hits) => {
    const spans = find(text)
    const beginning = isCut ? Math.min(...patterns.map((pattern) => beginningAtEnd(text, pattern))) : text.length
    if (beginning < text.length) spans.push({ start: beginning, end: text.length, key: null })
    return spans.length > 0 ? withoutMatches(text, spans, hits) : text
  }
  return Object.assign(redact, { cutOf: cutter(keys) })
}

/** Finds patterns by their first characters: a line costs the same for one value and for a thousand. */
function finder(keys: ReadonlyMap<string, string>): (text: string) => Span[] {
  const byStart = Map.groupBy(keys.keys(), (pattern) => pattern.slice(0, minLength))
  return (text) => {
    const spans: Span[] = []
    for (let start = 0; start + minLength <= text.length; start++) {
      for (const pattern of byStart.get(text.slice(start, start + minLength)) ?? []) {
        if (text.startsWith(pattern, start)) spans.push({ start, end: start + pattern.length, key: keys.get(pattern)! })
      }
    }
    return spans
  }
}

/** On bytes, one character each. */
function cutter(keys: ReadonlyMap<string, string>): (bytes: Buffer) => number {
  const raw = (pattern: string) => Buffer.from(pattern).toString('latin1')
  const rawKeys = new Map([...keys].map(([pattern, key]) => [raw(pattern), key]))
  const find = finder(rawKeys)
  const longest = Math.max(...[...rawKeys.keys()].map((pattern) => pattern.length))
  return (bytes) => {
    if (bytes.length < 2 * longest) return 0
    // What begins before this ends within what is there.
    let cut = bytes.length - longest + 1
    while (cut > 0 && (bytes[cut]! & 0xc0) === 0x80) cut--
    const from = Math.max(0, cut - longest)
    const across = find(bytes.toString('latin1', from)).filter(({ start, end }) => start + from < cut && cut < end + from)
    // One that ends behind the earliest of them is covered by it; the beginning that stays before goes with the cut line.
    return Math.min(cut, ...across.map(({ start }) => start + from))
  }
}

const splitLines = (value: string) => (/[\r\n]/.test(value) ? value.split(/\r?\n|\r/) : [])

function formsOf(value: string): string[] {
  if (value.length < minLength) return []
  const bytes = Buffer.from(value)
  const json = JSON.stringify(value).slice(1, -1)
  const ascii = json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const url = encodeURIComponent(value.toWellFormed())
  const strictUrl = url.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  const urls = [url, strictUrl].flatMap((text) => [text, text.replaceAll('%20', '+')])
  const hex = bytes.toString('hex')
  return [
    value,
    ...[json, ascii].flatMap((text) => [text, text.replaceAll('/', '\\/')]),
    ...urls.flatMap((text) => [text, text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())]),
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
    .filter((line) => line.length >= 2 * minLength)
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

/** Where the text's end is a beginning of the pattern; the text's length where it is none. */
function beginningAtEnd(text: string, pattern: string): number {
  const start = pattern.slice(0, minLength)
  const first = Math.max(0, text.length - pattern.length + 1)
  for (let at = text.indexOf(start, first); at >= 0; at = text.indexOf(start, at + 1)) {
    if (pattern.startsWith(text.slice(at))) return at
  }
  for (let length = minLength - 1; length > 0; length--) if (text.endsWith(pattern.slice(0, length))) return text.length - length
  return text.length
}
