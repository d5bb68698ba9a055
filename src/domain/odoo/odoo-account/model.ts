/** Rules of accounts. Pure. */
import { z } from 'zod'

/** What the secret of an account is sealed for. */
export const secretIdentity = (id: string) => `odoo_account:${id}:secret`

const noControl = /^\P{Cc}*$/u
const controlText = { error: 'must not contain control characters' }

const text = (max: number) =>
  z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(max, { error: `must be at most ${max} characters` })
    .regex(noControl, controlText)

/** Where Odoo is: `https://erp.example.com`, with a path if it is below one. Without a trailing slash. */
export const urlSchema = text(500)
  .refine((url) => /^https?:\/\/[^/\\?#@\s][^\\\s]*$/i.test(url) && URL.canParse(url), {
    error: 'must be a URL such as https://erp.example.com',
  })
  .refine((url) => !URL.canParse(url) || isBare(new URL(url)), { error: 'must not contain a user, a password, a query or a fragment' })
  .transform((url) => url.replace(/\/+$/, ''))

const isBare = ({ username, password, search, hash }: URL) => `${username}${password}${search}${hash}` === ''

/** PostgreSQL's limit for a name. */
export const databaseSchema = text(63)
export const loginSchema = text(200)
export const secretSchema = text(1_000)
export const transportSchema = z.enum(['JSON_RPC', 'JSON_2'])
