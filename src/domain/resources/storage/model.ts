/** Rules of buckets and keys. Pure. */
import { randomBytes, randomInt } from 'node:crypto'
import { z } from 'zod'
import type { StorageKey } from '../../../generated/prisma/client.ts'
import { optionalText } from '../../../platform/name.ts'

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

/** Prefixes and suffixes that S3 reserves. */
const reservedName = /^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3)$/

/** S3's rules without dots, because a bucket's name is also a label of a host name. */
export const bucketNameSchema = z
  .string()
  .min(3, { error: 'must be at least 3 characters' })
  .max(63, { error: 'must be at most 63 characters' })
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
    error: 'must contain only lowercase letters, digits and hyphens, and must not begin or end with a hyphen',
  })
  .refine((name) => !reservedName.test(name), { error: 'must not have a prefix or suffix that S3 reserves, such as xn-- or -s3alias' })

/** What a key permits. None of these includes another one. */
export type StoragePermissions = { read: boolean; write: boolean; delete: boolean; admin: boolean }

const permission = z.boolean().nullish()
const permissionsText = 'must be an object with the fields read, write, delete and admin, or a list of these words'

export const permissionsSchema = z
  .object(
    { read: permission, write: permission, delete: permission, admin: permission },
    {
      // The words are what the REST API offers. An absent value has the usual message.
      error: ({ input }) => (input === undefined || input === null ? undefined : permissionsText),
    },
  )
  .transform(({ read, write, delete: remove, admin }): StoragePermissions => {
    return { read: read ?? true, write: write ?? false, delete: remove ?? false, admin: admin ?? false }
  })
  .refine((permissions) => Object.values(permissions).includes(true), { error: 'at least one permission must be true' })

export const permissionsOf = (key: Pick<StorageKey, 'canRead' | 'canWrite' | 'canDelete' | 'canAdmin'>): StoragePermissions => ({
  read: key.canRead,
  write: key.canWrite,
  delete: key.canDelete,
  admin: key.canAdmin,
})

export type CorsRule = {
  allowedOrigins: string[]
  allowedMethods: string[]
  allowedHeaders: string[]
  exposeHeaders: string[]
  maxAgeSeconds: number | null
}

const corsMethods = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const
const some = { error: 'must not be empty' }
const most = (items: number) => ({ error: `must have at most ${items} items` })
const wildcards = (text: string) => text.split('*').length - 1
const oneWildcard = { error: 'must contain at most one *' }

const origin = z
  .string()
  .max(255, { error: 'must be at most 255 characters' })
  .regex(/^[!-~]+$/, { error: 'must be * or an origin such as https://example.com' })
  .refine((text) => wildcards(text) <= 1, oneWildcard)
const headerName = (characters: RegExp) =>
  z
    .string()
    .max(255, { error: 'must be at most 255 characters' })
    .regex(characters, { error: 'must be the name of a header' })
    .refine((text) => wildcards(text) <= 1, oneWildcard)

/** Within S3's bounds for a CORS configuration. */
export const corsRulesSchema = z
  .array(
    z
      .object({
        allowedOrigins: z.array(origin).min(1, some).max(50, most(50)),
        allowedMethods: z
          .array(z.enum(corsMethods, { error: `must be ${corsMethods.slice(0, -1).join(', ')} or ${corsMethods.at(-1)}` }))
          .min(1, some)
          .max(5, most(5))
          .nullish(),
        allowedHeaders: z
          .array(headerName(/^[\w!#$%&'*+.^`|~-]+$/))
          .max(50, most(50))
          .nullish(),
        exposeHeaders: z
          .array(headerName(/^[\w!#$%&'+.^`|~-]+$/))
          .max(50, most(50))
          .nullish(),
        maxAgeSeconds: z.number().int().min(0).max(86_400).nullish(),
      })
      .transform(({ allowedOrigins, allowedMethods, allowedHeaders, exposeHeaders, maxAgeSeconds }): CorsRule => {
        const methods = allowedMethods ?? ['GET', 'HEAD']
        return {
          ...{ allowedOrigins, allowedMethods: methods },
          ...{ allowedHeaders: allowedHeaders ?? [], exposeHeaders: exposeHeaders ?? [], maxAgeSeconds: maxAgeSeconds ?? null },
        }
      }),
  )
  .max(20, most(20))

export const cacheControlSchema = optionalText(255).regex(/^[ -~]*$/, { error: 'must contain only printable ASCII characters' })
