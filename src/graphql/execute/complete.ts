/**
 * Completion of values by their types: each resolved value of a level becomes a value of the answer or an error. What the objects among them
 * select is then executed for all of them at once.
 */
import {
  defaultTypeResolver,
  type GraphQLAbstractType,
  GraphQLError,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  isObjectType,
} from 'graphql'
import { inspect } from 'graphql/jsutils/inspect.js'
import type { Room } from '../builder/room.ts'
import { type Container, type Failures, type Key, Level } from './level.ts'
import type { PlannedField, Selection, Shape } from './plan.ts'
import { allOf, isPromise } from './promise.ts'

/** In place of a value: why there is none. */
export class Failure {
  readonly reason: unknown
  constructor(reason: unknown) {
    this.reason = reason
  }
}

/** What the completion of a field's values needs. */
export type Scope = {
  field: PlannedField
  info: GraphQLResolveInfo
  context: unknown
  room: Room
  failures: Failures
  /** Executes what is selected of the objects of a level. */
  execute(selection: Selection, level: Level, sources: readonly unknown[]): Promise<void> | undefined
}

/** Takes the values of one shape, each with its place: a container of the level above, and a key of it. */
export abstract class Sink {
  protected readonly scope: Scope
  protected readonly up: Level
  readonly #nullable: boolean

  constructor(scope: Scope, up: Level, nullable: boolean) {
    this.scope = scope
    this.up = up
    this.#nullable = nullable
  }

  add(value: unknown, row: number, key: Key): void {
    if (value === null || value === undefined) this.#addNull(row, key)
    else if (value instanceof Failure) this.fail(value.reason, row, key)
    else if (value instanceof Error) this.fail(value, row, key)
    else {
      try {
        this.complete(value, row, key)
      } catch (error) {
        this.fail(error, row, key)
      }
    }
  }

  /** Ends when everything below the values is complete. */
  close(): Promise<void> | undefined {
    return undefined
  }

  /** Puts the value into its place. Throws if it has none of its type. */
  protected abstract complete(value: unknown, row: number, key: Key): void

  protected fail(error: unknown, row: number, key: Key): void {
    this.scope.failures.add(error, this.scope.field.nodes, { level: this.up, row, key, nullable: this.#nullable })
  }

  #addNull(row: number, key: Key): void {
    if (this.#nullable) this.up.containers[row]![key] = null
    else this.fail(new Error(`Cannot return null for non-nullable field ${nameOf(this.scope.field)}.`), row, key)
  }
}

export function openSink(shape: Shape, scope: Scope, up: Level): Sink {
  switch (shape.kind) {
    case 'leaf':
      return new LeafSink(shape, scope, up)
    case 'list':
      return new ListSink(shape, scope, up)
    case 'object':
      return new ObjectSink(shape, scope, up)
    case 'abstract':
      return new AbstractSink(shape, scope, up)
  }
}

type Of<Kind extends Shape['kind']> = Extract<Shape, { kind: Kind }>

class LeafSink extends Sink {
  readonly #type: Of<'leaf'>['type']

  constructor({ type, nullable }: Of<'leaf'>, scope: Scope, up: Level) {
    super(scope, up, nullable)
    this.#type = type
  }

  protected override complete(value: unknown, row: number, key: Key): void {
    const serialized = this.#type.serialize(value)
    if (serialized === null || serialized === undefined) {
      throw new Error(
        `Expected \`${inspect(this.#type)}.serialize(${inspect(value)})\` to return non-nullable value, returned: ${inspect(serialized)}`,
      )
    }
    this.up.containers[row]![key] = serialized
  }
}

class ListSink extends Sink {
  readonly #level: Level
  readonly #items: Sink
  readonly #isCounted: boolean
  readonly #pending: PromiseLike<void>[] = []

  constructor({ item, nullable, isCounted }: Of<'list'>, scope: Scope, up: Level) {
    super(scope, up, nullable)
    this.#level = new Level(up, nullable)
    this.#items = openSink(item, scope, this.#level)
    this.#isCounted = isCounted
  }

  protected override complete(value: unknown, row: number, key: Key): void {
    const items = itemsOf(value, this.scope.field)
    this.scope.room.countValues(items.length)
    if (this.#isCounted) this.scope.room.takeRows(items.length)
    const list = this.#level.add([] as unknown as Container, row, key)
    for (let index = 0; index < items.length; index++) {
      const item = items[index]
      if (!isPromise(item)) {
        this.#items.add(item, list, index)
        continue
      }
      this.#level.containers[list]![index] = null
      const add = (settled: unknown) => this.#items.add(settled, list, index)
      this.#pending.push(item.then(add, (error: unknown) => add(new Failure(error))))
    }
  }

  override close(): Promise<void> | undefined {
    return allOf(this.#pending)?.then(() => this.#items.close()) ?? this.#items.close()
  }
}

function itemsOf(value: unknown, field: PlannedField): readonly unknown[] {
  if (Array.isArray(value)) return value
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) return Array.from(value as Iterable<unknown>)
  throw new GraphQLError(`Expected Iterable, but did not find one for field "${nameOf(field)}".`)
}

class ObjectSink extends Sink {
  readonly #type: GraphQLObjectType
  readonly #selection: Selection
  readonly #level: Level
  readonly #sources: unknown[] = []
  readonly #pending: PromiseLike<void>[] = []

  constructor({ type, selection, nullable }: Pick<Of<'object'>, 'type' | 'selection' | 'nullable'>, scope: Scope, up: Level) {
    super(scope, up, nullable)
    this.#type = type
    this.#selection = selection
    this.#level = new Level(up, nullable)
  }

  protected override complete(value: unknown, row: number, key: Key): void {
    const { isTypeOf } = this.#type
    const isOfType = isTypeOf ? isTypeOf(value, this.scope.context, this.scope.info) : true
    if (isPromise(isOfType)) {
      const begin = (settled: boolean) => this.#begin(settled, value, row, key)
      this.#pending.push(isOfType.then(begin).then(undefined, (error: unknown) => this.fail(error, row, key)))
    } else this.#begin(isOfType, value, row, key)
  }

  #begin(isOfType: boolean, value: unknown, row: number, key: Key): void {
    if (!isOfType) {
      const { nodes } = this.scope.field
      throw new GraphQLError(`Expected value of type "${this.#type.name}" but got: ${inspect(value)}.`, { nodes })
    }
    this.#level.add(this.#selection.createObject(), row, key)
    this.#sources.push(value)
  }

  override close(): Promise<void> | undefined {
    const execute = () => this.scope.execute(this.#selection, this.#level, this.#sources)
    return allOf(this.#pending)?.then(execute) ?? execute()
  }
}

class AbstractSink extends Sink {
  readonly #shape: Of<'abstract'>
  readonly #sinks = new Map<GraphQLObjectType, ObjectSink>()
  readonly #pending: PromiseLike<void>[] = []

  constructor(shape: Of<'abstract'>, scope: Scope, up: Level) {
    super(scope, up, shape.nullable)
    this.#shape = shape
  }

  protected override complete(value: unknown, row: number, key: Key): void {
    const { type } = this.#shape
    const { context, info } = this.scope
    const add = (name: unknown) => this.#sinkOf(concreteType(name, type, value, this.scope)).add(value, row, key)
    const name: unknown = (type.resolveType ?? defaultTypeResolver)(value, context, info, type)
    if (isPromise(name)) this.#pending.push(name.then(add).then(undefined, (error: unknown) => this.fail(error, row, key)))
    else add(name)
  }

  #sinkOf(type: GraphQLObjectType): ObjectSink {
    const known = this.#sinks.get(type)
    if (known) return known
    const { nullable, selectionOf } = this.#shape
    const sink = new ObjectSink({ type, nullable, selection: selectionOf(type) }, this.scope, this.up)
    this.#sinks.set(type, sink)
    return sink
  }

  override close(): Promise<void> | undefined {
    const close = () => allOf([...this.#sinks.values()].map((sink) => sink.close()))
    return allOf(this.#pending)?.then(close) ?? close()
  }
}

/** The object type of a value, by the name that the type's resolver gave. */
function concreteType(name: unknown, abstract: GraphQLAbstractType, value: unknown, { field, info }: Scope): GraphQLObjectType {
  const { nodes } = field
  const must = `Abstract type "${abstract.name}" must resolve to an Object type at runtime for field "${nameOf(field)}"`
  if (name === null || name === undefined) {
    throw new GraphQLError(
      `${must}. Either the "${abstract.name}" type should provide a "resolveType" function or each possible type should provide an "isTypeOf" function.`,
      { nodes },
    )
  }
  if (typeof name !== 'string') throw new GraphQLError(`${must} with value ${inspect(value)}, received "${inspect(name)}".`)
  const type = info.schema.getType(name)
  if (!type) {
    throw new GraphQLError(`Abstract type "${abstract.name}" was resolved to a type "${name}" that does not exist inside the schema.`, {
      nodes,
    })
  }
  if (!isObjectType(type)) {
    throw new GraphQLError(`Abstract type "${abstract.name}" was resolved to a non-object type "${name}".`, { nodes })
  }
  if (!info.schema.isSubType(abstract, type)) {
    throw new GraphQLError(`Runtime Object type "${type.name}" is not a possible type for "${abstract.name}".`, { nodes })
  }
  return type
}

const nameOf = ({ parentType, definition }: PlannedField) => `${parentType.name}.${definition.name}`
