/**
 * Ids are UUIDv7 internally, and TypeIDs (`proj_…`, specification v0.3 of jetify-com/typeid) in the doors that use them. Ids sort by time of
 * creation, so lists need no other stable sort key.
 */
import { randomFillSync } from 'node:crypto'
import { v7, validate } from 'uuid'

/** TypeID prefixes by type. Each concept adds those of its types by declaration merging, and lists them as its `idPrefixes`. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the concepts
export interface IdPrefixes {}

export type IdType = keyof IdPrefixes

/** Filled by `declareIdPrefixes`. The same for every App of a process, because a public id means the same everywhere. */
const prefixByType = new Map<string, string>()
const typeByPrefix = new Map<string, IdType>()

/** Called by `assemble`, which must precede the first use of an id. Throws an Error for a type or prefix with two meanings. */
export function declareIdPrefixes(prefixes: Partial<IdPrefixes>): void {
  for (const [type, prefix] of Object.entries(prefixes) as [IdType, string][]) {
    if ((prefixByType.get(type) ?? prefix) !== prefix || (typeByPrefix.get(prefix) ?? type) !== type)
      throw new Error(`the id prefix ${prefix} of ${type} is declared twice`)
    prefixByType.set(type, prefix)
    typeByPrefix.set(prefix, type)
  }
}

/** Whether a stored name is a type with public ids. */
export const isIdType = (name: string): name is IdType => prefixByType.has(name)

/** Greater than every id that this process has created before. */
export function newId(): string {
  const random = randomBytes16()
  const now = Date.now()
  if (now > lastId.msecs) lastId = { msecs: now, seq: random.readUInt32BE(6) >>> 1 }
  // Half of the sequence numbers follow the first one of a millisecond, so they last.
  else lastId.seq++
  return v7({ random, msecs: lastId.msecs, seq: lastId.seq })
}

let lastId = { msecs: 0, seq: 0 }

/** Random bytes are fetched for many ids at once, because a call of the system's generator takes longer than the rest of an id. */
const randomPool = Buffer.alloc(4_096)
let randomUsed = randomPool.length

function randomBytes16(): Buffer {
  if (randomUsed === randomPool.length) {
    randomFillSync(randomPool)
    randomUsed = 0
  }
  randomUsed += 16
  return randomPool.subarray(randomUsed - 16, randomUsed)
}

/**
 * The nil UUID, below every id and the id of no row. A malformed id decodes to it, so it is answered exactly as an unknown one; loops that
 * page by id start after it.
 */
export const nilId = '00000000-0000-0000-0000-000000000000'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const charCodes = Uint8Array.from(alphabet, (digit) => digit.charCodeAt(0))
const hexBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const nibbleOf = digitsByCharCode('0123456789abcdef', 'ABCDEF')
const digitOf = digitsByCharCode(alphabet)

/** Digit values by character code. `alike` lists alternative characters of the last digits. */
function digitsByCharCode(digits: string, alike = ''): Uint8Array {
  const values = new Uint8Array(128)
  for (const [value, char] of [...digits].entries()) values[char.charCodeAt(0)] = value
  for (const [index, char] of [...alike].entries()) values[char.charCodeAt(0)] = digits.length - alike.length + index
  return values
}

/** Encodes a UUID as a TypeID. Throws an Error for a type that no assembled concept declares. */
export function encodeId(type: IdType, uuid: string): string {
  const prefix = prefixByType.get(type)
  if (prefix === undefined) throw new Error(`no assembled concept declares the id prefix of ${type}`)
  let length = 0
  for (; length < prefix.length; length++) scratch[length] = prefix.charCodeAt(length)
  scratch[length++] = underscore
  // 26 digits have 130 bits, so two zero bits come first.
  let bits = 2
  let rest = 0
  for (let index = 0; index < uuid.length; index++) {
    const code = uuid.charCodeAt(index)
    if (code === hyphen) continue
    rest = (rest << 4) | nibbleOf[code]!
    bits += 4
    if (bits < 5) continue
    bits -= 5
    scratch[length++] = charCodes[rest >> bits]!
    rest &= (1 << bits) - 1
  }
  return scratch.toString('latin1', 0, length)
}

/** A list has thousands of ids. One that is concatenated digit by digit takes longer, above all when it is written. */
const scratch = Buffer.alloc(64)
const hyphen = 45
const underscore = 95

/** Parses a TypeID into its type and UUID. Null if it is malformed or its prefix is unknown. */
export function parseTypeId(text: string): { type: IdType; uuid: string } | null {
  const match = /^([a-z]+)_([0-7][0-9a-hjkmnp-tv-z]{25})$/.exec(text)
  const type = match && typeByPrefix.get(match[1]!)
  if (!match || !type) return null
  const digits = match[2]!
  let uuid = ''
  let bits = -2
  let rest = 0
  for (let index = 0; index < digits.length; index++) {
    rest = (rest << 5) | digitOf[digits.charCodeAt(index)]!
    bits += 5
    if (bits < 8) continue
    bits -= 8
    if (uuid.length === 8 || uuid.length === 13 || uuid.length === 18 || uuid.length === 23) uuid += '-'
    uuid += hexBytes[rest >> bits]!
    rest &= (1 << bits) - 1
  }
  return { type, uuid }
}

/** Decodes a TypeID of the given type, or a plain UUID, to a UUID; `nilId` for anything else. */
export function decodeId(type: IdType, text: unknown): string {
  if (typeof text !== 'string') return nilId
  if (validate(text)) return text.toLowerCase()
  const parsed = parseTypeId(text)
  return parsed?.type === type ? parsed.uuid : nilId
}
