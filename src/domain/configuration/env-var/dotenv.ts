/**
 * Reads and prints `.env` files: `KEY=value` lines with comments, `export`, quotes and multi-line values. A line that can't be parsed
 * is an error, where common parsers skip it. Printed text is read alike by npm's dotenv, `node --env-file` and a shell. They have no
 * escape sequence in common, so some values have no notation that all three read.
 */

export type DotenvEntry = { key: string; value: string }

/** The message names the line and the problem. It never contains text of the file. */
export class DotenvError extends Error {
  override readonly name = 'DotenvError'
}

const head = /[^\S\n]*(?:export[^\S\n]+)?([^\s=#'"`]*)[^\S\n]*(=)?[^\S\n]*/y
const quotes = new Set(["'", '"', '`'])

/** The entries in order, including repeated keys. Throws DotenvError. */
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
    if (!key || !equals) fail(start, 'must have the form KEY=value')
    at += whole.length
    const quote = source[at]!
    if (quotes.has(quote)) {
      const close = closing(source, at + 1, quote)
      if (close < 0) fail(start, `the opening ${quote} has no closing ${quote}`)
      const rest = source.slice(close + 1, endOfLine(close + 1))
      if (!/^\s*(#.*)?$/.test(rest)) fail(close, 'only a comment can follow the closing quote')
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

/** Position of the closing quote, or -1. In double quotes, a backslash escapes the next character. */
function closing(source: string, from: number, quote: string): number {
  for (let at = from; at < source.length; at++) {
    if (quote === '"' && source[at] === '\\') at++
    else if (source[at] === quote) return at
  }
  return -1
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$', '`': '`' }

const unescaped = (text: string) => text.replace(/\\(.)/gs, (both, char: string) => escapes[char] ?? both)

/**
 * Prints one `KEY=value` for each entry, quoted if necessary. An entry whose value would not be read alike is printed as a comment, in
 * the notation of `parseDotenv`, and its key is listed in `comments`. If there are none, `parseDotenv(text)` returns the entries.
 */
export function printDotenv(entries: readonly DotenvEntry[]): { text: string; comments: string[] } {
  const lines = entries.map(({ key, value }) => {
    const plain = readAlike(value)
    if (plain !== null) return { line: `${key}=${plain}\n`, comment: null }
    const reason = `# ${key} has a value that dotenv, Node.js and a shell parse differently.`
    // dotenv treats these characters as line ends, so they would end the comment.
    if (/[\u2028\u2029]/.test(value)) return { line: `${reason} It is omitted.\n`, comment: key }
    return { line: `${reason} Only importEnvVars can read this line:\n# ${key}=${escaped(value)}\n`, comment: key }
  })
  return { text: lines.map(({ line }) => line).join(''), comments: lines.flatMap(({ comment }) => comment ?? []) }
}

/** The value in a notation that all readers read alike, or null if there is none. */
function readAlike(value: string): string | null {
  if (/^[\w./:@%+,=-]*$/.test(value)) return value
  // Editors and version control may remove carriage returns from text files.
  if (value.includes('\r')) return null
  // In single quotes everything is literal, but dotenv lets a backslash escape the closing quote.
  if (!value.includes("'") && !value.endsWith('\\')) return `'${value}'`
  // In double quotes, each reader has its own escapes.
  return /["$`\\]/.test(value) ? null : `"${value}"`
}

function escaped(value: string): string {
  const text = value
    .replace(/[\\"$`]/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
  return `"${text}"`
}
