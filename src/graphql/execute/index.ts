/**
 * Executes operations level by level: a field is resolved for all its parents before its values are completed, and the objects among these
 * are the parents of the next level. Loaders therefore see a whole level, and what is waited for is waited for once. Operations are compiled
 * once into a plan, which holds no generated code. The answers are those of graphql-js, which test/graphql/execute.test.ts compares.
 */
import {
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  visit,
} from 'graphql'
import { type Batch, type GraphqlContext, Loading } from '../builder/index.ts'
import { Failure, openSink, type Scope, type Sink } from './complete.ts'
import { type Container, Failures, Level } from './level.ts'
import { createPlan, type Plan, type PlannedField, type Selection, type Variables } from './plan.ts'
import { allOf, isPromise } from './promise.ts'

export type Execution = {
  document: DocumentNode
  operation: OperationDefinitionNode
  variables?: Variables | null
  rootValue?: unknown
  context: Pick<GraphqlContext, 'pace' | 'room'>
}

/** Executes a valid operation. Rejects when the context's signal aborts a long one. */
export type Execute = (execution: Execution) => Promise<ExecutionResult>

export function createExecute(schema: GraphQLSchema): Execute {
  const compiled = new WeakMap<OperationDefinitionNode, CompiledOperation>()
  return async ({ document, operation, variables, rootValue, context }) => {
    if (!schema.getRootType(operation.operation)) {
      return {
        errors: [new GraphQLError(`Schema is not configured to execute ${operation.operation} operation.`, { nodes: operation })],
        data: null,
      }
    }
    const { coerced, errors } = getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {}, { maxErrors: 50 })
    if (!coerced) return { errors }
    let known = compiled.get(operation)
    if (!known) {
      known = new CompiledOperation(schema, document, operation)
      compiled.set(operation, known)
    }
    const plan = known.planFor(coerced)
    const result = await new Run(plan, coerced, context, rootValue).result()
    known.keep(plan)
    return result
  }
}

/** Plans of one operation that are kept, by the values of variables in directives. */
const plansMost = 8
/** Fields of a plan that is kept. One of this size takes about 200 kB. */
const keptFieldsMost = 1_000

/** The plans of an operation. They are kept for as long as its document is. */
class CompiledOperation {
  readonly #schema: GraphQLSchema
  readonly #operation: OperationDefinitionNode
  readonly #fragments: Plan['fragments']
  /** Names of the variables that decide what is skipped. */
  readonly #deciding: readonly string[]
  readonly #plans = new Map<string, Plan>()

  constructor(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) {
    this.#schema = schema
    this.#operation = operation
    const fragments = document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION)
    this.#fragments = Object.fromEntries(fragments.map((fragment) => [fragment.name.value, fragment]))
    this.#deciding = variablesInDirectives(document)
  }

  planFor(variables: Variables): Plan {
    return this.#plans.get(this.#keyOf(variables)) ?? createPlan(this.#schema, this.#operation, this.#fragments, variables)
  }

  keep(plan: Plan): void {
    const key = this.#keyOf(plan.variables)
    this.#plans.delete(key)
    if (plan.size > keptFieldsMost) return
    if (this.#plans.size >= plansMost) this.#plans.delete(this.#plans.keys().next().value!)
    this.#plans.set(key, plan)
  }

  #keyOf = (variables: Variables): string => this.#deciding.map((name) => String(variables[name])).join()
}

function variablesInDirectives(document: DocumentNode): readonly string[] {
  const names = new Set<string>()
  visit(document, { Directive: (directive) => void visit(directive, { Variable: ({ name }) => void names.add(name.value) }) })
  return [...names]
}

type Values = readonly unknown[]

/** Rows that are resolved or completed without looking at the time. */
const rowsAtOnce = 250

class Run {
  readonly #plan: Plan
  readonly #variables: Variables
  readonly #context: Execution['context']
  readonly #rootValue: unknown
  readonly #failures = new Failures()

  constructor(plan: Plan, variables: Variables, context: Execution['context'], rootValue: unknown) {
    this.#plan = plan
    this.#variables = variables
    this.#context = context
    this.#rootValue = rootValue
  }

  async result(): Promise<ExecutionResult> {
    const { root, operation } = this.#plan
    const answer: Container = { data: null }
    const whole = new Level(null, true)
    whole.add(answer, 0, '')
    const level = new Level(whole, true)
    try {
      level.add(root.createObject(), 0, 'data')
    } catch (error) {
      this.#failures.addOfOperation(error)
      return this.#resultOf(answer)
    }
    if (operation.operation === OperationTypeNode.MUTATION) await this.#executeInOrder(root, level)
    else await this.#execute(root, level, [this.#rootValue])
    return this.#resultOf(answer)
  }

  #resultOf({ data }: Container): ExecutionResult {
    const { errors } = this.#failures
    return (errors.length > 0 ? { errors, data } : { data }) as ExecutionResult
  }

  #execute(selection: Selection, level: Level, sources: Values): Promise<void> | undefined {
    if (sources.length === 0) return undefined
    return allOf(selection.fields.map((field) => this.#executeField(field, level, sources)))
  }

  /** One field after the other, until one makes the whole answer null. */
  async #executeInOrder(selection: Selection, level: Level): Promise<void> {
    for (const field of selection.fields) {
      if (!level.holds(0)) return
      await this.#executeField(field, level, [this.#rootValue])
    }
  }

  #executeField(field: PlannedField, level: Level, sources: Values): Promise<void> | undefined {
    this.#context.room.countValues(sources.length)
    const info = new LevelInfo(field, this.#plan, this.#variables, this.#rootValue)
    const sink = openSink(field.shape, this.#scopeOf(field, info), level)
    const close = () => sink.close()
    return this.#resolve(field, sources, info, sink)?.then(close) ?? close()
  }

  #scopeOf(field: PlannedField, info: GraphQLResolveInfo): Scope {
    return {
      field,
      info,
      context: this.#context,
      room: this.#context.room,
      failures: this.#failures,
      execute: (selection, level, sources) => this.#execute(selection, level, sources),
    }
  }

  /** Gives the sink a value for each row. */
  #resolve(field: PlannedField, sources: Values, info: GraphQLResolveInfo, sink: Sink): Promise<void> | undefined {
    const { key, argumentsFor, resolve, resolveLevel } = field
    const failAll = (error: unknown) => this.#inTurns(sources.length, (row) => sink.add(new Failure(error), row, key))
    const addAll = (values: Values) => this.#inTurns(values.length, (row) => sink.add(values[row], row, key))
    let args: object
    try {
      args = argumentsFor(this.#variables)
      if (resolveLevel) {
        const values = resolveLevel(sources, args, this.#context as GraphqlContext, info)
        return values instanceof Promise ? values.then(addAll, failAll) : addAll(values)
      }
    } catch (error) {
      return failAll(error)
    }
    const pending: PromiseLike<void>[] = []
    const loading = new Map<Batch, LoadingRow[]>()
    const fail = (error: unknown, row: number) => sink.add(new Failure(error), row, key)
    const resolveOne = (row: number) => {
      try {
        const value: unknown = resolve(sources[row], args, this.#context, info)
        if (value instanceof Loading) addTo(loading, value.batch, { row, value })
        else if (isPromise(value))
          pending.push(
            value.then(
              (settled) => sink.add(settled, row, key),
              (error: unknown) => fail(error, row),
            ),
          )
        else sink.add(value, row, key)
      } catch (error) {
        fail(error, row)
      }
    }
    const settled = () => {
      for (const [batch, rows] of loading) pending.push(this.#takeOver(batch, rows, sink, key))
      return allOf(pending)
    }
    return this.#inTurns(sources.length, resolveOne)?.then(settled) ?? settled()
  }

  /** Gives the sink the values of a batch. */
  #takeOver(batch: Batch, rows: readonly LoadingRow[], sink: Sink, key: string): Promise<void> {
    const add = (values: Values) =>
      this.#inTurns(rows.length, (index) => {
        const { row, value } = rows[index]!
        try {
          sink.add(value.of(values), row, key)
        } catch (error) {
          sink.add(new Failure(error), row, key)
        }
      })
    const failAll = (error: unknown) => this.#inTurns(rows.length, (index) => sink.add(new Failure(error), rows[index]!.row, key))
    return batch.values.then(add, failAll)
  }

  /** Does something for each row. Takes turns with other operations once it takes long. */
  #inTurns(rows: number, act: (row: number) => void, from = 0): Promise<void> | undefined {
    const some = (start: number) => {
      const end = Math.min(start + rowsAtOnce, rows)
      for (let row = start; row < end; row++) act(row)
      return end
    }
    for (let at = from; at < rows; at = some(at)) {
      const turn = this.#context.pace.next(0)
      if (turn) return turn.then(() => this.#inTurns(rows, act, some(at)))
    }
    return undefined
  }
}

type LoadingRow = { row: number; value: Loading<unknown> }

function addTo(loading: Map<Batch, LoadingRow[]>, batch: Batch, row: LoadingRow): void {
  const rows = loading.get(batch)
  if (rows) rows.push(row)
  else loading.set(batch, [row])
}

/** What resolvers are told. It is the same object for all rows of a level. */
class LevelInfo implements GraphQLResolveInfo {
  readonly fieldName: string
  readonly fieldNodes: GraphQLResolveInfo['fieldNodes']
  readonly returnType: GraphQLResolveInfo['returnType']
  readonly parentType: GraphQLResolveInfo['parentType']
  readonly schema: GraphQLSchema
  readonly fragments: Plan['fragments']
  readonly rootValue: unknown
  readonly operation: OperationDefinitionNode
  readonly variableValues: { [name: string]: unknown }

  constructor(
    { definition, nodes, parentType }: PlannedField,
    { schema, fragments, operation }: Plan,
    variables: Variables,
    rootValue: unknown,
  ) {
    this.fieldName = definition.name
    this.fieldNodes = nodes
    this.returnType = definition.type
    this.parentType = parentType
    this.schema = schema
    this.fragments = fragments
    this.rootValue = rootValue
    this.operation = operation
    this.variableValues = variables as { [name: string]: unknown }
  }

  get path(): never {
    throw new Error('the rows of a level have no path in common')
  }
}
