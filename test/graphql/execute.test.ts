/** The executor answers as graphql-js does, which is asked the same in the same test. */
import { setImmediate as nextTurn } from 'node:timers/promises'

import fc from 'fast-check'
import {
  buildSchema,
  execute as executeByGraphqlJs,
  type GraphQLObjectType,
  type GraphQLSchema,
  getIntrospectionQuery,
  getOperationAST,
  parse,
  validate,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { oncePerLevel, oncePerSelection } from '../../src/graphql/builder/level.ts'
import { roomLimits } from '../../src/graphql/builder/room.ts'
import { createExecute } from '../../src/graphql/execute/index.ts'
import { both, contextOf, contextPacedBy, createOddSchema, expectSame, sortedErrors } from './execute-support.ts'
import { createRandom, type Generated, generateOperation, type Random } from './operation-generator.ts'

const schemas = {
  strict: createOddSchema({ nullable: false, calm: false }),
  nullable: createOddSchema({ nullable: true, calm: false }),
  calm: createOddSchema({ nullable: false, calm: true }),
}
const executes = {
  strict: createExecute(schemas.strict),
  nullable: createExecute(schemas.nullable),
  calm: createExecute(schemas.calm),
}
type Kind = keyof typeof schemas

/** Values of arguments: literals, variables in various places, and what is not valid only when it is executed. */
function argumentOf(random: Random, name: string): string | undefined {
  const choices: Record<string, readonly (string | undefined)[]> = {
    of: ['1', '2', '$of', '$absent', undefined],
    at: ['{ x: 1 }', '{ y: $of }', '{ x: 2, y: 5, tags: ["b"] }', '$at', 'null', undefined],
    colour: ['RED', '$colour', 'null', undefined],
  }
  return choices[name]![random(choices[name]!.length)]
}

function generate(
  kind: Kind,
  seed: number,
  operation: 'query' | 'mutation' | 'subscription' = 'query',
): Generated & { document: ReturnType<typeof parse> } {
  const random = createRandom(seed)
  const generated = generateOperation({
    schema: schemas[kind],
    kind: operation,
    random,
    depth: 5,
    argument: (arg, field) => (field.name === 'nameds' ? String(random(3)) : argumentOf(random, arg.name)),
  })
  const uses = (name: string) => generated.source.includes(`$${name}`)
  const declarations = ['$of: Int', '$absent: Int = 4', '$at: Point', '$colour: Colour'].filter((text) => uses(/\w+/.exec(text)![0]))
  const flags = Object.keys(generated.variables).map((name) => `$${name}: Boolean!`)
  const declared = [...flags, ...declarations].join(', ')
  const body = generated.source.replace(/^\w+( \([^)]*\))?/, '')
  const source = `${operation}${declared ? `(${declared})` : ''}${body}`
  const values = { of: random(3) === 0 ? null : random(5), at: random(2) === 0 ? { x: random(9) } : undefined, colour: 'BLUE' }
  const document = parse(source)
  expect(validate(schemas[kind], document)).toEqual([])
  return { source, document, variables: { ...generated.variables, ...(random(4) > 0 ? values : {}) } }
}

const compared = (kind: Kind, check: (asked: ReturnType<typeof generate>, seed: number) => Promise<void>, runs = 200) =>
  fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => check(generate(kind, seed), seed)),
    { numRuns: runs },
  )

describe('a generated query', () => {
  it('has the same data in the same order, and errors at the same places', () =>
    compared('strict', async ({ document, variables }, seed) => {
      const { ours, theirs } = await both({ schema: schemas.strict, document, variables, rootValue: { seed } }, executes.strict)
      expectSame(ours, theirs)
    }))

  it('has exactly the same errors where each of them is reported', () =>
    compared('nullable', async ({ document, variables }, seed) => {
      const { ours, theirs } = await both({ schema: schemas.nullable, document, variables, rootValue: { seed } }, executes.nullable)
      expect(JSON.stringify(ours.data)).toBe(JSON.stringify(theirs.data))
      expect(sortedErrors(ours)).toEqual(sortedErrors(theirs))
    }))

  it('has the same answer when nothing waits', () =>
    compared('calm', async ({ document, variables }, seed) => {
      const { ours, theirs } = await both({ schema: schemas.calm, document, variables, rootValue: { seed } }, executes.calm)
      expectSame(ours, theirs)
    }))

  it('has the same answer when it waits for its turn wherever it can', () =>
    compared(
      'strict',
      async ({ document, variables }, seed) => {
        const context = contextPacedBy(() => nextTurn())
        const { ours, theirs } = await both({ schema: schemas.strict, document, variables, rootValue: { seed } }, executes.strict, context)
        expectSame(ours, theirs)
      },
      100,
    ))

  it('has the same answer each time, with the variables of each time', () =>
    compared(
      'strict',
      async ({ document, variables }, seed) => {
        for (const flip of [false, true, false]) {
          const flipped = Object.fromEntries(
            Object.entries(variables).map(([name, value]) => [name, typeof value === 'boolean' ? value !== flip : value]),
          )
          const { ours, theirs } = await both(
            { schema: schemas.strict, document, variables: flipped, rootValue: { seed } },
            executes.strict,
          )
          expectSame(ours, theirs)
        }
      },
      100,
    ))
})

it.each(['mutation', 'subscription'] as const)('a generated %s has the same answer', (operation) =>
  fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const { document, variables } = generate('strict', seed, operation)
      const { ours, theirs } = await both({ schema: schemas.strict, document, variables, rootValue: { seed } }, executes.strict)
      expectSame(ours, theirs)
    }),
    { numRuns: 200 },
  ),
)

it.each(['strict', 'nullable'] as const)('introspection of the schema (%s) has the same answer', async (kind) => {
  const document = parse(getIntrospectionQuery({ inputValueDeprecation: true, schemaDescription: true, oneOf: true, specifiedByUrl: true }))
  const { ours, theirs } = await both({ schema: schemas[kind], document })
  expect(ours.errors).toBeUndefined()
  expect(JSON.stringify(ours)).toBe(JSON.stringify(theirs))
})

const schemaOf = (
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

const run = (schema: GraphQLSchema, source: string, variables: Record<string, unknown> = {}, context = contextOf()) => {
  const document = parse(source)
  return createExecute(schema)({ document, operation: getOperationAST(document)!, variables, context })
}

const sameAnswer = async (schema: GraphQLSchema, source: string, variables: Record<string, unknown> = {}) => {
  const { ours, theirs } = await both({ schema, document: parse(source), variables })
  expect(JSON.parse(JSON.stringify(ours))).toEqual(JSON.parse(JSON.stringify(theirs)))
  return ours
}

describe('what is not valid only when it is executed has the same error', () => {
  it.each([
    ['a variable of another type', 'query ($of: Int) { number(of: $of) }', { of: 'x' }],
    ['a required variable without a value', 'query ($of: Int!) { nameds(of: $of) { name } }', {}],
    ['an input with many problems', 'query ($at: Point) { number(at: $at) }', { at: { x: 'a', y: 'b', z: 1, tags: [1, null] } }],
    ['null in a variable of a required argument', 'query ($of: Int = 1) { text nameds(of: $of) { name } }', { of: null }],
    ['null in a variable of a directive', 'query ($if: Boolean = true) { text @skip(if: $if) }', { if: null }],
    ['null in a variable of a directive below', 'query ($if: Boolean = true) { water { text @include(if: $if) } }', { if: null }],
  ])('%s', async (_title, source, variables) => {
    const { ours, theirs } = await both({ schema: schemas.nullable, document: parse(source), variables, rootValue: { seed: 4 } })
    expect(theirs.errors?.length).toBeGreaterThan(0)
    expect(JSON.parse(JSON.stringify(ours))).toEqual(JSON.parse(JSON.stringify(theirs)))
  })
})

it('a key may have any name', async () => {
  const schema = schemaOf('type Query { text: String, query: Query }', { 'Query.text': () => 'x', 'Query.query': () => ({}) })
  const { data } = await sameAnswer(schema, '{ __proto__: text constructor: query { __proto__: query { text } toString: text } }')
  expect(JSON.stringify(data)).toBe('{"__proto__":"x","constructor":{"__proto__":{"text":"x"},"toString":"x"}}')
})

describe('a mutation', () => {
  const order: string[] = []
  const schema = schemaOf('type Query { a: Int } type Mutation { slow: Int, quick: Int, failing: Int! }', {
    'Mutation.slow': async () => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push('slow')
    },
    'Mutation.quick': () => void order.push('quick'),
    'Mutation.failing': async () => {
      order.push('failing')
      throw new Error('no')
    },
  })

  it('executes its fields one after the other, and none after the answer became null', async () => {
    const answer = await run(schema, 'mutation { slow quick failing again: quick }')
    expect(order).toEqual(['slow', 'quick', 'failing'])
    expect(answer).toMatchObject({ data: null, errors: [{ message: 'no', path: ['failing'] }] })
  })
})

describe('a level', () => {
  const infos = new Set<object>()
  const selections = new Set<unknown>()
  const levels: number[] = []
  const keys: object[] = []
  const schema = schemaOf('type Query { items: [Item!]! } type Item { id: Int!, parts(of: Int): [Item!]!, all: Int }', {
    'Query.items': () => [{ id: 1 }, { id: 2 }],
    'Item.parts': ({ id }: { id: number }, args: object, _context, info: never) => {
      infos.add(oncePerLevel(info, 'test', () => ({})))
      selections.add(oncePerSelection(info, 'test', () => ({})))
      keys.push(args)
      return [{ id: id * 10 }, { id: id * 10 + 1 }]
    },
  })
  ;(schema.getType('Item') as GraphQLObjectType).getFields().all!.extensions = {
    resolveLevel: (parents: readonly { id: number }[]) => {
      levels.push(parents.length)
      return parents.map(({ id }) => id)
    },
  }
  const source = 'query ($of: Int) { items { parts(of: $of) { parts(of: 2) { all } } } }'

  it('is resolved at once where a field allows it, and shares its arguments and what is computed once', async () => {
    const document = parse(source)
    const execute = createExecute(schema)
    const ask = (of: number) => execute({ document, operation: getOperationAST(document)!, variables: { of }, context: contextOf() })
    const { data } = await ask(1)
    expect(data!.items).toEqual(
      [10, 20].map((ten) => ({ parts: [ten, ten + 1].map((id) => ({ parts: [{ all: id * 10 }, { all: id * 10 + 1 }] })) })),
    )
    expect([levels, infos.size, selections.size, new Set(keys).size]).toEqual([[8], 2, 2, 2])
    expect(keys.every((args) => Object.isFrozen(args))).toBe(true)
    await ask(2)
    // The second execution has its own levels and the selections of the first one.
    expect([levels, infos.size, selections.size]).toEqual([[8, 8], 4, 2])
    expect(new Set(keys.map((args) => JSON.stringify(args)))).toEqual(new Set(['{"of":1}', '{"of":2}']))
  })
})

describe('a long operation', () => {
  const schema = schemaOf('type Query { items(count: Int!): [Item!] } type Item { id: Int!, twice: Int! }', {
    'Query.items': (_root, { count }: { count: number }) => Array.from({ length: count }, (_, id) => ({ id })),
    'Item.twice': ({ id }: { id: number }) => id * 2,
  })

  it('asks for a turn again and again', async () => {
    let turns = 0
    const context = contextPacedBy(() => (turns++ % 3 === 2 ? nextTurn() : undefined))
    const { data } = await run(schema, '{ items(count: 5000) { id twice } }', {}, context)
    expect(data!.items).toHaveLength(5_000)
    expect(context.room.values).toBe(1 + 5_000 + 2 * 5_000)
    expect(turns).toBeGreaterThan(30)
  })

  it('rejects when it is aborted, wherever it waits', async () => {
    const gone = new AbortController()
    const context = contextPacedBy(() => nextTurn().then(() => gone.signal.throwIfAborted()))
    const answer = run(schema, '{ items(count: 5000) { id twice } }', {}, context)
    setImmediate(() => gone.abort(new Error('gone')))
    await expect(answer).rejects.toThrow('gone')
  })

  it('has a limited number of list items', async () => {
    expect((await run(schema, `{ items(count: ${roomLimits.rows}) { id } }`)).errors).toBeUndefined()
    expect(await run(schema, `{ items(count: ${roomLimits.rows + 1}) { id } }`)).toMatchObject({
      data: { items: null },
      errors: [{ path: ['items'], originalError: { code: 'query_limit_exceeded' } }],
    })
  })
})

it('a schema without mutations answers one with the same error', async () => {
  const schema = schemaOf('type Query { a: Int }', {})
  const document = parse('mutation { a }')
  const ours = await createExecute(schema)({ document, operation: getOperationAST(document)!, context: contextOf() })
  expect(JSON.parse(JSON.stringify(ours))).toEqual(JSON.parse(JSON.stringify(await executeByGraphqlJs({ schema, document }))))
})
