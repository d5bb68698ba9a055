/**
 * Caches the caller of a credential for a second, so that a busy client costs one lookup per second instead of one per request. The cache is
 * cleared by the wake-up `credentials`, which every change of a key or a membership sends to all processes; should that be lost, entries
 * expire within the second. An entry never outlives its credential.
 */
import { hash } from 'node:crypto'
import type { Caller } from './access.ts'
import type { Wake } from './db/wake.ts'

/** `expiresInMs` is the remaining validity by the database's clock; null if the credential doesn't expire. */
export type Credential = { caller: Caller; expiresInMs: number | null }

const rememberedMs = 1_000
const most = 10_000

type Remembered = { caller: Caller; untilMs: number }

/**
 * Wraps a lookup. Unknown credentials (null) are never cached. Requests that arrive during a lookup share its result or its failure. A
 * cached caller is returned at once, not as a promise.
 */
export function cacheCredentials(
  app: { wake: Pick<Wake, 'on'> },
  lookUp: (credential: string) => Promise<Credential | null>,
): (credential: string) => Caller | Promise<Caller | null> {
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, Promise<Caller | null>>()

  // A lookup that began before the change may return the former state: it is no longer shared and won't be cached.
  app.wake.on('credentials', () => {
    remembered.clear()
    underWay.clear()
  })

  const find = (credential: string, key: string): Promise<Caller | null> => {
    const found = lookUp(credential).then((known) => {
      if (known && underWay.get(key) === found) remember(key, known)
      return known?.caller ?? null
    })
    underWay.set(key, found)
    const end = () => {
      if (underWay.get(key) === found) underWay.delete(key)
    }
    found.then(end, end)
    return found
  }

  const remember = (key: string, { caller, expiresInMs }: Credential) => {
    if (remembered.size >= most) remembered.delete(remembered.keys().next().value!)
    remembered.set(key, { caller, untilMs: performance.now() + Math.min(rememberedMs, expiresInMs ?? rememberedMs) })
  }

  return (credential) => {
    // Only hashes are kept, so that no credential stays in memory, and the time of a look-up says nothing about one.
    const key = hash('sha256', credential, 'base64')
    const known = remembered.get(key)
    if (known && performance.now() < known.untilMs) return known.caller
    remembered.delete(key)
    return underWay.get(key) ?? find(credential, key)
  }
}
