/**
 * What calls that wait or run hold in memory: the bytes of their arguments, bounded for the process and for each account, so that an account
 * with many large calls is refused before others are. Each process counts for itself.
 */
import { errors } from '../../../platform/errors.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'

const megabyte = 1_000_000
export const maxBytes = 64 * megabyte
export const maxBytesOfAccount = 16 * megabyte

const loadOf = perApp(() => ({ bytes: 0, byAccount: new Map<string, number>() }))

/** Counts a call until the returned function is called. Throws `rate_limited` if the calls that are counted leave no room for it. */
export function holdBytes(app: App, accountId: string, bytes: number): () => void {
  const load = loadOf(app)
  const ofAccount = load.byAccount.get(accountId) ?? 0
  if (ofAccount + bytes > maxBytesOfAccount) throw tooMuch('of an Odoo account', maxBytesOfAccount)
  if (load.bytes + bytes > maxBytes) throw tooMuch('of all Odoo accounts', maxBytes)
  load.bytes += bytes
  load.byAccount.set(accountId, ofAccount + bytes)
  return () => {
    load.bytes -= bytes
    const rest = load.byAccount.get(accountId)! - bytes
    if (rest > 0) load.byAccount.set(accountId, rest)
    else load.byAccount.delete(accountId)
  }
}

const tooMuch = (whose: string, most: number) =>
  errors.rate_limited({
    text: `The calls ${whose} that wait or run have at most ${most / megabyte} MB of arguments together. Retry in 1 s.`,
    details: { limit: 'bytesOfCalls', maximum: most, retryAfterSeconds: 1 },
  })

/** What a value, a key or a list takes beside its text. */
const bytesOfValue = 16

/** The size of plain JSON values in memory, at least that of their text. */
export function bytesOf(value: unknown): number {
  let bytes = 0
  const left = [value]
  while (left.length > 0) {
    const next = left.pop()
    bytes += bytesOfValue
    if (typeof next === 'string') bytes += Buffer.byteLength(next)
    else if (Array.isArray(next)) for (const item of next) left.push(item)
    else if (typeof next === 'object' && next !== null) for (const [name, item] of Object.entries(next)) left.push(name, item)
  }
  return bytes
}
