/** The text of keys: reads and checks what a user gives, and writes it in the one form that is stored. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import type { Key, PrivateKey } from 'sshpk'
import { errors } from '../../../platform/errors.ts'

/** `publicKey` is the algorithm and the key in base64. */
export type PublicKey = { keyType: string; publicKey: string; fingerprint: string }

/** Loaded when it is first used: few requests need it. */
const sshpk = async () => (await import('sshpk')).default

export const maxKeyLength = 16_384
const rsaBits = { least: 2_048, most: 16_384 }
const accepted = ['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521']

const refused = (field: string, text: string, cause?: unknown) => errors.invalid_input({ field, text: `${field}: ${text}`, cause })

/** Reads one line `<algorithm> <base64> [comment]`. Throws `invalid_input`. */
export async function readPublicKey(text: string): Promise<PublicKey> {
  const [, algorithm, base64] = /^([\w@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})([ \t][^\r\n]*)?$/.exec(text.trim()) ?? []
  if (algorithm === undefined || base64 === undefined)
    throw refused('publicKey', 'must be one line in OpenSSH format, such as ssh-ed25519 AAAA… name@host')
  if (!accepted.includes(algorithm)) throw refused('publicKey', `must be a key of type ${accepted.join(', ')}`)
  let key: Key
  try {
    key = (await sshpk()).parseKey(`${algorithm} ${base64}`, 'ssh')
    // OpenSSL refuses numbers that are no key, such as a point that is not on the curve.
    createPublicKey(key.toString('pkcs8'))
  } catch (cause) {
    throw refused('publicKey', 'is not a valid key', cause)
  }
  const publicKey = lineOf(key)
  // The parser tolerates bytes that are not part of the key. Two texts of one key would then have two fingerprints.
  if (publicKey !== `${algorithm} ${base64}`) throw refused('publicKey', 'is not a valid key')
  if (key.type === 'rsa' && (key.size < rsaBits.least || key.size > rsaBits.most))
    throw refused('publicKey', `must have ${rsaBits.least} to ${rsaBits.most} bits`)
  return { keyType: algorithm, publicKey, fingerprint: key.fingerprint('sha256').toString('base64').replace(/=+$/, '') }
}

/** The secret numbers of a private key, for `privateKeyFile`. Throws `invalid_input` if it is not the private half of the public key. */
export async function readPrivateKey(text: string, { publicKey }: PublicKey): Promise<string> {
  const key = await parsedPrivateKey(text, 'privateKey')
  if (!isPair(key, (await sshpk()).parseKey(publicKey, 'ssh'))) throw refused('privateKey', 'is not the private key of publicKey')
  return secretOf(createPrivateKey(pemOf(key)))
}

/** A private key in any common format, as a file that ssh reads. Throws `invalid_input` about the field. */
export async function normalPrivateKey(text: string, field: string): Promise<string> {
  const key = await parsedPrivateKey(text, field)
  if (!accepted.includes(lineOf(key.toPublic()).split(' ', 1)[0]!)) throw refused(field, `must be a key of type ${accepted.join(', ')}`)
  return key.toString('ssh-private')
}

async function parsedPrivateKey(text: string, field: string): Promise<PrivateKey> {
  const { parsePrivateKey, KeyEncryptedError } = await sshpk()
  try {
    return parsePrivateKey(text.trim(), 'auto')
  } catch (cause) {
    const isEncrypted = cause instanceof KeyEncryptedError
    throw refused(field, isEncrypted ? 'must not be protected by a passphrase' : 'is not a valid private key', cause)
  }
}

/** A new Ed25519 key. */
export async function generateKey(): Promise<PublicKey & { privateKey: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = (await sshpk()).parseKey(publicKey.export({ format: 'pem', type: 'spki' }), 'pem')
  return { ...(await readPublicKey(lineOf(key))), privateKey: secretOf(privateKey) }
}

/** The private key as a file that ssh reads. */
export async function privateKeyFile({ publicKey }: Pick<PublicKey, 'publicKey'>, secret: string): Promise<string> {
  const { parsePrivateKey, parseKey } = await sshpk()
  const known = createPublicKey(parseKey(publicKey, 'ssh').toString('pkcs8')).export({ format: 'jwk' })
  const key = createPrivateKey({ format: 'jwk', key: { ...known, ...JSON.parse(secret) } })
  return parsePrivateKey(key.export({ format: 'pem', type: 'pkcs8' }), 'pem').toString('ssh-private')
}

/** The members of a JWK (RFC 7518, RFC 8037) that are not also in the public key. */
function secretOf(key: KeyObject): string {
  const { d, p, q, dp, dq, qi } = key.export({ format: 'jwk' })
  return JSON.stringify({ d, p, q, dp, dq, qi })
}

/** OpenSSH's format lacks two numbers of RSA keys, which the library adds in PKCS#1 only. That has no Ed25519 keys. */
const pemOf = (key: PrivateKey): string => key.toString(key.type === 'ed25519' ? 'pkcs8' : 'pkcs1')

const lineOf = (key: Key): string => key.toString('ssh').split(' ', 2).join(' ')

/** Whether the public key verifies what the private key signs. The file of a private key also names a public key, which may be any. */
function isPair(privateKey: PrivateKey, publicKey: Key): boolean {
  try {
    const data = randomBytes(32)
    const algorithm = publicKey.type === 'ed25519' ? null : 'sha256'
    const signature = sign(algorithm, data, createPrivateKey(pemOf(privateKey)))
    return (
      lineOf(privateKey.toPublic()) === lineOf(publicKey) &&
      verify(algorithm, data, createPublicKey(publicKey.toString('pkcs8')), signature)
    )
  } catch {
    return false
  }
}
