/** How the executor works: in which order, by levels, with plans that are kept, and in turns. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type GraphQLObjectType, getOperationAST, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { oncePerLevel, oncePerSelection } from '../../src/graphql/builder/level.ts'
import { roomLimits } from '../../src/graphql/builder/room.ts'
import { createExecute } from '../../src/graphql/execute/index.ts'
import { contextOf, contextPacedBy, run, schemaOf } from './execute-support.ts'

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

describe('the plan of an operation', () => {
  const selections: unknown[] = []
  const schema = schemaOf('type Query { text(of: Int): Int }', {
    'Query.text': (_root, _args, _context, info: never) => {
      selections.push(oncePerSelection(info, 'test', () => ({})))
      return 1
    },
  })

  async function plansOf(source: string, times: readonly Record<string, unknown>[]): Promise<number> {
    selections.length = 0
    const document = parse(source)
    const execute = createExecute(schema)
    for (const variables of times) await execute({ document, operation: getOperationAST(document)!, variables, context: contextOf() })
    return new Set(selections).size
  }

  it('is kept for each set of values of the variables that decide what is skipped', async () => {
    const source = 'query ($of: Int, $if: Boolean!) { text(of: $of) also: text @skip(if: $if) }'
    expect(await plansOf(source, [{ of: 1, if: true }, { of: 2, if: true }, { if: true }])).toBe(1)
    expect(await plansOf(source, [{ if: true }, { if: false }, { if: true }, { if: false }])).toBe(3)
  })

  it('is not kept if it is large', async () => {
    const fields = (count: number) => `{ ${Array.from({ length: count }, (_, n) => `a${n}: text`).join(' ')} }`
    expect(await plansOf(fields(1_000), [{}, {}])).toBe(1_000)
    expect(await plansOf(fields(1_001), [{}, {}])).toBe(2_002)
  })

  it('is kept for the last eight of many sets', async () => {
    const names = ['a', 'b', 'c', 'd']
    const source = `query (${names.map((name) => `$${name}: Boolean!`)}) { text ${names.map((name) => `${name}: text @skip(if: $${name})`).join(' ')} }`
    const sets = Array.from({ length: 9 }, (_, n) => Object.fromEntries(names.map((name, bit) => [name, (n & (1 << bit)) === 0])))
    const fieldsOf = async (times: readonly Record<string, unknown>[]) => (await plansOf(source, times)) - (await plansOf(source, sets))
    expect(await fieldsOf([...sets, sets[8]!])).toBe(0)
    expect(await fieldsOf([...sets, sets[0]!])).toBeGreaterThan(0)
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
