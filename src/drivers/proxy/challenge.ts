/** Answers to HTTP-01 challenges of certificate authorities (RFC 8555, section 8.3). */
import { answer, type Exchange } from './exchange.ts'

/** Finds the answer to a challenge of an open order for a host. Null if there is none. */
export type ChallengeLookup = (host: string, token: string) => Promise<string | null>

const prefix = '/.well-known/acme-challenge/'
const tokenForm = /^[\w-]{1,200}$/

/** Nothing below a token: a service could resolve `..`, and such paths are not redirected to HTTPS. */
export const isChallengePath = (path: string): boolean => path.startsWith(prefix) && tokenForm.test(path.slice(prefix.length))

/** Anybody can request any token, and each takes a look-up in the database. */
const maxLookups = 16

/** Returns whether it has answered. Any other token than that of an open order is left to the service, which may order certificates itself. */
export function createChallengeAnswers(find: ChallengeLookup | undefined): (exchange: Exchange, host: string) => Promise<boolean> {
  let running = 0
  return async (exchange, host) => {
    const { request, response } = exchange
    const token = exchange.path.slice(prefix.length)
    if (find === undefined || request.method !== 'GET' || exchange.upgrade !== null || !/^[\w-]{16,200}$/.test(token)) return false
    if (running >= maxLookups) {
      answer(exchange, 'challenge_unavailable', { 'Retry-After': '1' })
      return true
    }
    running += 1
    const found = await find(host, token)
      .catch(() => undefined)
      .finally(() => {
        running -= 1
      })
    if (found === null) return false
    if (found === undefined) answer(exchange, 'challenge_unavailable', { 'Retry-After': '1' })
    else {
      response.writeHead(200, {
        'Content-Type': 'application/octet-stream',
        'Content-Length': Buffer.byteLength(found),
        'Cache-Control': 'no-store',
      })
      response.end(found)
      request.resume()
    }
    return true
  }
}
