import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Body, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer()
})
afterAll(() => api.close())

const ask = async (query: string, variables?: Record<string, unknown>) => (await (await api.post({ query, variables })).json()) as Body
const limitOf = async (query: string, variables?: Record<string, unknown>) => {
  const { data, errors } = await ask(query, variables)
  if (!errors) return 'passed'
  expect(data).toBeUndefined()
  const { code, kind, details } = errors[0]!.extensions
  return code === 'query_limit_exceeded' && kind === 'invalid' ? details?.limit : code
}

const times = (n: number, text: (index: number) => string) => Array.from({ length: n }, (_, index) => text(index)).join(' ')
const nest = (levels: number, field: string, leaf: string) => `${field} { `.repeat(levels) + leaf + ' }'.repeat(levels)

describe('an operation passes at a limit and is refused above it', () => {
  it.each<[string, string, (n: number) => string, number]>([
    ['tokens', '2,000 tokens', (n) => `{ ${times(n - 2, () => 'hello')} }`, 2_000],
    ['characters', '100,000 characters', (n) => `{ hello ${','.repeat(n - 10)} }`, 100_000],
    ['lines', '2,500 lines', (n) => `{ hello ${'\r\n'.repeat(n - 1)} }`, 2_500],
    ['definitions', '100 definitions', (n) => `{ hello } ${times(n - 1, (i) => `fragment F${i} on Item { id }`)}`, 100],
    ['depth', '15 levels', (n) => `{ ${nest(1, 'nodes(ids: [])', nest(n - 1, 'parent', 'id'))} }`, 15],
    ['aliases', '30 aliases', (n) => `{ nodes(ids: []) { ${times(n, (i) => `a${i}: id`)} } }`, 30],
    ['rootFields', '20 root fields', (n) => `{ ${times(n, () => 'hello')} }`, 20],
  ])('%s: %s', async (limit, _promise, query, most) => {
    if (limit === 'tokens') expect(await limitOf(query(most))).toBe('rootFields')
    else if (limit === 'definitions') expect(await limitOf(query(most))).toBe('graphql_validation_failed')
    else expect(await limitOf(query(most))).toBe('passed')
    expect(await limitOf(query(most + 1))).toBe(limit)
  })

  it('100 selections of one field at one place pass, including those in fragments', async () => {
    expect(await limitOf(`{ nodes(ids: []) { ${times(100, () => 'parent { id }')} } }`)).toBe('passed')
    expect(await limitOf(`{ nodes(ids: []) { ${times(101, () => 'parent { id }')} } }`)).toBe('repeats')
    expect(await limitOf(`{ nodes(ids: []) { ...F } } fragment F on Item { parent { ${times(101, () => 'id')} } }`)).toBe('repeats')
  })

  it('8 directives at one place pass; more are refused before validation', async () => {
    expect(await limitOf(`{ hello ${times(8, () => '@skip(if: false)')} }`)).toBe('graphql_validation_failed')
    expect(await limitOf(`{ hello ${times(9, () => '@skip(if: false)')} }`)).toBe('directives')
  })
  it.each([
    'query ($a: Int @x@x@x@x@x@x@x@x@x) { hello }',
    'query @x@x@x@x@x@x@x@x@x { hello }',
    '{ ... @x@x@x@x@x@x@x@x@x { hello } }',
    'fragment F on Query @x@x@x@x@x@x@x@x@x { hello } { hello }',
    '{ ...F @x@x@x@x@x@x@x@x@x } fragment F on Query { hello }',
  ])('directives are counted everywhere: %s', async (query) => expect(await limitOf(query)).toBe('directives'))
})

describe('depth', () => {
  it('does not count edges, node and nodes', async () => {
    const query = (n: number) => `{ ${'items(first: 1) { edges { node { '.repeat(n)} id ${'} } } '.repeat(n)} }`
    expect(await limitOf(query(14))).toBe('passed')
    expect(await limitOf(query(15))).toBe('depth')
  })
  it('is counted through named, nested and inline fragments', async () => {
    const fragments = times(8, (i) => `fragment F${i} on Item { parent { ... { parent { ${i < 7 ? `...F${i + 1}` : 'id'} } } } }`)
    expect(await limitOf(`{ nodes(ids: []) { ...F0 } } ${fragments}`)).toBe('depth')
  })
})

describe('fragments', () => {
  it('are counted at each spread', async () => {
    const fragment = `fragment F on Item { ${times(11, (i) => `a${i}: id`)} }`
    expect(await limitOf(`{ x: nodes(ids: []) { ...F } y: nodes(ids: []) { ...F } } ${fragment}`)).toBe('passed')
    expect(await limitOf(`{ x: nodes(ids: []) { ...F } y: nodes(ids: []) { ...F } z: nodes(ids: []) { ...F } } ${fragment}`)).toBe(
      'aliases',
    )
  })
  it('that double at each level are measured once each', async () => {
    const fragments = times(90, (i) => `fragment F${i} on Item { ${i < 89 ? `...F${i + 1} ...F${i + 1}` : 'a: id'} }`)
    expect(await limitOf(`{ nodes(ids: []) { ...F0 } } ${fragments}`)).toBe('aliases')
  })
  it.each([
    'fragment F on Query { ...F } { ...F }',
    'fragment F on Query { hello ...G } fragment G on Query { ...F } { ...F }',
    'fragment F on Item { parent { ...F } } { nodes(ids: []) { ...F } }',
    '{ ...Unknown }',
  ])('that are circular or unknown are refused by validation: %s', async (query) =>
    expect(await limitOf(query)).toBe('graphql_validation_failed'),
  )
})

describe('page sizes', () => {
  it('multiply: 100 times 100 passes, a third level does not', async () => {
    expect(await limitOf('{ items(first: 100) { nodes { items(first: 100) { nodes { id } } } } }')).toBe('passed')
    expect(await limitOf('{ items(first: 100) { nodes { items(first: 100) { nodes { items(first: 2) { nodes { id } } } } } } }')).toBe(
      'nestedPages',
    )
  })
  it('that are absent count as the default of 50', async () => {
    expect(await limitOf('{ items { nodes { items { nodes { items(first: 4) { nodes { id } } } } } } }')).toBe('passed')
    expect(await limitOf('{ items { nodes { items { nodes { items(first: 5) { nodes { id } } } } } } }')).toBe('nestedPages')
  })
  it('come from variables and their defaults; null is the default page', async () => {
    const query = 'query ($n: Int = 1) { items(first: $n) { nodes { items(first: 100) { nodes { items(first: 10) { nodes { id } } } } } } }'
    expect(await limitOf(query)).toBe('passed')
    expect(await limitOf(query, { n: 10 })).toBe('passed')
    expect(await limitOf(query, { n: 11 })).toBe('nestedPages')
    expect(await limitOf(query, { n: null })).toBe('nestedPages')
  })
  it('are counted through fragments', async () => {
    const fragment = 'fragment F on Item { items(first: 100) { nodes { ...G } } } fragment G on Item { items(first: 100) { nodes { id } } }'
    expect(await limitOf(`{ items(first: 2) { nodes { ...F } } } ${fragment}`)).toBe('nestedPages')
  })
  it('of a list by ids are the number of ids', async () => {
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { items(first: 100) { nodes { items(first: 50) { nodes { id } } } } } }'
    expect(await limitOf(query, { ids: ['a'] })).toBe('passed')
    expect(await limitOf(query, { ids: ['a', 'b', 'c'] })).toBe('nestedPages')
  })
})

describe('cost', () => {
  it('adds up over fields that each pass alone', async () => {
    const list = (i: number) => `a${i}: items(first: 100) { nodes { items(first: 90) { nodes { id } } } }`
    expect(await limitOf(`{ ${times(2, list)} }`)).toBe('passed')
    expect(await limitOf(`{ ${times(3, list)} }`)).toBe('cost')
  })
  it('includes introspection, so that it cannot be repeated many times in one operation', async () => {
    expect(await limitOf(`{ ${times(3, (i) => `a${i}: __schema { types { name } }`)} }`)).toBe('cost')
  })
})

describe('introspection', () => {
  it.each([
    [
      'of GraphiQL',
      getIntrospectionQuery({ inputValueDeprecation: true, schemaDescription: true, specifiedByUrl: true, directiveIsRepeatable: true }),
    ],
    ['of graphql-inspector', getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true, descriptions: true })],
  ])('%s passes for a caller with a key', async (_name, query) => {
    const { data, errors } = await ask(query)
    expect(errors).toBeUndefined()
    expect(data).toHaveProperty('__schema.types')
  })
  it('that selects fields of types of fields is refused', async () => {
    const bomb = (levels: number) => `{ __schema { types { ${'fields { type { '.repeat(levels)} name ${'} } '.repeat(levels)} } } }`
    expect((await ask(bomb(2))).errors).toBeUndefined()
    expect((await ask(bomb(3))).errors![0]).toMatchObject({ extensions: { code: 'query_limit_exceeded' } })
  })
  it('with an endless chain of ofType is refused', async () => {
    expect(await limitOf(`{ __schema { types { ${nest(25, 'ofType', 'name')} } } }`)).toBe('introspectionDepth')
  })
})
