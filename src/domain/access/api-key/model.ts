import { createHash, randomBytes } from 'node:crypto'
import type { ApiKeyKind } from '../../../generated/prisma/client.ts'

/** The word that each face's keys begin with. */
export const keyPrefixes: Record<Exclude<ApiKeyKind, 'BRIDGE'>, string> = {
  PLATFORM: 'ak_live_',
  OEC: 'oec_live_',
  OCORE: 'ocore_k_',
}

/** Characters of a key of our own: 43 of base64url (256 bits) and 8 of checksum. No former system used this length. */
const ownBody = 51
const checksumLength = 8
const body = /^[A-Za-z0-9_-]{8,200}$/

const checksum = (text: string) => createHash('sha256').update(text).digest('base64url').replaceAll(/[_-]/g, 'x').slice(0, checksumLength)

/** A new key: prefix, 256 random bits, checksum. */
export function generateKey(prefix: string): string {
  const random = prefix + randomBytes(32).toString('base64url')
  return random + checksum(random)
}

/**
 * Whether a text can be a key at all, judged without the database: a known prefix, URL-safe characters, 8 to 200 of them, and
 * for one of our own length the checksum.
 */
export function wellFormedKey(text: string): boolean {
  const prefix = Object.values(keyPrefixes).find((word) => text.startsWith(word))
  if (!prefix) return false
  const rest = text.slice(prefix.length)
  if (!body.test(rest)) return false
  return rest.length !== ownBody || checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
}

/** What is stored of a key. */
export const hashKey = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(createHash('sha256').update(text).digest())

/** What lists show: enough to recognise a key, too little to use it. */
export const shownPrefix = (text: string): string => text.slice(0, 12)
