/**
 * Caches what a credential identifies, such as a caller, for a second, so that a busy client costs one lookup per second instead of one per
 * request. The cache is cleared by the wake-up `credentials`, which every change of a key or a membership sends to all processes; should that
 * be lost, entries expire within the second. An entry never outlives its credential.
 */
import { hash } from 'node:crypto'
import type { Wake } from './db/wake.ts'
import type { AddressLimit } from './rate-limit/index.ts'

/** `expiresInMs` is the remaining validity by the database's clock; null if the credential doesn't expire. */
export type Credential<Holder> = { holder: Holder; expiresInMs: number | null }

const rememberedMs = 1_000
const most = 10_000

type Remembered<Holder> = { holder: Holder; untilMs: number }

/**
 * Wraps a lookup. Unknown credentials (null) are never cached. Requests that arrive during a lookup share its result or its failure. A
 * cached holder is returned at once, not as a promise.
 *
 * `failures` limits the lookups of unknown credentials by client address: beyond it, `rate_limited` is thrown without a lookup. A credential
 * that was valid when it was last looked up is not limited, whatever else comes from its address.
 */
export function cacheCredentials<Holder>(
  app: { wake: Pick<Wake, 'on'> },
  lookUp: (credential: string) => Promise<Credential<Holder> | null>,
  failures: AddressLimit | null = null,
): (credential: string) => Holder | Promise<Holder | null> {
  const remembered = new Map<string, Remembered<Holder>>()
  const underWay = new Map<string, Promise<Holder | null>>()
  /** Whether credentials were valid when they were last looked up. */
  const outcomes = new Map<string, boolean>()

  // A lookup that began before the change may return the former state: it is no longer shared and won't be cached.
  app.wake.on('credentials', () => {
    remembered.clear()
    underWay.clear()
  })

  const find = (credential: string, key: string): Promise<Holder | null> => {
    const found = lookUp(credential).then((known) => {
      if (known && underWay.get(key) === found) remember(key, known)
      return known?.holder ?? null
    })
    underWay.set(key, found)
    const end = () => {
      if (underWay.get(key) === found) underWay.delete(key)
    }
    found.then(end, end)
    return found
  }

  const remember = (key: string, { holder, expiresInMs }: Credential<Holder>) => {
    if (remembered.size >= most) remembered.delete(remembered.keys().next().value!)
    remembered.set(key, { holder, untilMs: performance.now() + Math.min(rememberedMs, expiresInMs ?? rememberedMs) })
  }

  const note = (key: string, isValid: boolean) => {
    outcomes.delete(key)
    outcomes.set(key, isValid)
    if (outcomes.size > most) outcomes.delete(outcomes.keys().next().value!)
  }

  return (credential) => {
    // Only hashes are kept, so that no credential stays in memory, and the time of a look-up says nothing about one.
    const key = hash('sha256', credential, 'base64')
    const known = remembered.get(key)
    if (known && performance.now() < known.untilMs) return known.holder
    remembered.delete(key)
    if (!failures) return underWay.get(key) ?? find(credential, key)
    const wasValid = outcomes.get(key)
    if (!wasValid) failures.demand(wasValid === false)
    return (underWay.get(key) ?? find(credential, key)).then((holder) => {
      if (holder === null) failures.count()
      note(key, holder !== null)
      return holder
    })
  }
}
