/** A dialect: everything in which one contract differs from another. The rest of core knows no contract. */
import type { Caller } from '../../platform/access.ts'
import type { Authenticated, PresentedCredential } from '../../platform/credential.ts'
import type { ErrorKind } from '../../platform/errors.ts'
import type { App } from '../../platform/work.ts'
import type { Named } from './openapi.ts'
import type { Route, Sources } from './route.ts'

/** An error, to be rendered by a dialect. */
export type Failure = {
  status: number
  code: string
  text: string
  /** The dialect's name of the field that is not valid. */
  field: string | undefined
  /** Each field that is not valid, why, and the rule that it breaks. */
  problems: readonly { field: string; text: string; constraint: string }[]
  details: Record<string, unknown> | undefined
  /** Whether the request was authenticated with a key of `readOnlyKeyPrefix`. */
  isReadOnlyKey: boolean
  requestId: string
}

/** What assigns a request to a dialect; see decisions.md, "Which dialect". */
export type Face = {
  name: string
  /** The first one appears in the document; the others are aliases. */
  prefixes: readonly [string, ...string[]]
  /** Paths of which the dialect owns everything below, for one whose rows share no prefix (which is then empty). Default: the prefixes. */
  areas?: readonly [string, ...string[]]
  /** Prefix of the dialect's keys. */
  keyPrefix: string
  /** Whether a request with `X-Org-Slug` and without a key belongs to this dialect, where two share a path. */
  organizationHeader: boolean
  /** All paths below the prefix, with parameters in braces. */
  paths: readonly string[]
}

export const areasOf = ({ areas, prefixes }: Pick<Face, 'areas' | 'prefixes'>): readonly [string, ...string[]] => areas ?? prefixes

/**
 * Requests per minute of one caller: a key, or a person with all sessions. At rows that need no caller, those of one client address. Counted by
 * the minute of the database's clock.
 */
export type RequestLimit = {
  /** Name in RATE_LIMITS and in the headers. */
  name: string
  /** Unless RATE_LIMITS says otherwise. */
  perMinute: number
  /** Applies to credentials with this prefix only. */
  keyPrefix?: string
}

export type Dialect = Omit<Face, 'paths'> & {
  title: string
  description: string
  routes: readonly Route[]
  /** Whether API keys are the only credential, and people with an access token or a cookie are refused. */
  keysOnly?: true
  /** Prefix of keys that only read. */
  readOnlyKeyPrefix?: string
  /** Header of every response to a request with a known key, with the ID of the key. */
  keyIdHeader?: string
  /** The caller that a credential identifies. Null if it is not valid. May throw `unauthenticated` with the reason in `details`. */
  authenticate(app: App, credential: PresentedCredential): Authenticated
  /** Throws if the request does not name the organization that the caller acts in, and must. Not asked for rows `withoutOrganization`. */
  demandOrganization?(caller: Caller, credential: PresentedCredential): void
  /** Query parameters for a page. `size` is the row's default page size; null means the whole list. */
  page(size: number | null): Sources
  /** Headers for an idempotency key. The first one present is used. */
  idempotencyHeaders: readonly string[]
  status: Readonly<Record<ErrorKind, number>>
  /** Statuses of errors that differ from that of their kind, by code. */
  statusOfCode?: Readonly<Record<string, number>>
  /** Whether a value that has the right type and breaks a rule has the status of `unprocessable` instead of `invalid`. */
  brokenRulesAreUnprocessable?: true
  renderError(failure: Failure): object
  /** The first one whose prefix a credential has applies to it. Credentials that only some rows accept are not limited here. */
  rateLimits: readonly [RequestLimit, ...RequestLimit[]]
  /** Whether the contract has the headers `X-RateLimit-Limit`, `-Remaining` and `-Window`. */
  legacyRateLimitHeaders: boolean
  /** Whether the contract has the page `/redoc` beside `/docs`. */
  hasRedoc?: true
  /** Named schemas of the document. */
  schemas: readonly Named[]
  errorSchema: Named
}
