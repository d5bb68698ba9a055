/**
 * Sending side of Standard Webhooks 1.0: secrets as text, and the value of the `webhook-signature` header. Pure.
 * Uses node:crypto, because the signer of the svix package took ten times as long (95 µs for 10 KB).
 */

import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as signBytes,
} from 'node:crypto'

/** `v1` is HMAC-SHA256, `v1a` is Ed25519. A KeyObject, so that the bytes of a key cannot be logged by accident. */
export type SigningKey = { version: 'v1' | 'v1a'; key: KeyObject }

/** The text is not a signing secret. The message says why, without the secret. */
export class SecretFormatError extends Error {
  override readonly name = 'SecretFormatError'
}

/** Generates a symmetric secret: `whsec_` followed by 32 random bytes in base64. */
export function generateSecret(): string {
  return HMAC_PREFIX + randomBytes(32).toString('base64')
}

/** Generates an Ed25519 secret: `whsk_` followed by seed and public key in base64. */
export function generateEd25519Secret(): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
  return ED25519_PREFIX + Buffer.concat([seed, rawPublicKey(privateKey)]).toString('base64')
}

/** The public key, `whpk_` followed by base64. Null for a symmetric key. */
export const publicKeyOf = ({ version, key }: SigningKey): string | null =>
  version === 'v1a' ? PUBLIC_PREFIX + rawPublicKey(key).toString('base64') : null

/** The secret whose key is the UTF-8 bytes of a text, for contracts in which a secret is a text. */
export const secretOfText = (text: string): string => HMAC_PREFIX + Buffer.from(text, 'utf8').toString('base64')

/** Number of bytes that Standard Webhooks allows for a symmetric secret. */
export const symmetricBytes = { least: 24, most: 64 }

/** Parses `whsec_` (24 to 64 bytes) or `whsk_` (Ed25519: seed and public key, 64 bytes). Throws a SecretFormatError. */
export function parseSecret(text: string): SigningKey {
  const key = parseStoredSecret(text)
  const bytes = key.version === 'v1' ? key.key.symmetricKeySize! : symmetricBytes.least
  if (bytes < symmetricBytes.least || bytes > symmetricBytes.most) throw new SecretFormatError('The secret must be 24 to 64 bytes long.')
  return key
}

/** The same for a secret that may be that of a text, and then have any number of bytes. */
export function parseStoredSecret(text: string): SigningKey {
  if (text.startsWith(HMAC_PREFIX)) return { version: 'v1', key: createSecretKey(decodeBase64(text.slice(HMAC_PREFIX.length))) }
  if (text.startsWith(ED25519_PREFIX)) return { version: 'v1a', key: ed25519Key(decodeBase64(text.slice(ED25519_PREFIX.length))) }
  throw new SecretFormatError(`The secret must begin with ${HMAC_PREFIX} or ${ED25519_PREFIX}.`)
}

export type Signable = {
  id: string
  timestampSeconds: number
  /** The exact bytes of the request body. */
  body: Uint8Array
  /** All live keys of the endpoint, newest first. Must not be empty. */
  keys: SigningKey[]
}

/** Returns one signature per key, in their order, separated by spaces. Throws if there are no keys, so that nothing is sent unsigned. */
export function sign({ id, timestampSeconds, body, keys }: Signable): string {
  if (keys.length === 0) throw new Error('There is no key to sign with.')
  const head = `${id}.${timestampSeconds}.`
  return keys.map(({ version, key }) => `${version},${signWith[version](key, head, body).toString('base64')}`).join(' ')
}

const HMAC_PREFIX = 'whsec_'
const ED25519_PREFIX = 'whsk_'
const PUBLIC_PREFIX = 'whpk_'

const signWith: Record<SigningKey['version'], (key: KeyObject, head: string, body: Uint8Array) => Buffer> = {
  v1: (key, head, body) => createHmac('sha256', key).update(head).update(body).digest(),
  v1a: (key, head, body) => signBytes(null, Buffer.concat([Buffer.from(head), body]), key),
}

/** Buffer.from skips invalid characters, so only text that encodes back to itself is accepted. */
function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new SecretFormatError('The secret is not valid base64.')
  return bytes
}

/** PKCS #8 prefix of an Ed25519 seed (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

function ed25519Key(bytes: Buffer): KeyObject {
  if (bytes.length !== 64) throw new SecretFormatError('An ed25519 secret must be 64 bytes long: the seed, then the public key.')
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, bytes.subarray(0, 32)]), format: 'der', type: 'pkcs8' })
  if (!rawPublicKey(key).equals(bytes.subarray(32)))
    throw new SecretFormatError('The public key of the ed25519 secret does not match its seed.')
  return key
}

const rawPublicKey = (privateKey: KeyObject): Buffer => createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)
