/**
 * GraphQL selections of webhook endpoints on the subject of an event: validated when saved, executed at delivery. A selection is placed below
 * `node(id)` and runs like any other query, with the endpoint's permissions. It can only read.
 */
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  type OperationDefinitionNode,
  parse,
  specifiedRules,
  TypeInfo,
  validate,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import type { Selection, SelectionRights } from '../domain/webhooks/endpoint/ports.ts'
import type { Caller, Permission } from '../platform/access.ts'
import { encodeId, type IdType, isIdType } from '../platform/id.ts'
import type { App } from '../platform/work.ts'
import { createGraphqlContext } from './context.ts'
import { withoutLiterals } from './error.ts'
import { createExecute } from './execute/index.ts'
import { exceeded, limits, weigh } from './limits.ts'

/** Selections run for every message, so their cost limit is a tenth of a query's. */
const costShare = 10
const cachedMost = 500

type Checked = { document: DocumentNode } | { problem: string }

export function createSelection(app: App, schema: GraphQLSchema): Selection {
  const cache = new Map<string, Checked>()
  const execute = createExecute(schema)
  const isNode = (type: string): type is IdType => isIdType(type) && app.domain.nodes.has(type)
  const checked = (selection: string, subjectType: string): Checked => {
    const key = `${subjectType}\n${selection}`
    const known = cache.get(key)
    if (known) return known
    const found = documentFor(schema, selection, subjectType)
    if (cache.size >= cachedMost) cache.delete(cache.keys().next().value!)
    cache.set(key, found)
    return found
  }

  return {
    check({ selection, subjectTypes, rights }) {
      const nodes = subjectTypes.filter(isNode)
      if (nodes.length === 0) return 'the subjects of these events cannot be queried'
      for (const type of nodes) {
        const result = checked(selection, type)
        if ('problem' in result)
          return nodes.length === 1 ? result.problem : `${result.problem} (for events about ${/^[AEIOU]/.test(type) ? 'an' : 'a'} ${type})`
        const missing = missingRight(schema, result.document, rights)
        if (missing) return `it needs the permission ${missing}`
      }
      return null
    },

    async run({ selection, subjectType, subjectId, rights }) {
      if (!isNode(subjectType)) return null
      const result = checked(selection, subjectType)
      if ('problem' in result) throw new Error(`a selection no longer fits the schema: ${result.problem}`)
      const caller = callerOf(rights)
      const answer = await execute({
        document: result.document,
        operation: result.document.definitions[0] as OperationDefinitionNode,
        variables: { id: encodeId(subjectType, subjectId) },
        context: createGraphqlContext({ app, caller, requestId: 'webhook' }, AbortSignal.timeout(app.settings.REQUEST_TIMEOUT_MS)),
      })
      const node = (answer.data as { node?: unknown } | null | undefined)?.node ?? null
      // A field that failed is null, as in any answer. If the whole node is null, the selection failed.
      if (node === null && answer.errors) throw answer.errors[0]!
      return JSON.parse(JSON.stringify(node)) as unknown
    },
  }
}

const callerOf = ({ organizationId, projectId, permissions }: SelectionRights): Caller => ({
  subject: { type: 'system', id: null, name: 'webhook selection' },
  userId: null,
  organizationId,
  permissions: new Set(permissions as Permission[]),
  apiKeyId: null,
  sessionId: null,
  projectIds: projectId === null ? null : [projectId],
})

/** The query for a selection: as written if it uses fragments on types, otherwise narrowed to the subject's type. */
function documentFor(schema: GraphQLSchema, selection: string, subjectType: string): Checked {
  const text = selection.trim()
  if (!text.startsWith('{') || !text.endsWith('}')) return { problem: 'must be a selection in braces, such as { id }' }
  const plain = validated(schema, `query Selection($id: ID!) { node(id: $id) ${text} }`)
  if ('document' in plain) return plain
  const narrowed = validated(schema, `query Selection($id: ID!) { node(id: $id) { ... on ${subjectType} ${text} } }`)
  return 'document' in narrowed || !/\.\.\.\s*on\b/.test(text) ? narrowed : plain
}

function validated(schema: GraphQLSchema, source: string): Checked {
  let document: DocumentNode
  try {
    document = parse(source, { maxTokens: limits.tokens })
  } catch (error) {
    if (error instanceof GraphQLError) return { problem: withoutLiterals(error.message) }
    throw error
  }
  const [operation, ...others] = document.definitions
  // Braces that close early could add other root fields.
  if (operation?.kind !== 'OperationDefinition' || others.length > 0 || operation.selectionSet.selections.length !== 1) {
    return { problem: 'must be a single selection' }
  }
  const large = exceeded(document)
  if (large) return { problem: large.message }
  const [invalid] = validate(schema, document, specifiedRules, { maxErrors: 1 })
  if (invalid) return { problem: withoutLiterals(invalid.message) }
  const weight = weigh(schema, document, operation as OperationDefinitionNode, { id: '' })
  if (typeof weight !== 'number') return { problem: weight.message }
  return withinShare(schema, document, operation as OperationDefinitionNode)
}

/** Checks the cost limit by repeating the selection `costShare` times in one query. */
function withinShare(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Checked {
  const [field] = operation.selectionSet.selections
  const repeated = {
    ...operation,
    selectionSet: { ...operation.selectionSet, selections: Array.from({ length: costShare }, () => field!) },
  }
  const weight = weigh(schema, document, repeated, { id: '' })
  return typeof weight === 'number' ? { document } : { problem: `must not exceed a tenth of the cost limit of a query: ${weight.message}` }
}

/** The first permission that a type in the selection requires and the endpoint lacks. */
function missingRight(schema: GraphQLSchema, document: DocumentNode, { permissions }: SelectionRights): string | null {
  const info = new TypeInfo(schema)
  let missing: string | null = null
  visit(
    document,
    visitWithTypeInfo(info, {
      enter() {
        const needed = permissionOf(getNamedType(info.getType())) ?? permissionOf(getNamedType(info.getParentType()))
        if (needed && !permissions.includes(needed)) missing ??= needed
      },
    }),
  )
  return missing
}

/** The permission that a type requires. */
function permissionOf(type: GraphQLNamedType | null | undefined): string | null {
  const options = type?.extensions.pothosOptions as { permission?: string } | undefined
  return options?.permission ?? null
}
