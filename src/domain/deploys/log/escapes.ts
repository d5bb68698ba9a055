/**
 * Decodes escaped text, whichever characters are escaped: percent escapes of URLs and forms, and backslash escapes of JSON, string
 * literals and shells. Texts are byte strings, with one character per byte, because a character may be escaped byte by byte.
 */

export type Reading = {
  text: string
  /** Offset in the original text of the character at `index`, or of its end for the end of the text. */
  placeOf: (index: number) => number
}

type Decoder = { mark: string; escapes: RegExp }

/** Number of nested escapings: JSON in JSON, a URL in JSON, a form in a URL. */
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

/** Whether an escape can start with this character. */
export const isEscapeMark = (character: string): boolean => decoders.some(({ mark }) => mark === character)

const letters: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

export const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')
export const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** The text itself and its decodings, in every order of the decoders. `isCut`: an incomplete escape at the end is omitted. */
export function readingsOf(text: string, isCut = false): Reading[] {
  const readings: Reading[] = [{ text, placeOf: (index) => index }]
  let latest = readings
  for (let round = 0; round < rounds; round++) {
    latest = latest.flatMap((reading) => decoders.flatMap((decoder) => decode(reading, decoder, isCut) ?? []))
    readings.push(...latest)
  }
  return readings
}

/** Returns null if there is nothing to decode. */
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
  for (const { 0: match, index, groups = {} } of text.matchAll(escapes)) {
    const value = bytesOfEscape(groups)
    if (value === null) {
      if (isCut) end = index
      break
    }
    keepTo(index)
    decoded += value
    for (const _ of value) places[length++] = index
    done = index + match.length
  }
  if (done === 0 && end === text.length) return null
  keepTo(end)
  places[length] = end
  return { text: decoded, placeOf: (index) => placeOf(places[index]!) }
}

/** Decoded bytes of an escape, or null if it is incomplete. */
function bytesOfEscape({ byte, pair, unit, letter, sign }: Record<string, string | undefined>): string | null {
  const units = pair ? [pair.slice(1, 5), pair.slice(7)] : unit ? [unit] : []
  if (units.length > 0) return bytesOf(String.fromCharCode(...units.map((digits) => Number.parseInt(digits, 16))))
  if (byte) return String.fromCharCode(Number.parseInt(byte, 16))
  return (letter && letters[letter]) ?? sign ?? null
}
