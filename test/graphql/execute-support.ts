/** A schema with every shape of type, whose resolvers answer, wait and fail as the seed of their parent says, and its comparison with graphql-js. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  buildSchema,
  type DocumentNode,
  type ExecutionResult,
  execute as executeByGraphqlJs,
  type GraphQLAbstractType,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLScalarType,
  type GraphQLSchema,
  getNullableType,
  getOperationAST,
  isAbstractType,
  isEnumType,
  isLeafType,
  isListType,
  isObjectType,
  isUnionType,
  parse,
} from 'graphql'
import { expect } from 'vitest'
import { createRoom } from '../../src/graphql/builder/room.ts'
import { createExecute, type Execution } from '../../src/graphql/execute/index.ts'
import { createPace, type Pace } from '../../src/platform/pace.ts'
import { hashOf } from './operation-generator.ts'

const typeDefs = /* GraphQL */ `
  scalar Odd
  enum Colour { RED GREEN BLUE }
  input Point { x: Int! = 3, y: Int, tags: [String!] = ["a"] }
  interface Named { name: String, namedNext: Named, namedStrict: Named! }
  interface Aged { age: Int! }
  type Cat implements Named & Aged { name: String, age: Int!, namedNext: Named, namedStrict: Named!, catPets: [Pet!], lives: [Int!]! }
  type Dog implements Named { name: String, namedNext: Named, namedStrict: Named!, dogPets: [Pet]!, bark: Colour! }
  type Fish implements Aged { age: Int!, water: Water!, fishOdd: Odd! }
  union Pet = Cat | Dog | Fish
  type Water { depth: Float!, waters: [Water!]!, grid: [[Water!]!], sparse: [[[Water]]!]!, text: String!, waterNext: Water, waterStrict: Water! }
  type Query {
    text: String
    textStrict: String!
    number(of: Int, at: Point, colour: Colour = GREEN): Int
    float: Float
    yes: Boolean
    id: ID
    odd: Odd
    colour: Colour
    colours: [Colour!]
    texts: [[String!]]
    water: Water
    waters: [Water!]
    watersStrict: [Water!]!
    levels: [Water]
    grid: [[Water!]!]
    pet: Pet
    pets: [Pet!]
    named: Named
    nameds(of: Int!): [Named]!
    aged: Aged!
    query: Query
    queryStrict: Query!
  }
  type Mutation { add(of: Int): Water, addStrict(of: Int): Water!, text: String, number(at: Point): Int! }
  type Subscription { water(of: Int): Water!, pets: [Pet!] }
`

type Source = { seed: number }

const seedOf = (parent: unknown, name: string) => hashOf(`${(parent as Source | undefined)?.seed ?? 0} ${name}`)

/** Names of fields that are resolved for a whole level. */
const ofLevels = new Set(['levels', 'namedNext', 'waterNext', 'age', 'depth', 'catPets'])

/** `nullable`: without any non-null output type, so that every error is reported. `calm`: nothing waits. */
export function createOddSchema({ nullable, calm }: { nullable: boolean; calm: boolean }): GraphQLSchema {
  const output = (text: string) => (nullable ? text.replace(/(type|interface)[^}]+/g, (type) => type.replace(/!(?!\s*[=)])/g, '')) : text)
  const schema = buildSchema(output(typeDefs))
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__')) continue
    if (type instanceof GraphQLScalarType && type.name === 'Odd') type.serialize = serializeOdd
    if (isAbstractType(type)) prepareAbstract(type, schema, calm)
    if (isObjectType(type)) for (const field of Object.values(type.getFields())) prepareField(field, schema, calm)
  }
  return schema
}

function serializeOdd(value: unknown): unknown {
  const seed = Number(value)
  if (seed % 7 === 0) throw new Error(`odd ${seed}`)
  return seed % 5 === 0 ? null : seed % 5 === 1 ? undefined : { seed, list: [seed] }
}

function prepareAbstract(type: GraphQLAbstractType, schema: GraphQLSchema, calm: boolean): void {
  // Unions find their type by `isTypeOf` of the objects, interfaces by name.
  if (isUnionType(type)) {
    const types = type.getTypes()
    for (const [index, one] of types.entries()) {
      one.isTypeOf = (value) => {
        const { seed } = value as Source
        const isOfType = seed % (types.length + 1) === index || 'certain' in (value as object)
        return !calm && seed % 4 === 0 ? Promise.resolve(isOfType) : isOfType
      }
    }
    return
  }
  const names = [...schema.getPossibleTypes(type).map(({ name }) => name), 'Water', 'Nothing', 'Pet']
  type.resolveType = (value) => {
    const { seed } = value as Source
    const choice = seed % 40
    const certain = value as Source & { certain?: boolean }
    certain.certain = true
    const name = choice < 3 ? names.at(-1 - choice) : choice === 3 ? undefined : names[seed % (names.length - 3)]
    if (choice === 4) throw new Error(`no type ${seed}`)
    if (choice === 5) return 5 as unknown as string
    return !calm && seed % 3 === 0 ? Promise.resolve(name) : name
  }
}

function prepareField(field: GraphQLField<unknown, unknown>, schema: GraphQLSchema, calm: boolean): void {
  const resolveSync = (parent: unknown, args: object): unknown => {
    const seed = seedOf(parent, `${field.name} ${JSON.stringify(args)}`)
    if (seed % 23 === 0) throw new Error(`thrown ${seed}`)
    if (seed % 29 === 0) return new Error(`returned ${seed}`)
    return valueFor(field.type, seed, schema, calm || ofLevels.has(field.name))
  }
  field.resolve = (parent, args) => {
    const seed = seedOf(parent, `${field.name} ${JSON.stringify(args)}`)
    if (ofLevels.has(field.name)) return resolveSync(parent, args)
    if (seed % 31 === 0) throw `text ${seed}`
    if (seed % 37 === 0) throw undefined
    if (calm || seed % 3 > 0) return resolveSync(parent, args)
    return later(seed).then(() => {
      if (seed % 19 === 0) throw { odd: seed }
      return resolveSync(parent, args)
    })
  }
  if (!ofLevels.has(field.name)) return
  const resolveLevel = (parents: readonly unknown[], args: object) => {
    const values = parents.map((parent) => {
      try {
        return resolveSync(parent, args)
      } catch (error) {
        return error
      }
    })
    return calm || values.length % 2 === 0 ? values : later(values.length).then(() => values)
  }
  field.extensions = { resolveLevel }
}

/** After some turns of the microtask queue or of the event loop. */
const later = (seed: number): Promise<void> =>
  seed % 2 === 0 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve().then(() => {})

function valueFor(type: GraphQLOutputType, seed: number, schema: GraphQLSchema, calm: boolean): unknown {
  const nullable = getNullableType(type)
  if (seed % 13 === 0) return seed % 2 === 0 ? null : undefined
  if (isListType(nullable)) return listOf(nullable.ofType, seed, schema, calm)
  if (!isLeafType(nullable)) return { seed }
  if (isEnumType(nullable)) return seed % 17 === 0 ? 'PINK' : nullable.getValues()[seed % 3]!.value
  return leaves[nullable.name]!(seed)
}

const leaves: Record<string, (seed: number) => unknown> = {
  String: (seed) => [`text ${seed}`, seed, true, { valueOf: () => `v${seed}` }, { seed }, Symbol('s')][seed % 11] ?? `t${seed}`,
  Int: (seed) => [seed % 1000, `${seed % 1000}`, true, 1.5, 2 ** 40, 'x', Number.NaN][seed % 11] ?? seed % 100,
  Float: (seed) => [seed / 7, '1.5', false, Number.POSITIVE_INFINITY][seed % 9] ?? seed / 3,
  Boolean: (seed) => [true, 0, 'yes', Number.NaN][seed % 7] ?? false,
  ID: (seed) => [seed, `id ${seed}`, 1.5, {}][seed % 7] ?? `i${seed}`,
  Odd: (seed) => seed,
}

function listOf(type: GraphQLOutputType, seed: number, schema: GraphQLSchema, calm: boolean): unknown {
  if (seed % 41 === 0) return { seed }
  if (seed % 43 === 0) return 'text'
  const items = Array.from({ length: seed % 4 }, (_, index) => {
    const own = hashOf(`${seed} ${index}`)
    if (own % 47 === 0) return new Error(`item ${own}`)
    if (calm || own % 5 > 0) return valueFor(type, own, schema, calm)
    return later(own).then(() => {
      if (own % 11 === 0) throw new Error(`late item ${own}`)
      return valueFor(type, own, schema, calm)
    })
  })
  return seed % 10 === 0 ? new Set(items) : seed % 10 === 1 ? items.values() : items
}

export type Asked = { schema: GraphQLSchema; document: DocumentNode; variables?: Record<string, unknown>; rootValue?: unknown }

export const contextOf = (): Execution['context'] => ({ pace: createPace(), room: createRoom() })

/** A context in which an operation waits for its turn as `next` says. */
export const contextPacedBy = (next: Pace['next']): Execution['context'] => ({
  ...contextOf(),
  pace: { next, whenIdle: (run) => run() },
})

/** The answers of both executors. */
export async function both(
  { schema, document, variables, rootValue }: Asked,
  execute = createExecute(schema),
  context = contextOf(),
): Promise<{ ours: ExecutionResult; theirs: ExecutionResult }> {
  const operation = getOperationAST(document)!
  const ours = await execute({ document, operation, variables, rootValue, context })
  await nextTurn()
  const args = { schema, document, variableValues: variables, rootValue, contextValue: contextOf() }
  return { ours, theirs: await withUnhandledRejections(async () => executeByGraphqlJs(args)) }
}

/** graphql-js does not handle rejections of a list's items if another item of it fails at once. */
async function withUnhandledRejections<Value>(act: () => Promise<Value>): Promise<Value> {
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', () => {})
  try {
    const value = await act()
    for (let turn = 0; turn < 8; turn++) await nextTurn()
    return value
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
}

type Reported = { at: string; text: string }
const reported = ({ errors = [] }: ExecutionResult): Reported[] =>
  errors.map(({ message, path, locations }) => ({ at: JSON.stringify(path ?? null), text: JSON.stringify([message, locations]) }))

const byPlace = (one: Reported, other: Reported) => (one.at < other.at ? -1 : one.at > other.at ? 1 : one.text < other.text ? -1 : 1)

/** All errors, in the order of their places. */
export const sortedErrors = (result: ExecutionResult) => reported(result).toSorted(byPlace)

/** The places that errors made null. Which of several errors that null one place is reported depends on which came first. */
export function nulledPlaces({ data, errors = [] }: ExecutionResult): string[] {
  const places = errors.map(({ path = [] }) => {
    let value: unknown = data
    for (const [depth, key] of path.entries()) {
      if (value === null || value === undefined) return JSON.stringify(path.slice(0, depth))
      value = (value as Record<string | number, unknown>)[key]
    }
    return JSON.stringify(path)
  })
  return [...new Set(places)].sort()
}

/** The same data with its keys in the same order, the same places null, and the same error wherever both report one. */
export function expectSame(ours: ExecutionResult, theirs: ExecutionResult): void {
  expect(JSON.stringify(ours.data)).toBe(JSON.stringify(theirs.data))
  expect(nulledPlaces(ours)).toEqual(nulledPlaces(theirs))
  const known = new Map(reported(theirs).map(({ at, text }) => [at, text]))
  for (const { at, text } of reported(ours)) expect({ at, text: known.get(at) ?? text }).toEqual({ at, text })
}

/** A schema with resolvers by `Type.field`. */
export const schemaOf = (
  typeDefs: string,
  resolvers: Record<string, (parent: never, args: never, context: never, info: never) => unknown>,
): GraphQLSchema => {
  const schema = buildSchema(typeDefs)
  for (const [name, resolve] of Object.entries(resolvers)) {
    const [type, field] = name.split('.')
    ;(schema.getType(type!) as GraphQLObjectType).getFields()[field!]!.resolve = resolve as never
  }
  return schema
}

export const run = (schema: GraphQLSchema, source: string, variables: Record<string, unknown> = {}, context = contextOf()) => {
  const document = parse(source)
  return createExecute(schema)({ document, operation: getOperationAST(document)!, variables, context })
}
