/** The executor answers as graphql-js does, which is asked the same in the same test. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { execute as executeByGraphqlJs, type GraphQLSchema, getIntrospectionQuery, getOperationAST, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { createExecute } from '../../src/graphql/execute/index.ts'
import { both, contextOf, contextPacedBy, createOddSchema, expectSame, schemaOf, sortedErrors } from './execute-support.ts'
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

it('a schema without mutations answers one with the same error', async () => {
  const schema = schemaOf('type Query { a: Int }', {})
  const document = parse('mutation { a }')
  const ours = await createExecute(schema)({ document, operation: getOperationAST(document)!, context: contextOf() })
  expect(JSON.parse(JSON.stringify(ours))).toEqual(JSON.parse(JSON.stringify(await executeByGraphqlJs({ schema, document }))))
})
