/**
 * Caches the caller of a credential for a second, so that a busy client costs one lookup per second instead of one per request. The cache is
 * cleared by the wake-up `credentials`, which every change of a key or a membership sends to all processes; should that be lost, entries
 * expire within the second. An entry never outlives its credential.
 */
import { createHash } from 'node:crypto'
import type { Caller } from './access.ts'
import type { Wake } from './db/wake.ts'

/** `expiresInMs` is the remaining validity by the database's clock; null if the credential doesn't expire. */
export type Credential = { caller: Caller; expiresInMs: number | null }

const rememberedMs = 1_000
const most = 10_000

type Remembered = { caller: Caller; untilMs: number }

/**
 * Wraps a lookup. Unknown credentials (null) are never cached. Requests that arrive during a lookup share its result or its failure.
 */
export function cacheCredentials(
  app: { wake: Pick<Wake, 'on'> },
  lookUp: (credential: string) => Promise<Credential | null>,
): (credential: string) => Promise<Caller | null> {
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, Promise<Caller | null>>()

  // A lookup that began before the change may return the former state: it is no longer shared and won't be cached.
  app.wake.on('credentials', () => {
    remembered.clear()
    underWay.clear()
  })

  const find = (credential: string, hash: string): Promise<Caller | null> => {
    const found = lookUp(credential).then((known) => {
      if (known && underWay.get(hash) === found) remember(hash, known)
      return known?.caller ?? null
    })
    underWay.set(hash, found)
    const end = () => {
      if (underWay.get(hash) === found) underWay.delete(hash)
    }
    found.then(end, end)
    return found
  }

  const remember = (hash: string, { caller, expiresInMs }: Credential) => {
    if (remembered.size >= most) remembered.delete(remembered.keys().next().value!)
    remembered.set(hash, { caller, untilMs: performance.now() + Math.min(rememberedMs, expiresInMs ?? rememberedMs) })
  }

  return async (credential) => {
    const hash = createHash('sha256').update(credential).digest('base64')
    const known = remembered.get(hash)
    if (known && performance.now() < known.untilMs) return known.caller
    remembered.delete(hash)
    return underWay.get(hash) ?? find(credential, hash)
  }
}
