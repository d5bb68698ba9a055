/** URLs and addresses that requests may be sent to. */
import { EgressError, type EgressGuard } from '../../platform/egress.ts'
import { Failure } from './failure.ts'

export type Target = {
  url: URL
  host: string
  addresses: { address: string; family: 4 | 6 }[]
  /** The same for targets with the same addresses, in any order. */
  addressKey: string
}

/** Targets kept. Beyond it, the oldest are dropped. */
const maxKept = 1_000

/**
 * Checks URLs as `checkTarget` does. A result is used again for `keepMs` from the start of its check, so that the requests of a busy endpoint
 * share one lookup. A connection still goes to exactly the addresses that were checked. Refusals and failures are not kept.
 */
export function createTargets(guard: EgressGuard, keepMs: number): (url: string) => Promise<Target> {
  const kept = new Map<string, { target: Promise<Target>; until: number }>()
  return (url) => {
    const known = kept.get(url)
    const now = performance.now()
    if (known && now < known.until) return known.target
    const target = checkTarget(guard, url)
    const entry = { target, until: now + keepMs }
    kept.delete(url)
    kept.set(url, entry)
    if (kept.size > maxKept) kept.delete(kept.keys().next().value!)
    target.catch(() => {
      if (kept.get(url) === entry) kept.delete(url)
    })
    return target
  }
}

/**
 * Checks a URL, resolving its name once. Allows https to public addresses; http and the well-known ports of other protocols only to
 * addresses in EGRESS_ALLOW. Throws a Failure of class `dns` or `blocked`, or the original EgressError if the resolver failed. Has no
 * timeout of its own.
 */
export async function checkTarget(guard: EgressGuard, text: string): Promise<Target> {
  const url = parseTarget(text)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const addresses = await resolve(guard, host)
  if (!guard.isExempt(addresses)) {
    if (url.protocol === 'http:') throw blocked('Plain http is allowed only for addresses in EGRESS_ALLOW. Use https.')
    const port = Number(url.port || 443)
    if (port < 1024 && port !== 443 && port !== 80) {
      throw blocked(`Port ${port} belongs to another protocol. It is allowed only for addresses in EGRESS_ALLOW.`)
    }
  }
  const addressKey = addresses
    .map(({ address }) => address)
    .toSorted()
    .join()
  return { url, host, addresses, addressKey }
}

function parseTarget(text: string): URL {
  // The URL parser drops tabs and line breaks, and finds a host behind any number of slashes.
  if (/[\p{Cc}\s]/u.test(text)) throw blocked('The URL contains whitespace or a control character.')
  if (!/^https?:/i.test(text)) throw blocked('The URL must begin with https://.')
  if (!/^https?:\/\/[^/\\?#]/i.test(text) || !URL.canParse(text)) throw blocked('The URL does not have a valid host.')
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') throw blocked('The URL must not contain a user name or password.')
  if (url.port === '0') throw blocked('Port 0 is not allowed.')
  return url
}

async function resolve(guard: EgressGuard, host: string) {
  try {
    return await guard.resolve(host)
  } catch (error) {
    if (error instanceof EgressError && error.reason !== 'resolver') throw new Failure(error.reason, error.message, { cause: error })
    throw error
  }
}

function blocked(message: string): Failure {
  return new Failure('blocked', message)
}
