/** AES-256-GCM with an identity as additional data: `iv | ciphertext | tag`. Callers choose the key and the identity. */
import { type CipherKey, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

export const ivBytes = 12
export const tagBytes = 16

export function encrypt(key: CipherKey, plain: Buffer, identity: string): Uint8Array<ArrayBuffer> {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(identity))
  return joined(iv, cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

/** Throws if the ciphertext was modified, or if the key or the identity differs. */
export function decrypt(key: CipherKey, sealed: Buffer, identity: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(identity)).setAuthTag(sealed.subarray(-tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(ivBytes, -tagBytes)), decipher.final()])
}

/** Concatenates into a new ArrayBuffer, as Prisma's types require. */
export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
