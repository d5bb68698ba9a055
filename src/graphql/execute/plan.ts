/**
 * The plan of an operation: its fields, merged for each concrete type, with everything about them that does not depend on the execution.
 * Selections are compiled when they are first reached. A plan is made for one set of values of the variables that `@skip` and `@include` use.
 */
import {
  defaultFieldResolver,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLAbstractType,
  type GraphQLField,
  type GraphQLFieldResolver,
  GraphQLIncludeDirective,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getArgumentValues,
  getDirectiveValues,
  isAbstractType,
  isCompositeType,
  isLeafType,
  isListType,
  isNonNullType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  type ValueNode,
} from 'graphql'
import { type LevelResolver, levelResolverOf } from '../builder/index.ts'
import type { Container } from './level.ts'

export type Variables = { readonly [name: string]: unknown }

export type Plan = {
  readonly schema: GraphQLSchema
  readonly operation: OperationDefinitionNode
  readonly fragments: { readonly [name: string]: FragmentDefinitionNode }
  /** The values of variables that it was made with. Of these it uses only those in directives. */
  readonly variables: Variables
  readonly root: Selection
  /** How many fields have been compiled so far. */
  size: number
}

/** How the values of a type become values of the answer. */
export type Shape =
  | { kind: 'leaf'; nullable: boolean; type: GraphQLLeafType }
  | { kind: 'list'; nullable: boolean; item: Shape; isCounted: boolean }
  | { kind: 'object'; nullable: boolean; type: GraphQLObjectType; selection: Selection }
  | { kind: 'abstract'; nullable: boolean; type: GraphQLAbstractType; selectionOf: (type: GraphQLObjectType) => Selection }

export type PlannedField = {
  /** Its name in the answer. */
  readonly key: string
  readonly definition: GraphQLField<unknown, unknown>
  readonly parentType: GraphQLObjectType
  readonly nodes: readonly FieldNode[]
  readonly shape: Shape
  /** Its arguments. Throws an error about them. */
  readonly argumentsFor: (variables: Variables) => object
  readonly resolve: GraphQLFieldResolver<unknown, unknown>
  readonly resolveLevel: LevelResolver | undefined
}

/** The fields selected of an object type, in the order of the answer. */
export class Selection {
  readonly type: GraphQLObjectType
  readonly #compile: () => PlannedField[]
  #compiled: { fields: readonly PlannedField[]; template: Container } | undefined
  #error: unknown

  constructor(type: GraphQLObjectType, compile: () => PlannedField[]) {
    this.type = type
    this.#compile = compile
  }

  get fields(): readonly PlannedField[] {
    return this.#use().fields
  }

  /** An object of the answer with all its keys, in their order. */
  createObject(): Container {
    return { ...this.#use().template }
  }

  /** Throws an error about a directive, each time. */
  #use() {
    if (this.#error !== undefined) throw this.#error
    if (this.#compiled) return this.#compiled
    try {
      const fields = this.#compile()
      const template = Object.fromEntries(fields.map(({ key }) => [key, null])) as Container
      this.#compiled = { fields, template }
      return this.#compiled
    } catch (error) {
      this.#error = error
      throw error
    }
  }
}

type Collected = Map<string, FieldNode[]>

export function createPlan(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  fragments: Plan['fragments'],
  variables: Variables,
): Plan {
  const selectionOf = (type: GraphQLObjectType, sets: readonly SelectionSetNode[]) =>
    new Selection(type, () => {
      const collected: Collected = new Map()
      const visited = new Set<string>()
      for (const set of sets) collect(set, type, collected, visited)
      const fields = [...collected].flatMap(([key, nodes]) => planned(key, type, nodes) ?? [])
      plan.size += fields.length
      return fields
    })

  function collect({ selections }: SelectionSetNode, type: GraphQLObjectType, into: Collected, visited: Set<string>): void {
    for (const selection of selections) {
      if (selection.kind === Kind.FRAGMENT_SPREAD && visited.has(selection.name.value)) continue
      if (getDirectiveValues(GraphQLSkipDirective, selection, variables)?.if === true) continue
      if (getDirectiveValues(GraphQLIncludeDirective, selection, variables)?.if === false) continue
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value
        const nodes = into.get(key)
        if (nodes) nodes.push(selection)
        else into.set(key, [selection])
        continue
      }
      if (selection.kind === Kind.FRAGMENT_SPREAD) visited.add(selection.name.value)
      const part = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value] : selection
      if (part && appliesTo(part.typeCondition?.name.value, type)) collect(part.selectionSet, type, into, visited)
    }
  }

  function appliesTo(condition: string | undefined, type: GraphQLObjectType): boolean {
    if (condition === undefined || condition === type.name) return true
    const named = schema.getType(condition)
    return isAbstractType(named) && schema.isSubType(named, type)
  }

  function planned(key: string, parentType: GraphQLObjectType, nodes: readonly FieldNode[]): PlannedField | null {
    const definition = definitionOf(schema, parentType, nodes[0]!.name.value)
    if (!definition) return null
    const sets = nodes.flatMap(({ selectionSet }) => selectionSet ?? [])
    return {
      key,
      definition,
      parentType,
      nodes,
      shape: shapeOf(definition.type, sets),
      argumentsFor: argumentsOf(definition, nodes[0]!),
      resolve: definition.resolve ?? defaultFieldResolver,
      resolveLevel: levelResolverOf(definition),
    }
  }

  function shapeOf(type: GraphQLOutputType, sets: readonly SelectionSetNode[], nullable = true): Shape {
    if (isNonNullType(type)) return shapeOf(type.ofType, sets, false)
    if (isListType(type)) return { kind: 'list', nullable, item: shapeOf(type.ofType, sets), isCounted: isComposite(type.ofType) }
    if (isLeafType(type)) return { kind: 'leaf', nullable, type }
    if (!isAbstractType(type)) return { kind: 'object', nullable, type, selection: selectionOf(type, sets) }
    const known = new Map<GraphQLObjectType, Selection>()
    return {
      kind: 'abstract',
      nullable,
      type,
      selectionOf(concrete) {
        const selection = known.get(concrete) ?? selectionOf(concrete, sets)
        known.set(concrete, selection)
        return selection
      },
    }
  }

  const plan: Plan = {
    schema,
    operation,
    fragments,
    variables,
    root: selectionOf(schema.getRootType(operation.operation)!, [operation.selectionSet]),
    size: 0,
  }
  return plan
}

const isComposite = (type: GraphQLOutputType): boolean => isCompositeType(isNonNullType(type) ? type.ofType : type)

function definitionOf(schema: GraphQLSchema, type: GraphQLObjectType, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef
  const meta = type === schema.getQueryType() ? [SchemaMetaFieldDef, TypeMetaFieldDef].find((field) => field.name === name) : undefined
  return meta ?? type.getFields()[name]
}

/** Arguments without variables are coerced once. Those of a level are shared by its rows, so they are frozen. */
function argumentsOf(definition: GraphQLField<unknown, unknown>, node: FieldNode): PlannedField['argumentsFor'] {
  const coerced = (variables: Variables) => Object.freeze(getArgumentValues(definition, node, variables))
  if (node.arguments?.some(({ value }) => hasVariable(value))) return coerced
  let constant: object | undefined
  return () => (constant ??= coerced({}))
}

function hasVariable(value: ValueNode): boolean {
  if (value.kind === Kind.VARIABLE) return true
  if (value.kind === Kind.LIST) return value.values.some(hasVariable)
  return value.kind === Kind.OBJECT && value.fields.some((field) => hasVariable(field.value))
}
