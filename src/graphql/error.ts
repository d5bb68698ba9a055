/**
 * Formats every GraphQL error as `extensions: {code, kind, field?, details?, requestId}`. A DomainError contains all of that, an outage becomes
 * `unavailable`, and unknown errors are logged and masked. The table from kinds to HTTP statuses is the only part that depends on a transport.
 */
import { GraphQLError } from 'graphql'
import { DomainError, defineErrors, errors } from '../platform/errors.ts'
import { refusalOf } from '../platform/outage.ts'
import type { App } from '../platform/work.ts'

/** Codes of the query language itself. */
export const graphqlErrors = defineErrors({
  graphql_parse_failed: { kind: 'invalid', text: 'The document is not valid GraphQL.' },
  graphql_validation_failed: { kind: 'invalid', text: 'The document does not match the schema.' },
})

export type ErrorScope = { requestId: string; app: App }

/** Formats an error for the caller. An error that is already formatted is returned unchanged. */
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

/** A formatted error without a location in the document. */
export const refusal = (error: DomainError, requestId: string): GraphQLError => toGraphqlError(error, requestId, null)

/** An error that graphql-js found in a document, with its locations and one of our codes, but without literal values. */
export const relabel = (found: GraphQLError, { code, kind, message }: DomainError, requestId: string): GraphQLError =>
  toGraphqlError(new DomainError(code, kind, withoutLiterals(message)), requestId, found)

/**
 * Formats graphql-js's error about invalid variables, without the value, which may be a secret. `field` is the path within the input
 * (`name` for `$input.name`, as in the domain's errors), or the name of the variable.
 */
export function variableError(error: GraphQLError, requestId: string): GraphQLError {
  const text = withoutSuggestion(error.message)
  const nested = /^Variable "\$(\w+)" got invalid value [\s\S]*? at "([^"]+)"; ([\s\S]*)$/.exec(text)
  const plain = /^Variable "\$(\w+)"(?: got invalid value [\s\S]*?;)? ([\s\S]*)$/.exec(text)
  const variable = nested?.[1] ?? plain?.[1] ?? ''
  const reason = withoutValue(lastReason(nested?.[3] ?? plain?.[2] ?? 'is not valid.'))
  const inner =
    nested?.[2]
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
 * Errors about input that graphql-js only raises at execution: a nullable variable without a value for a required argument, and more than
 * fifty invalid variables.
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
/** The text after the last `; ` that starts a reason: a value that contains `; ` would otherwise be included partly. */
const lastReason = (text: string) => /(?:^|; )((?:Field|Value|Expected|Unspecified|\w+ cannot represent)\b[\s\S]*)$/.exec(text)?.[1] ?? text
const withoutValue = (text: string) =>
  text
    .replace(/(cannot represent [^:]*):[\s\S]*$/, '$1.')
    .replace(/^Value [\s\S]* does not exist in ("\w+" enum)/, 'the value does not exist in $1')
    .replace(/ has invalid value [\s\S]*$/, ' has an invalid value.')

/**
 * graphql-js's message about a document without the literal values in it, which may be secrets. Of a token only the kind is kept; the
 * error's locations show where it is.
 */
export const withoutLiterals = (text: string): string =>
  text.startsWith('Syntax Error:')
    ? text
        .replace(/\b(String|BlockString|Int|Float|Name) "[\s\S]*"/, '$1')
        .replace(/(escape sequence|expected digit but got):[\s\S]*$/, '$1.')
    : withoutValue(text.replace(/^(Expected value of type "[^"]+"), found [\s\S]*$/, '$1.')).replace(/^the/, 'The')
