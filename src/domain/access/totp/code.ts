/** One-time passwords by RFC 6238 with SHA-1, 6 digits and steps of 30 s, which every authenticator app knows, and recovery codes. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export const stepSeconds = 30
/** Steps before and after the current one whose codes are accepted, for clocks that differ and people who type slowly. */
const tolerance = 1
const secretBytes = 20
const digits = 6

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** Base32 (RFC 4648) in lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let [value, bits] = [0, 0]
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    for (; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31]
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31]
}

export const newSecret = (): Buffer => randomBytes(secretBytes)

/** The URL that authenticator apps read from a QR code. */
export function otpauthUrl(secret: Uint8Array, email: string): string {
  const parameters = {
    secret: base32(secret).toUpperCase(),
    issuer: 'Quayside',
    algorithm: 'SHA1',
    digits: String(digits),
    period: String(stepSeconds),
  }
  return `otpauth://totp/Quayside:${encodeURIComponent(email)}?${new URLSearchParams(parameters)}`
}

export function codeAt(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  const number = mac.readUInt32BE(mac[mac.length - 1]! & 15) & 0x7fffffff
  return String(number % 10 ** digits).padStart(digits, '0')
}

/** The step after `lastStep`, and near the current one, that a code belongs to. Null if there is none. Takes the same time for every code. */
export function stepOf(secret: Uint8Array, code: string, currentStep: number, lastStep: number): number | null {
  let found: number | null = null
  for (let step = currentStep - tolerance; step <= currentStep + tolerance; step++) {
    const expected = Buffer.from(codeAt(secret, step))
    const given = Buffer.from(code)
    if (given.length === expected.length && timingSafeEqual(given, expected) && step > lastStep) found ??= step
  }
  return found
}

const recoveryCodes = 8
const recoveryBytes = 10

/** New recovery codes of 80 random bits, as `abcd-efgh-ijkl-mnop`. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: recoveryCodes }, () => base32(randomBytes(recoveryBytes)).replaceAll(/(.{4})(?=.)/g, '$1-'))

/** A recovery code can't be guessed from its hash, so the hash need not be slow. */
export const hashRecoveryCode = (code: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    createHash('sha256')
      .update(code.toLowerCase().replaceAll(/[^a-z2-7]/g, ''))
      .digest(),
  )

/** Codes of authenticator apps may be typed in groups. */
export const oneTimePassword = (text: string): string | null => /^\d{6}$/.exec(text.replaceAll(/\s/g, ''))?.[0] ?? null
