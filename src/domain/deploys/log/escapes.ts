/**
 * What a text says once its escapes are decoded, whichever characters its writer chose to escape: percent escapes of URLs and forms,
 * backslash escapes of JSON, string literals and shells. On bytes, one character each, so that a character may be escaped byte by byte.
 */

export type Reading = {
  text: string
  /** Where in the original the character begins that stands here; at the text's end, where that ends. */
  placeOf: (index: number) => number
}

type Decoder = { mark: string; escapes: RegExp }

/** JSON in JSON, a URL in JSON, a form in a URL. */
const rounds = 2

const hex = '[0-9a-fA-F]'
const highUnit = `u[dD][89abAB]${hex}{2}`

const decoders: readonly Decoder[] = [
  { mark: '%', escapes: new RegExp(`%(?:(?<byte>${hex}{2})|${hex}?$)`, 'g') },
  {
    mark: '\\',
    escapes: new RegExp(
      `\\\\(?:(?<pair>${highUnit}\\\\u[dD][c-fC-F]${hex}{2})|${highUnit}(?:\\\\(?:u${hex}{0,3})?)?$|u(?<unit>${hex}{4})` +
        `|x(?<byte>${hex}{2})|(?<letter>[bfnrt])|(?<sign>[^0-9A-Za-z])|(?:u${hex}{0,3}|x${hex}?)?$)`,
      'g',
    ),
  },
]

const letters: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

export const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')
export const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** The text as it is, and with its escapes decoded, in each order. `isCut`: an escape that is incomplete at the end is left out. */
export function readingsOf(text: string, isCut = false): Reading[] {
  const readings: Reading[] = [{ text, placeOf: (index) => index }]
  let latest = readings
  for (let round = 0; round < rounds; round++) {
    latest = latest.flatMap((reading) => decoders.flatMap((decoder) => decode(reading, decoder, isCut) ?? []))
    readings.push(...latest)
  }
  return readings
}

/** Null when there is nothing to decode. */
function decode({ text, placeOf }: Reading, { mark, escapes }: Decoder, isCut: boolean): Reading | null {
  if (!text.includes(mark)) return null
  const places = new Uint32Array(text.length + 1)
  let decoded = ''
  let length = 0
  let done = 0
  const keepTo = (end: number) => {
    decoded += text.slice(done, end)
    while (done < end) places[length++] = done++
  }
  let end = text.length
  for (const { 0: written, index, groups = {} } of text.matchAll(escapes)) {
    const said = saidBy(groups)
    if (said === null) {
      if (isCut) end = index
      break
    }
    keepTo(index)
    decoded += said
    for (const _ of said) places[length++] = index
    done = index + written.length
  }
  if (done === 0 && end === text.length) return null
  keepTo(end)
  places[length] = end
  return { text: decoded, placeOf: (index) => placeOf(places[index]!) }
}

/** Null for an escape that isn't complete. */
function saidBy({ byte, pair, unit, letter, sign }: Record<string, string | undefined>): string | null {
  const units = pair ? [pair.slice(1, 5), pair.slice(7)] : unit ? [unit] : []
  if (units.length > 0) return bytesOf(String.fromCharCode(...units.map((digits) => Number.parseInt(digits, 16))))
  if (byte) return String.fromCharCode(Number.parseInt(byte, 16))
  return (letter && letters[letter]) ?? sign ?? null
}
