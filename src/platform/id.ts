/**
 * Ids: a UUIDv7 inside, printed as a TypeID (`proj_…`, specification v0.3 of jetify-com/typeid) where a door wants it.
 * Creation order is id order, so that a list needs no other stable key.
 */
import { parse, stringify, v7, validate } from 'uuid'

/** Type prefixes, one for each thing that has a public id. */
export const prefixes = {
  Organization: 'org',
  User: 'usr',
  ApiKey: 'key',
  Server: 'srv',
  Project: 'proj',
  Environment: 'env',
  WebService: 'svc',
  Deployment: 'dep',
  Instance: 'inst',
  EnvVar: 'var',
  Secret: 'sec',
  SecretBinding: 'bind',
  WebhookEndpoint: 'wh',
  WebhookMessage: 'evt',
  WebhookAttempt: 'att',
  Operation: 'op',
} as const

export type IdType = keyof typeof prefixes

const typeByPrefix = new Map<string, IdType>(Object.entries(prefixes).map(([type, prefix]) => [prefix, type as IdType]))

export const newId = (): string => v7()

/** The id that no row has. A malformed id decodes to it, so that it answers exactly as an unknown one. */
export const unknownId = '00000000-0000-0000-0000-000000000000'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const digit = new Map([...alphabet].map((char, index) => [char, BigInt(index)]))

/** UUID -> TypeID. */
export function encodeId(type: IdType, uuid: string): string {
  let value = BigInt(`0x${uuid.replaceAll('-', '')}`)
  let text = ''
  for (let index = 0; index < 26; index++) {
    text = alphabet[Number(value & 31n)] + text
    value >>= 5n
  }
  return `${prefixes[type]}_${text}`
}

/** TypeID -> its type and UUID; null when it is malformed or its prefix is unknown. */
export function parseTypeId(text: string): { type: IdType; uuid: string } | null {
  const match = /^([a-z]+)_([0-7][0-9a-hjkmnp-tv-z]{25})$/.exec(text)
  const type = match && typeByPrefix.get(match[1]!)
  if (!match || !type) return null
  let value = 0n
  for (const char of match[2]!) value = (value << 5n) | digit.get(char)!
  const hex = value.toString(16).padStart(32, '0')
  return { type, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') }
}

/** A TypeID of that type or a plain UUID -> UUID; anything else gives `unknownId`. */
export function decodeId(type: IdType, text: unknown): string {
  if (typeof text !== 'string') return unknownId
  if (validate(text)) return stringify(parse(text))
  const parsed = parseTypeId(text)
  return parsed?.type === type ? parsed.uuid : unknownId
}
