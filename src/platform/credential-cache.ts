/**
 * Whom a credential stands for, remembered for a moment, so that a busy client costs one look-up a second and not one a request.
 * What is remembered is forgotten at the wake-up `credentials`, which every change of a key or a membership sends to all
 * processes, and after a second where that wake-up is lost; and never outlives the credential itself.
 */
import { createHash } from 'node:crypto'
import type { Caller } from './access.ts'
import type { Wake } from './db/wake.ts'

/** `expiresInMs`: how long the credential holds from now on, by the database's clock; null: for good. */
export type Credential = { caller: Caller; expiresInMs: number | null }

const rememberedMs = 1_000
const most = 10_000

type Remembered = { caller: Caller; untilMs: number }

/**
 * Wraps a look-up; null, an unknown credential, is never remembered. Requests that come while a look-up is under way share it. The
 * wrapped look-up's failure is thrown to all who wait for it.
 */
export function cacheCredentials(
  app: { wake: Pick<Wake, 'on'> },
  lookUp: (credential: string) => Promise<Credential | null>,
): (credential: string) => Promise<Caller | null> {
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, Promise<Caller | null>>()

  // A look-up that began before the change may have read what was: it is neither shared any more nor remembered.
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
