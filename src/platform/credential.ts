/** Where a request carries its credential; the one reader for every door. What a credential is worth is decided by `authenticate`. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from './access.ts'
import { type DomainError, errors } from './errors.ts'

/** A credential as a request carries it. */
export type PresentedCredential = {
  text: string
  /** Slug of the organization that the request names in `X-Org-Slug`. */
  organization: string | null
  /** Browsers send cookies by themselves: see `demandOwnPage`. */
  fromCookie: boolean
}

/** The caller that a credential identifies, or null if it is not valid. A promise only if it has to be looked up. */
export type Authenticated = Caller | null | Promise<Caller | null>

/** Name of the cookie that contains the access token of a person who is signed in. */
export const accessCookie = 'access_token'

/**
 * The credential of HTTP headers: from `Authorization: Bearer`, otherwise `X-API-Key`, otherwise the cookie. Null if there is none. The first
 * of them that is present counts, and is refused rather than skipped if it is malformed.
 */
export function credentialOfHeaders(headers: IncomingHttpHeaders): PresentedCredential | null {
  const text = credentialOf(headers, ['x-api-key'])
  if (text !== undefined) return presented(text, headers)
  return headers.cookie === undefined ? null : presented(cookieOf(headers.cookie, accessCookie), headers, true)
}

/**
 * The credential of a WebSocket: from its connectionParams, named `authorization`, `apiKey` or `x-api-key` in any case, otherwise from the
 * headers of the upgrade request. Params that name a malformed credential are refused: the headers don't count then. Params may also name
 * the organization, as `x-org-slug`.
 */
export function credentialOfSocket(
  params: Readonly<Record<string, unknown>> = {},
  headers: IncomingHttpHeaders,
): PresentedCredential | null {
  const named = fieldOf(params, organizationHeader)
  const all = named === undefined ? headers : { ...headers, [organizationHeader]: typeof named === 'string' ? named : '' }
  const text = credentialOf(params, ['apikey', 'x-api-key'])
  return text === undefined ? credentialOfHeaders(all) : presented(text, all)
}

/** Why a credential is refused. Only the oec.sh Public API tells; for the others, all are alike. */
export type CredentialProblem = 'missing' | 'malformed' | 'unknown' | 'expired' | 'revoked'

/** The refusal of a request with these headers, whose credential identifies nobody. */
export function refusedCredential(headers: IncomingHttpHeaders): DomainError {
  const isMissing = headers.authorization === undefined && headers['x-api-key'] === undefined
  return unauthenticated(isMissing ? 'missing' : credentialOfHeaders(headers) ? 'unknown' : 'malformed')
}

/** `apiKeyId` is that of a key that is known and not accepted. */
export const unauthenticated = (reason: CredentialProblem, apiKeyId?: string): DomainError =>
  errors.unauthenticated({ details: { reason, ...(apiKeyId === undefined ? {} : { apiKeyId }) } })

const organizationHeader = 'x-org-slug'

function presented(text: string | null, headers: IncomingHttpHeaders, fromCookie = false): PresentedCredential | null {
  if (text === null) return null
  const organization = headers[organizationHeader]
  return { text, organization: organization === undefined ? null : String(organization), fromCookie }
}

/** Null for a malformed or ambiguous credential, undefined if the fields name none. */
function credentialOf(fields: Readonly<Record<string, unknown>>, keyNames: readonly string[]): string | null | undefined {
  for (const name of ['authorization', ...keyNames]) {
    const value = fieldOf(fields, name)
    if (value === undefined) continue
    return typeof value !== 'string' ? null : name === 'authorization' ? bearerOf(value) : value || null
  }
  return undefined
}

/** The value of a field whose name is in any case; null if several match. */
function fieldOf(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  let found: unknown
  for (const given of Object.keys(fields)) {
    if (given.length !== name.length || given.toLowerCase() !== name || fields[given] === undefined) continue
    if (found !== undefined) return null
    found = fields[given]
  }
  return found
}

const bearerOf = (text: string): string | null => /^Bearer +(\S+) *$/i.exec(text)?.[1] ?? null

/** A cookie of a Cookie header. Null if it is absent or, since another host of the domain may have set one too, there are several. */
export function cookieOf(header: string, name: string): string | null {
  const start = `${name}=`
  const [found, ...others] = header
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(start))
  return found === undefined || others.length > 0 ? null : found.slice(start.length) || null
}
