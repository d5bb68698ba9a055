/** The rules for names and slugs, the same for all objects that have them. */
import { randomInt } from 'node:crypto'
import { z } from 'zod'

/** Text of invisible characters only: white space, joiners, direction marks, fillers. */
const invisible = /^[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]*$/u

/** Display name: 1 to 100 characters without control characters, at least one of them visible. */
export const nameSchema = z
  .string()
  .trim()
  .min(1, { error: 'must not be empty' })
  .max(100, { error: 'must be at most 100 characters' })
  .regex(/^\P{Cc}*$/u, { error: 'must not contain control characters' })
  .refine((name) => name === '' || !invisible.test(name), { error: 'must contain a visible character' })

/** Optional text: null clears it; an empty string is refused as ambiguous. */
export const optionalText = (maxLength: number) =>
  z
    .string()
    .min(1, { error: 'must not be empty; to clear it, set it to null' })
    .max(maxLength, { error: `must be at most ${maxLength} characters` })

/** `[a-z0-9-]{1,50}`, as a host name label: no hyphen at either end. */
export const slugSchema = z
  .string()
  .max(50, { error: 'must be at most 50 characters' })
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
    error: 'must contain only lowercase letters, digits and hyphens, and must not begin or end with a hyphen',
  })

/** Slug of a name: `My App!` becomes `my-app`. Returns `fallback` if no usable character is left. */
export function slugFrom(name: string, fallback: string): string {
  const slug = name
    .normalize('NFKD')
    .replaceAll(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 45)
    .replaceAll(/-+$/g, '')
  return slug || fallback
}

/** The slug with a random suffix `-xxxx`. */
export const slugVariant = (slug: string): string =>
  `${slug.slice(0, 45)}-${randomInt(36 ** 4)
    .toString(36)
    .padStart(4, '0')}`
