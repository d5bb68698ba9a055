/** What one foreign contract is made of. Everything that differs between contracts stands in such an object; core knows none of them. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from '../../platform/access.ts'
import type { ErrorKind } from '../../platform/errors.ts'
import type { App } from '../../platform/work.ts'
import type { Named } from './openapi.ts'
import type { Route, Sources } from './route.ts'

/** A refusal, ready to be written in a dialect's words. */
export type Failure = {
  status: number
  code: string
  text: string
  /** The field at fault, by the dialect's name. */
  field: string | undefined
  details: Record<string, unknown> | undefined
  requestId: string
}

/** By what a request is told apart; see decisions.md, "Which dialect". */
export type Face = {
  name: string
  /** The first is the one that the document prints, the others are aliases. */
  prefixes: readonly [string, ...string[]]
  /** Its keys begin with this. */
  keyPrefix: string
  /** Of two on one path it is the one that a request with `X-Org-Slug` and no key means. */
  organizationHeader: boolean
  /** Every path below the prefix, parameters in braces. */
  paths: readonly string[]
}

export type Dialect = Omit<Face, 'paths'> & {
  title: string
  description: string
  routes: readonly Route[]
  /** The credential of a request and the caller behind it; null when it is missing or bad. */
  authenticate(app: App, headers: IncomingHttpHeaders): Promise<Caller | null>
  /** How pages are asked for; `size` is the row's own default, null for everything. */
  page(size: number | null): Sources
  /** Headers that carry an idempotency key; the first one that is there counts. */
  idempotencyHeaders: readonly string[]
  status: Readonly<Record<ErrorKind, number>>
  renderError(failure: Failure): object
  /** The schemas that the document names. */
  schemas: readonly Named[]
  errorSchema: Named
}
