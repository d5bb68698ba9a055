import { createHash, hash, randomBytes } from 'node:crypto'
import type { ApiKeyKind } from '../../../generated/prisma/client.ts'

/** Prefix of the keys of each API. */
export const keyPrefixes: Record<Exclude<ApiKeyKind, 'BRIDGE'>, string> = {
  PLATFORM: 'ak_live_',
  OEC: 'oec_live_',
  OCORE: 'ocore_k_',
}

/** Length of a key that Quayside generated, after the prefix: 43 characters of base64url (256 bits) and 8 of checksum. Keys of former systems have other lengths. */
const ownBody = 51
const checksumLength = 8
const body = /^[A-Za-z0-9_-]{8,200}$/

const checksum = (text: string) => hash('sha256', text, 'base64url').replaceAll(/[_-]/g, 'x').slice(0, checksumLength)

/** A new key: prefix, 256 random bits, checksum. */
export function generateKey(prefix: string): string {
  const random = prefix + randomBytes(32).toString('base64url')
  return random + checksum(random)
}

/**
 * Whether a text has the form of a key, which needs no database: a known prefix, 8 to 200 URL-safe characters and, if it has the
 * length of a generated key, a correct checksum.
 */
export function wellFormedKey(text: string): boolean {
  const prefix = Object.values(keyPrefixes).find((word) => text.startsWith(word))
  if (!prefix) return false
  const rest = text.slice(prefix.length)
  if (!body.test(rest)) return false
  return rest.length !== ownBody || checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
}

/** Hash under which a key is stored. */
export const hashKey = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(createHash('sha256').update(text).digest())

/** First characters of a key, which are enough to recognize it and too few to use it. */
export const shownPrefix = (text: string): string => text.slice(0, 12)
