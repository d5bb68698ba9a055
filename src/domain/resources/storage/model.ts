import { randomBytes, randomInt } from 'node:crypto'

export type StoragePermissions = { read: boolean; write: boolean; delete: boolean; admin: boolean }

export type CorsRule = {
  allowedOrigins: string[]
  allowedMethods: string[]
  allowedHeaders: string[]
  exposeHeaders: string[]
  maxAgeSeconds: number | null
}

/** What the secret access key of a key is sealed for. */
export const secretIdentity = (id: string) => `storage_key:${id}:secret`

const idCharacters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** A new key in the form of AWS: an id of 20 upper-case letters and digits, and a secret of 40 characters that need no escapes in a URL. */
export const generateAccessKey = (): { accessKeyId: string; secretAccessKey: string } => ({
  accessKeyId: `QS${Array.from({ length: 18 }, () => idCharacters[randomInt(idCharacters.length)]).join('')}`,
  secretAccessKey: randomBytes(30).toString('base64url'),
})

/** Whether a text has the form of an access key ID, which needs no database. */
export const isAccessKeyId = (text: string): boolean => /^QS[A-Z2-7]{18}$/.test(text)
