/**
 * The text of a `.env` file: `KEY=value` lines with comments, `export`, quotes and values of several lines. What can't be read is
 * refused with its line, where the usual parsers skip it. `parseDotenv(printDotenv(x))` gives x.
 */

export type DotenvEntry = { key: string; value: string }

/** Says what is wrong and where, and never what the text holds. */
export class DotenvError extends Error {
  override readonly name = 'DotenvError'
}

const head = /[^\S\n]*(?:export[^\S\n]+)?([^\s=#'"`]*)[^\S\n]*(=)?[^\S\n]*/y
const quotes = new Set(["'", '"', '`'])

/** In order, repeated keys included. Throws DotenvError. */
export function parseDotenv(text: string): DotenvEntry[] {
  const source = text.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  const entries: DotenvEntry[] = []
  let at = 0
  const lineAt = (position: number) => source.slice(0, position).split('\n').length
  const fail = (position: number, what: string): never => {
    throw new DotenvError(`line ${lineAt(position)}: ${what}`)
  }
  const endOfLine = (from: number) => {
    const end = source.indexOf('\n', from)
    return end < 0 ? source.length : end
  }
  while (at < source.length) {
    const start = at
    const end = endOfLine(at)
    if (/^\s*(#|$)/.test(source.slice(at, end))) {
      at = end + 1
      continue
    }
    head.lastIndex = at
    const [whole, key, equals] = head.exec(source)!
    if (!key || !equals) fail(start, 'is no KEY=value')
    at += whole.length
    const quote = source[at]!
    if (quotes.has(quote)) {
      const close = closing(source, at + 1, quote)
      if (close < 0) fail(start, `the ${quote} is never closed`)
      const rest = source.slice(close + 1, endOfLine(close + 1))
      if (!/^\s*(#.*)?$/.test(rest)) fail(close, 'something follows the closing quote')
      const inside = source.slice(at + 1, close)
      entries.push({ key: key!, value: quote === '"' ? unescaped(inside) : inside })
      at = endOfLine(close + 1) + 1
    } else {
      const line = source.slice(at, endOfLine(at))
      entries.push({ key: key!, value: line.replace(/(^|\s)#.*$/, '').trim() })
      at = endOfLine(at) + 1
    }
  }
  return entries
}

/** Where a quoted text ends; in double quotes a backslash takes the next character along. */
function closing(source: string, from: number, quote: string): number {
  for (let at = from; at < source.length; at++) {
    if (quote === '"' && source[at] === '\\') at++
    else if (source[at] === quote) return at
  }
  return -1
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$', '`': '`' }

const unescaped = (text: string) => text.replace(/\\(.)/gs, (both, char: string) => escapes[char] ?? both)

/** One `KEY=value` an entry, quoted where it has to be. */
export const printDotenv = (entries: readonly DotenvEntry[]): string =>
  entries.map(({ key, value }) => `${key}=${quoted(value)}\n`).join('')

function quoted(value: string): string {
  if (/^[\w./:@%+,=-]*$/.test(value)) return value
  // Single quotes take everything as it is, but not a carriage return, which is lost in a text file.
  if (!/['\r]/.test(value)) return `'${value}'`
  const escaped = value
    .replace(/[\\"$`]/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
  return `"${escaped}"`
}
