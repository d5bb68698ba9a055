/**
 * Limits on the size of an operation. `exceededByText` checks the text of a document before it is parsed, `exceeded` the document before
 * validation and without variables; `weigh` computes the cost of a valid operation from its page sizes. Fragments are measured once and added at each spread, so a document of n tokens takes n
 * steps however its fragments nest. Limits over time are in budget.ts.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql'
import { type DomainError, errors } from '../platform/errors.ts'
import { defaultPage, maxPage } from '../platform/page.ts'

export const limits = {
  /** Ignored characters and comments are no tokens, but must be read, too. */
  characters: 100_000,
  /** The location of each error is found by counting lines. */
  lines: 2_500,
  tokens: 2_000,
  /** Operations and fragments. */
  definitions: 100,
  /** Levels of fields. `edges`, `node` and `nodes` don't count; introspection has a separate limit. */
  depth: 15,
  /** GraphiQL's introspection needs 15. */
  introspectionDepth: 20,
  aliases: 30,
  /** Directives in one location. */
  directives: 8,
  /** Fields with the same response name in one selection: validation compares every pair. */
  repeats: 100,
  rootFields: 20,
  /** Product of the `first` values of nested lists. */
  nestedPages: 10_000,
  /**
   * Reading an object costs 1, a command 10, introspecting the schema 8,000, plus what fields declare. A full page in which each item has a
   * full page costs 10,201.
   */
  cost: 20_000,
}

type Limit = keyof typeof limits

const texts: Record<Limit, string> = {
  characters: 'characters in the document',
  lines: 'lines in the document',
  tokens: 'tokens in the document',
  definitions: 'operations and fragments in the document',
  depth: 'levels of fields',
  introspectionDepth: 'levels of introspection',
  aliases: 'aliases',
  directives: 'directives in one location',
  repeats: 'fields with the same name in one selection',
  rootFields: 'root fields',
  nestedPages: 'rows from nested page sizes',
  cost: 'points of cost',
}

export function limitExceeded(limit: Limit, actual?: number): DomainError {
  const details = { limit, maximum: limits[limit], ...(actual === undefined ? {} : { actual: Math.min(actual, Number.MAX_SAFE_INTEGER) }) }
  return errors.query_limit_exceeded({ text: `At most ${limits[limit]} ${texts[limit]} are allowed.`, details })
}

/** The limit that the text of a document exceeds, or null. */
export function exceededByText(text: string): DomainError | null {
  if (text.length > limits.characters) return limitExceeded('characters', text.length)
  let lines = 1
  for (const _break of text.matchAll(/\r\n|\n|\r/g)) if (++lines > limits.lines) return limitExceeded('lines')
  return null
}

/** The first limit that the document's structure exceeds, or null. An invalid document may pass: it is validated afterwards. */
export function exceeded(document: DocumentNode): DomainError | null {
  const definitions = document.definitions.length
  if (definitions > limits.definitions) return limitExceeded('definitions', definitions)
  const shapes = createShapes(document)
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION) continue
    const variables = definition.kind === Kind.OPERATION_DEFINITION ? (definition.variableDefinitions ?? []) : []
    const shape = shapes(definition.selectionSet)
    const found: Partial<Record<Limit, number>> = {
      depth: shape.depth,
      introspectionDepth: shape.introspectionDepth,
      aliases: shape.aliases,
      directives: Math.max(shape.directives, count(definition.directives), ...variables.map((variable) => count(variable.directives))),
      ...(definition.kind === Kind.OPERATION_DEFINITION ? { rootFields: shape.fields } : {}),
      repeats: shape.repeats,
    }
    for (const [limit, actual] of Object.entries(found) as [Limit, number][]) {
      if (actual > limits[limit]) return limitExceeded(limit, actual)
    }
  }
  return null
}

/** Costs of operations that are the same for all variables, kept for as long as their document is. */
const fixedCosts = new WeakMap<OperationDefinitionNode, number>()

/** The cost of a valid operation with these raw variables, or an error for the limit it exceeds. */
export function weigh(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): number | DomainError {
  const known = fixedCosts.get(operation)
  if (known !== undefined) return known
  const root = schema.getRootType(operation.operation)
  if (!root) return 0
  let isFixed = true
  const rawValue = (name: string) => {
    isFixed = false
    return Object.hasOwn(variables, name) ? { raw: variables[name] } : null
  }
  const { nestedPages, cost } = createWeights(schema, document, operation, rawValue)(operation.selectionSet, root)
  if (nestedPages > limits.nestedPages) return limitExceeded('nestedPages', nestedPages)
  if (cost > limits.cost) return limitExceeded('cost', cost)
  if (isFixed) fixedCosts.set(operation, cost)
  return cost
}

type Shape = { depth: number; introspectionDepth: number; aliases: number; directives: number; repeats: number; fields: number }

/** The number of occurrences of the most frequent response name. */
function repeatsOf({ selections }: SelectionSetNode): number {
  const counts = new Map<string, number>()
  let most = 0
  for (const selection of selections) {
    if (selection.kind !== Kind.FIELD) continue
    const name = selection.alias?.value ?? selection.name.value
    const known = (counts.get(name) ?? 0) + 1
    counts.set(name, known)
    most = Math.max(most, known)
  }
  return most
}

const transparent = new Set(['edges', 'node', 'nodes'])
const introspects = (name: string) => name === '__schema' || name === '__type'
const count = (list: readonly unknown[] | undefined) => list?.length ?? 0

function createShapes(document: DocumentNode): (selectionSet: SelectionSetNode) => Shape {
  const ofFragment = memoByFragment(document, (fragment) => shapeOf(fragment.selectionSet))

  function shapeOf(selectionSet: SelectionSetNode): Shape {
    const sum: Shape = { depth: 0, introspectionDepth: 0, aliases: 0, directives: 0, repeats: repeatsOf(selectionSet), fields: 0 }
    for (const selection of selectionSet.selections) {
      const part =
        selection.kind === Kind.FIELD
          ? shapeOfField(selection)
          : selection.kind === Kind.INLINE_FRAGMENT
            ? shapeOf(selection.selectionSet)
            : ofFragment(selection.name.value)
      sum.directives = Math.max(sum.directives, count(selection.directives), part?.directives ?? 0)
      if (!part) continue
      sum.depth = Math.max(sum.depth, part.depth)
      sum.introspectionDepth = Math.max(sum.introspectionDepth, part.introspectionDepth)
      sum.aliases += part.aliases
      sum.repeats = Math.max(sum.repeats, part.repeats)
      sum.fields += part.fields
    }
    return sum
  }

  function shapeOfField(field: FieldNode): Shape {
    const inner = field.selectionSet ? shapeOf(field.selectionSet) : null
    const depth = (inner?.depth ?? 0) + (transparent.has(field.name.value) ? 0 : 1)
    return {
      ...(introspects(field.name.value)
        ? { depth: 0, introspectionDepth: depth }
        : { depth, introspectionDepth: inner?.introspectionDepth ?? 0 }),
      aliases: (inner?.aliases ?? 0) + (field.alias ? 1 : 0),
      directives: inner?.directives ?? 0,
      repeats: inner?.repeats ?? 0,
      fields: 1,
    }
  }

  return shapeOf
}

type Weight = { nestedPages: number; cost: number }

/**
 * Cost that a field declares in its extensions: `extensions.cost` is its own cost, optionally computed from its arguments (`argument`
 * returns undefined for an absent one); `extensions.rows` is the assumed number of rows of a list without pages.
 */
type FieldCost = number | ((argument: (name: string) => unknown) => number)

const objectCost = 1
const commandCost = 10
const introspectionCost: Record<string, number> = { __schema: 8_000, __type: 400 }

function createWeights(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  /** The raw value of a variable; null if it has none. */
  rawValue: (variable: string) => { raw: unknown } | null,
): (selectionSet: SelectionSetNode, type: GraphQLCompositeType) => Weight {
  const ofFragment = memoByFragment(document, (fragment) => {
    const type = schema.getType(fragment.typeCondition.name.value)
    return isCompositeType(type) ? weightOf(fragment.selectionSet, type) : null
  })
  const mutation = operation.operation === 'mutation' ? schema.getMutationType() : null

  function weightOf(selectionSet: SelectionSetNode, type: GraphQLCompositeType): Weight {
    const sum: Weight = { nestedPages: 1, cost: 0 }
    for (const selection of selectionSet.selections) {
      const part = selection.kind === Kind.FIELD ? weightOfField(selection, type) : weightOfSpread(selection, type)
      if (!part) continue
      sum.nestedPages = Math.max(sum.nestedPages, part.nestedPages)
      sum.cost += part.cost
    }
    return sum
  }

  function weightOfSpread(
    selection: Exclude<SelectionSetNode['selections'][number], FieldNode>,
    type: GraphQLCompositeType,
  ): Weight | null {
    if (selection.kind === Kind.FRAGMENT_SPREAD) return ofFragment(selection.name.value)
    const narrowed = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : type
    return isCompositeType(narrowed) ? weightOf(selection.selectionSet, narrowed) : null
  }

  function weightOfField(node: FieldNode, type: GraphQLCompositeType): Weight | null {
    const name = node.name.value
    if (Object.hasOwn(introspectionCost, name)) return { nestedPages: 1, cost: introspectionCost[name]! }
    const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined
    if (!field) return null
    const own = (type === mutation ? commandCost : name === 'totalCount' ? objectCost : 0) + declaredCost(node, field)
    const inner = getNamedType(field.type)
    if (!node.selectionSet || !isCompositeType(inner)) return { nestedPages: 1, cost: own }
    const child = weightOf(node.selectionSet, inner)
    const size = sizeOf(node, field)
    if (size !== null) return { nestedPages: size * child.nestedPages, cost: own + objectCost + size * (objectCost + child.cost) }
    const { rows } = field.extensions as { rows?: number }
    if (rows !== undefined) return { nestedPages: child.nestedPages, cost: own + objectCost + rows * (objectCost + child.cost) }
    return { nestedPages: child.nestedPages, cost: own + (transparent.has(name) ? 0 : objectCost) + child.cost }
  }

  /** The field's `extensions.cost`, evaluated with its arguments. */
  function declaredCost(node: FieldNode, field: GraphQLField<unknown, unknown>): number {
    const { cost } = field.extensions as { cost?: FieldCost }
    return typeof cost === 'function' ? cost((name) => argument(node, name)) : (cost ?? 0)
  }

  /** Maximum number of rows of a field: its page size, or the number of ids requested. Null for a field that is no such list. */
  function sizeOf(node: FieldNode, field: GraphQLField<unknown, unknown>): number | null {
    const has = (name: string) => field.args.some((arg) => arg.name === name)
    if (has('first')) return clamp(Number(argument(node, 'first') ?? argument(node, 'last') ?? defaultPage))
    if (!has('ids')) return null
    const ids = argument(node, 'ids')
    return Array.isArray(ids) ? clamp(ids.length) : 1
  }

  const argument = (node: FieldNode, name: string) => literalOf(node.arguments?.find((arg) => arg.name.value === name)?.value)

  function literalOf(value: ValueNode | undefined): unknown {
    switch (value?.kind) {
      case Kind.INT:
        return Number(value.value)
      case Kind.LIST:
        return value.values
      case Kind.VARIABLE: {
        const name = value.name.value
        const given = rawValue(name)
        if (given) return given.raw
        return literalOf(operation.variableDefinitions?.find((defined) => defined.variable.name.value === name)?.defaultValue)
      }
      default:
        return undefined
    }
  }

  return weightOf
}

/** An out-of-range page size counts as the nearest bound; the field itself rejects it with a precise error. */
const clamp = (size: number) => (Number.isFinite(size) ? Math.min(Math.max(size, 1), maxPage) : defaultPage)

/** Measures each fragment once. A cycle or an unknown name yields null: validation reports it with its location. */
function memoByFragment<Value>(
  document: DocumentNode,
  measure: (fragment: FragmentDefinitionNode) => Value,
): (name: string) => Value | null {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  const known = new Map<string, Value | null>()
  return (name) => {
    const value = known.get(name)
    if (value !== undefined) return value
    const fragment = fragments.get(name)
    known.set(name, null)
    const measured = fragment ? measure(fragment) : null
    known.set(name, measured)
    return measured
  }
}
