/**
 * Conversion between JavaScript values and PostgreSQL's text format: `encode` for parameters, `decoderOf` for columns. A column becomes the
 * value that Prisma returns for it, so that a row fits the generated type of its table.
 */
import pg from 'pg'

/** A parameter on the wire: text, or binary for a Buffer. */
export type Parameter = string | Buffer | null

/** Objects other than dates, bytes and arrays become JSON. Throws for an invalid date. */
export function encode(value: unknown): Parameter {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value !== 'object') return String(value)
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return Array.isArray(value) ? arrayLiteral(value) : objectText(value)
}

// With a time zone, so that the session's time zone doesn't matter.
const objectText = (value: object): string => (value instanceof Date ? value.toISOString() : JSON.stringify(value))

const arrayLiteral = (values: readonly unknown[]): string => `{${values.map(elementLiteral).join(',')}}`

function elementLiteral(value: unknown): string {
  if (Array.isArray(value)) return arrayLiteral(value)
  const text = encode(value)
  if (text === null) return 'NULL'
  if (typeof text !== 'string') return `"\\\\x${text.toString('hex')}"`
  return `"${/["\\]/.test(text) ? text.replace(/["\\]/g, '\\$&') : text}"`
}

export type Decode = (text: string) => unknown

const same: Decode = (text) => text
/** PostgreSQL omits the minutes of a whole-hour offset. */
const instantOf = (text: string) => new Date(text.replace(' ', 'T') + (text.at(-3) === ':' ? '' : ':00'))
/** The years below 100 are different ones to `Date.UTC`. */
const inUtc = /^(?!00)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$/

/** Most times are in UTC. A list has many of them, and computing one takes less than half the time of parsing it. */
function instant(text: string): Date {
  if (!inUtc.test(text)) return instantOf(text)
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const ms = digit(text, 20) * 100 + digit(text, 21) * 10 + digit(text, 22)
  return new Date(
    Date.UTC(year, twoDigits(text, 5) - 1, twoDigits(text, 8), twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17), ms),
  )
}

const twoDigits = (text: string, at: number) => digit(text, at) * 10 + digit(text, at + 1)

/** 0 for the digits of a fraction that PostgreSQL omits. */
function digit(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57 ? code - 48 : 0
}

const timeOfDay = (text: string) => new Date(`1970-01-01T${text.replace(/[+-][\d:]+$/, '')}Z`)

const { builtins, getTypeParser } = pg.types
const name = 19
const parseBytes = getTypeParser(builtins.BYTEA) as (text: string) => Buffer

/** Base types with their oid, the oid of their array type, and their decoder. */
const types: readonly [oid: number, arrayOid: number, decode: Decode][] = [
  [builtins.BOOL, 1000, (text) => text === 't'],
  [builtins.INT2, 1005, Number],
  [builtins.INT4, 1007, Number],
  [builtins.INT8, 1016, BigInt],
  [builtins.OID, 1028, BigInt],
  [builtins.FLOAT4, 1021, Number],
  [builtins.FLOAT8, 1022, Number],
  [builtins.TEXT, 1009, same],
  [builtins.VARCHAR, 1015, same],
  [builtins.BPCHAR, 1014, same],
  [name, 1003, same],
  [builtins.UUID, 2951, same],
  [builtins.INET, 1041, same],
  [builtins.CIDR, 651, same],
  [builtins.JSON, 199, (text) => JSON.parse(text) as unknown],
  [builtins.JSONB, 3807, (text) => JSON.parse(text) as unknown],
  // Copied, because Buffers may share memory.
  [builtins.BYTEA, 1001, (text) => new Uint8Array(parseBytes(text))],
  [builtins.TIMESTAMPTZ, 1185, instant],
  [builtins.TIMESTAMP, 1115, (text) => new Date(`${text.replace(' ', 'T')}Z`)],
  [builtins.DATE, 1182, (text) => new Date(text)],
  [builtins.TIME, 1183, timeOfDay],
  [builtins.TIMETZ, 1270, timeOfDay],
]

const { create: arrayParser } = pg.types.arrayParser as unknown as {
  create(text: string, decode: Decode): { parse(): unknown[] }
}

/** Pseudo-type of a function that returns nothing. */
const voidOid = 2278

const decoders = new Map<number, Decode>([
  [voidOid, () => null],
  ...types.flatMap(([oid, arrayOid, decode]): [number, Decode][] => [
    [oid, decode],
    [arrayOid, (text) => arrayParser(text, decode).parse()],
  ]),
])

/** First oid of user-defined types, such as enums, which are read as text. */
const firstUserOid = 16_384

/** The decoder of a column's type. For an unsupported type, one that throws. */
export function decoderOf(oid: number): Decode {
  const known = decoders.get(oid)
  if (known) return known
  if (oid >= firstUserOid) return same
  return () => {
    throw new Error(`a column has the unsupported type ${oid}; cast it in the statement`)
  }
}
