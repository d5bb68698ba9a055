/** Where a request carries its credential; the one reader for every door. What a credential is worth is decided by `authenticate`. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from './access.ts'

/** The caller that a credential identifies, or null if it is not valid. A promise only if it has to be looked up. */
export type Authenticated = Caller | null | Promise<Caller | null>

/**
 * The credential of HTTP headers, from `Authorization: Bearer` or `X-API-Key`; null if there is none. Authorization takes precedence, and
 * a malformed one is refused rather than skipped.
 */
export const credentialOfHeaders = (headers: IncomingHttpHeaders): string | null => credentialOf(headers, ['x-api-key']) ?? null

/**
 * The credential of a WebSocket: from its connectionParams, named `authorization`, `apiKey` or `x-api-key` in any case, otherwise from the
 * headers of the upgrade request. Params that name a malformed credential are refused: the headers don't count then.
 */
export function credentialOfSocket(params: Readonly<Record<string, unknown>> | undefined, headers: IncomingHttpHeaders): string | null {
  const credential = credentialOf(params ?? {}, ['apikey', 'x-api-key'])
  return credential === undefined ? credentialOfHeaders(headers) : credential
}

/** Null for a malformed or ambiguous credential, undefined if the fields name none. */
function credentialOf(fields: Readonly<Record<string, unknown>>, keyNames: readonly string[]): string | null | undefined {
  const given = Object.keys(fields)
  const named = (name: string) =>
    given.filter((field) => field.length === name.length && field.toLowerCase() === name && fields[field] !== undefined)
  for (const name of ['authorization', ...keyNames]) {
    const [field, ...others] = named(name)
    if (field === undefined) continue
    const value = others.length === 0 ? fields[field] : null
    return typeof value !== 'string' ? null : name === 'authorization' ? bearerOf(value) : value || null
  }
  return undefined
}

const bearerOf = (text: string): string | null => /^Bearer +(\S+) *$/i.exec(text)?.[1] ?? null
