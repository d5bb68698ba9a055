/**
 * The error type for all failures that callers may see. A concept declares its codes with `defineErrors`. Every door renders an error from
 * `kind` and `code`, so no door has its own messages or statuses.
 */

/** The category of a failure. Every door maps each kind to a status. */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'unprocessable'
  | 'rate_limited'
  | 'upstream'
  | 'timeout'
  | 'unavailable'
  | 'internal'

/**
 * HTTP status of each kind, unless a contract has another one. In GraphQL, that of an operation that is refused as a whole: an answer in which
 * only a field failed has 200.
 */
export const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  unprocessable: 422,
  rate_limited: 429,
  upstream: 502,
  timeout: 504,
  unavailable: 503,
  internal: 500,
}

export type ErrorSpec = { kind: ErrorKind; text: string }

/** A failure that a caller may see: a stable `code`, its `kind`, a public `message`, the invalid input `field`, and `details` in plain JSON. */
export class DomainError extends Error {
  override readonly name = 'DomainError'
  readonly code: string
  readonly kind: ErrorKind
  readonly field: string | undefined
  readonly details: Record<string, unknown> | undefined

  constructor(
    code: string,
    kind: ErrorKind,
    text: string,
    options: { field?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(text, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.kind = kind
    this.field = options.field
    this.details = options.details
  }
}

type RaiseOptions = { text?: string; field?: string; details?: Record<string, unknown>; cause?: unknown }

/** Creates errors of one code. Its kind and public text are properties of the function. */
export type ErrorConstructor = ((options?: RaiseOptions) => DomainError) & ErrorSpec

export type ErrorConstructors<Code extends string = string> = Readonly<Record<Code, ErrorConstructor>>

/** Returns a constructor for each code of a concept: `errors.name_taken({ field: 'name' })`. The concept lists them in its declaration. */
export function defineErrors<Code extends string>(specs: Record<Code, ErrorSpec>): ErrorConstructors<Code> {
  const constructors = {} as Record<Code, ErrorConstructor>
  for (const [code, spec] of Object.entries(specs) as [Code, ErrorSpec][]) {
    constructors[code] = Object.assign(
      ({ text, ...options }: RaiseOptions = {}) => new DomainError(code, spec.kind, text ?? spec.text, options),
      spec,
    )
  }
  return constructors
}

/** The codes that belong to no concept, raised by the platform and the doors. */
export const errors = defineErrors({
  unauthenticated: { kind: 'unauthenticated', text: 'A valid credential is required.' },
  forbidden: { kind: 'forbidden', text: 'The credential does not have the permission that this operation requires.' },
  not_found: { kind: 'not_found', text: 'The object does not exist.' },
  invalid_input: { kind: 'invalid', text: 'The input is not valid.' },
  version_conflict: {
    kind: 'conflict',
    text: 'The object is no longer at this version. Read it again, then retry with its current version.',
  },
  idempotency_key_reused: { kind: 'unprocessable', text: 'This idempotency key was already used with different input. Use a new key.' },
  idempotency_in_progress: { kind: 'conflict', text: 'A request with this idempotency key is still in progress. Retry later.' },
  outcome_unknown: {
    kind: 'conflict',
    text: 'An earlier request with this idempotency key may have had its effect. Find out whether it had, then use a new key.',
  },
  query_limit_exceeded: { kind: 'invalid', text: 'The operation exceeds a query limit.' },
  payload_too_large: { kind: 'invalid', text: 'The payload is too large.' },
  rate_limited: { kind: 'rate_limited', text: 'Too many requests. Retry later.' },
  timeout: { kind: 'timeout', text: 'The request timed out.' },
  unavailable: { kind: 'unavailable', text: 'A component that this request requires is temporarily unavailable. Retry later.' },
  internal: { kind: 'internal', text: 'An internal error occurred.' },
})

/**
 * Thrown by a driver for an expected failure of the outside. `code` is declared by the driver's port. `message` and `hint` may be shown to
 * users, so they contain no paths or secrets. Anything else that a driver throws counts as a bug of the driver.
 */
export class PortError<Code extends string = string> extends Error {
  override readonly name = 'PortError'
  readonly code: Code
  readonly hint: string | undefined
  readonly exitCode: number | undefined

  constructor(code: Code, message: string, options: { hint?: string; exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.exitCode = options.exitCode
  }
}
