/**
 * Passwords: what is accepted (NIST SP 800-63B), and their hashes, argon2id in PHC format. Hashing runs off the event loop, and only a few
 * passwords are hashed at once, because each takes 19 MiB.
 */
import { argon2 as argon2Callback, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { z } from 'zod'
import { errors } from '../../../platform/errors.ts'
import { userErrors } from './errors.ts'

const argon2 = promisify(argon2Callback)

type Cost = { memory: number; passes: number; parallelism: number }

/** Memory in KiB. */
const cost: Cost = { memory: 19_456, passes: 2, parallelism: 1 }
const saltBytes = 16
const hashBytes = 32

const shortest = 8
const longest = 256

/** Any text that might be a password. What a new one must fulfil is checked by `demandAcceptable`. */
export const passwordSchema = z.string().min(1).max(longest)

/** Equal for all ways to type the same characters. */
const normalized = (password: string): string => password.normalize('NFKC')

/** Throws `invalid_input` for a new password that is too short or too long, and `password_too_common` for one that is easily guessed. */
export async function demandAcceptable(password: string, email: string, field: string): Promise<void> {
  const text = normalized(password)
  const { length } = [...text]
  if (length < shortest || length > longest)
    throw errors.invalid_input({ field, text: `${field}: must have ${shortest} to ${longest} characters` })
  const lower = text.toLowerCase()
  const names = [email, email.split('@', 1)[0]!]
  if (names.includes(lower)) throw userErrors.password_too_common({ field, text: `${field}: must not be the email address` })
  if (await isCommon(lower)) throw userErrors.password_too_common({ field, text: `${field}: is one of the most common passwords` })
}

/** The list is searched as text, so that it stays in memory only meanwhile. */
async function isCommon(lower: string): Promise<boolean> {
  const path = createRequire(import.meta.url).resolve('@zxcvbn-ts/language-common/src/passwords.json')
  return (await readFile(path, 'utf8')).includes(JSON.stringify(lower))
}

/** The hash to store for a password. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes)
  return phcOf(cost, salt, await derive(password, salt, cost, hashBytes))
}

export type Verified = {
  isRight: boolean
  /** Whether the hash was made with less effort than new ones, so that the password should be hashed again. */
  isOutdated: boolean
}

/** Takes as long without a hash, for a user who does not exist or has no password: the password is then wrong. */
export async function verifyPassword(password: string, stored: string | null): Promise<Verified> {
  const { salt, hash, ...used } = parsePhc(stored ?? decoy)
  const isRight = timingSafeEqual(await derive(password, salt, used, hash.length), hash) && stored !== null
  return { isRight, isOutdated: used.memory < cost.memory || used.passes < cost.passes }
}

const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')

const phcOf = ({ memory, passes, parallelism }: Cost, salt: Buffer, hash: Buffer): string =>
  `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`

/** No password has this hash. */
const decoy = phcOf(cost, Buffer.alloc(saltBytes), Buffer.alloc(hashBytes))

function parsePhc(text: string): Cost & { salt: Buffer; hash: Buffer } {
  const [, memory, passes, parallelism, salt, hash] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(text) ?? []
  if (!salt || !hash) throw new Error('a stored password hash has an unknown format')
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
}

const derive = (password: string, salt: Buffer, { memory, passes, parallelism }: Cost, length: number): Promise<Buffer> =>
  inTurn(() => argon2('argon2id', { message: normalized(password), nonce: salt, memory, passes, parallelism, tagLength: length }))

/** Half of the threads of libuv, which files and DNS share. */
const mostAtOnce = 2
const mostWaiting = 60
let running = 0
const waiting: (() => void)[] = []

/** Runs `work` as soon as it is its turn. Throws `unavailable` if too many are waiting. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= mostAtOnce) {
    if (waiting.length >= mostWaiting)
      throw errors.unavailable({ text: 'Too many people are signing in at the moment. Retry later.', details: { retryAfterSeconds: 2 } })
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else running++
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
