/**
 * Signed names of mails, in return paths, Message-IDs and tracking links: whoever has one has seen the mail. They contain only digits and
 * lower-case letters, because servers may change the case of an address.
 */
import { createHash } from 'node:crypto'
import type { Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'

const idBytes = 16
const macBytes = 10
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** `null` as the organization of a mail belongs to the installation, whose keys are stored under the nil UUID. */
export const keyOwner = (organizationId: string | null): string => organizationId ?? nilId

/** Signs texts for the installation, so that a forged one is refused without looking anything up. */
export async function signatureOf(app: App, tx: Tx, text: string): Promise<Buffer> {
  return Buffer.from(await app.keyring.fingerprint(tx, nilId, text), 'hex')
}

/** The token of a mail: 42 characters. */
export async function tokenOf(app: App, tx: Tx, mailId: string): Promise<string> {
  const id = Buffer.from(mailId.replaceAll('-', ''), 'hex')
  return encode(Buffer.concat([id, (await signatureOf(app, tx, `mail ${mailId}`)).subarray(0, macBytes)]))
}

/** The id of the mail that a token names. Null for anything else. */
export async function mailOfToken(app: App, tx: Tx, token: string): Promise<string | null> {
  const bytes = decode(token.toLowerCase())
  if (bytes?.length !== idBytes + macBytes) return null
  const hex = bytes.subarray(0, idBytes).toString('hex')
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  const expected = (await signatureOf(app, tx, `mail ${id}`)).subarray(0, macBytes)
  return isEqual(bytes.subarray(idBytes), expected) ? id : null
}

/** Compares digests, so that the time says nothing about the expected value. */
export const isEqual = (one: Uint8Array, other: Uint8Array): boolean => digest(one) === digest(other)
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function encode(bytes: Buffer): string {
  let [text, bits, held] = ['', 0, 0]
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 31]
  }
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text
}

function decode(text: string): Buffer | null {
  const bytes: number[] = []
  let [bits, held] = [0, 0]
  for (const char of text) {
    const value = alphabet.indexOf(char)
    if (value < 0) return null
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((held >> bits) & 255)
  }
  return Buffer.from(bytes)
}
