/**
 * Every GraphQL error as a caller sees it: `extensions: {code, kind, field?, details?, requestId}`. A DomainError says all of that
 * itself, an outage is `unavailable`; anything unknown is logged and masked. No status of a transport belongs here but the one table from kinds to HTTP.
 */
import { GraphQLError } from 'graphql'
import { DomainError, defineErrors, type ErrorKind, errors } from '../platform/errors.ts'
import { refusalOf } from '../platform/outage.ts'
import type { App } from '../platform/work.ts'

/** Codes of the query language itself. */
export const graphqlErrors = defineErrors({
  graphql_parse_failed: { kind: 'invalid', text: 'The document is not valid GraphQL.' },
  graphql_validation_failed: { kind: 'invalid', text: 'The document does not match the schema.' },
})

/** HTTP status of an operation that was refused as a whole. A failed field inside an answer stays 200. */
export const statusOfKind: Record<ErrorKind, number> = {
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

export type ErrorScope = { requestId: string; app: App }

/** Ready for the caller; given such a one, the same one. */
export function formatError(error: unknown, scope: ErrorScope): GraphQLError {
  if (error instanceof GraphQLError && formatted.has(error)) return error
  const at = error instanceof GraphQLError ? error : null
  const known = refusalOf(scope.app, rootOf(error)) ?? inputError(at)
  if (!known || known.kind === 'internal') {
    const err = rootOf(error)
    scope.app.log.error({ err, requestId: scope.requestId, path: at?.path?.join('.') }, 'a GraphQL operation failed unexpectedly')
  }
  return toGraphqlError(known ?? errors.internal(), scope.requestId, at)
}

/** A refusal that has no place in a document. */
export const refusal = (error: DomainError, requestId: string): GraphQLError => toGraphqlError(error, requestId, null)

/** A fault that graphql-js found in a document, with its place and under one of our codes; what was typed as a value is not repeated. */
export const relabel = (found: GraphQLError, { code, kind, message }: DomainError, requestId: string): GraphQLError =>
  toGraphqlError(new DomainError(code, kind, withoutLiterals(message)), requestId, found)

/**
 * What graphql-js says about variables that don't fit, without the value: it may be a secret. `field` is the path inside the input
 * (`$input.name` is `name`, as the domain says it), or the variable itself.
 */
export function variableError(error: GraphQLError, requestId: string): GraphQLError {
  const text = withoutSuggestion(error.message)
  const told = /^Variable "\$(\w+)" got invalid value [\s\S]*? at "([^"]+)"; ([\s\S]*)$/.exec(text)
  const plain = /^Variable "\$(\w+)"(?: got invalid value [\s\S]*?;)? ([\s\S]*)$/.exec(text)
  const variable = told?.[1] ?? plain?.[1] ?? ''
  const reason = withoutValue(lastReason(told?.[3] ?? plain?.[2] ?? 'is not valid.'))
  const inner =
    told?.[2]
      ?.split(/[.[\]]+/)
      .filter(Boolean)
      .slice(1) ?? []
  const named = /^Field "(\w+)"/.exec(reason)?.[1]
  const path = [...inner, ...(named ? [named] : [])]
  const field = path.length > 0 ? path.join('.') : variable
  const message = reason.startsWith('of required type') ? `Variable "$${variable}" ${reason}` : `${field}: ${reason}`
  return toGraphqlError(errors.invalid_input({ text: message, field }), requestId, error)
}

const formatted = new WeakSet<GraphQLError>()

function toGraphqlError({ code, kind, message, field, details }: DomainError, requestId: string, at: GraphQLError | null): GraphQLError {
  const extensions = { code, kind, ...(field ? { field } : {}), ...(details ? { details } : {}), requestId }
  const shown = new GraphQLError(message, { nodes: at?.nodes, source: at?.source, positions: at?.positions, path: at?.path, extensions })
  formatted.add(shown)
  return shown
}

function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof GraphQLError && root.originalError) root = root.originalError
  return root
}

/**
 * What graphql-js says of input at execution: of an argument that only then can be judged, as a nullable variable without a value in a
 * place that needs one, and of variables beyond the fifty that it names.
 */
function inputError(error: GraphQLError | null): DomainError | null {
  const root = rootOf(error)
  if (!(root instanceof GraphQLError)) return null
  if (root.message.startsWith('Too many errors processing variables')) {
    return errors.invalid_input({ text: 'More variables are not valid. Only the first 50 problems are listed.' })
  }
  const argument = /^Argument "(\w+)"/.exec(root.message)?.[1]
  return argument ? errors.invalid_input({ text: withoutValue(root.message), field: argument }) : null
}

const withoutSuggestion = (text: string) => text.replace(/ Did you mean [\s\S]*\?$/, '')
/** A value that itself holds `; ` would otherwise drag its tail along. */
const lastReason = (text: string) => /(?:^|; )((?:Field|Value|Expected|Unspecified|\w+ cannot represent)\b[\s\S]*)$/.exec(text)?.[1] ?? text
const withoutValue = (text: string) =>
  text
    .replace(/(cannot represent [^:]*):[\s\S]*$/, '$1.')
    .replace(/^Value [\s\S]* does not exist in ("\w+" enum)/, 'the value does not exist in $1')
    .replace(/ has invalid value [\s\S]*$/, ' has an invalid value.')

/**
 * What graphql-js says of a document, without what stands there as a value: a secret may have been typed in place. Of a token only its
 * sort is told; where it stands is in the error's locations.
 */
export const withoutLiterals = (text: string): string =>
  text.startsWith('Syntax Error:')
    ? text
        .replace(/\b(String|BlockString|Int|Float|Name) "[\s\S]*"/, '$1')
        .replace(/(escape sequence|expected digit but got):[\s\S]*$/, '$1.')
    : withoutValue(text.replace(/^(Expected value of type "[^"]+"), found [\s\S]*$/, '$1.')).replace(/^the/, 'The')
