/** Bodies of POST /graphql that are made to cost much, each with the error that refuses it. The benchmark `hostile` measures them. */

const many = (count: number, text: (index: number) => string) => Array.from({ length: count }, (_, index) => text(index)).join(' ')
const nest = (levels: number, open: string, leaf: string, close: string) => open.repeat(levels) + leaf + close.repeat(levels)

const document = (query: string) => JSON.stringify({ query })
const variables = (json: string) => `{"query":"query ($value: JSON) { __typename }","variables":{"value":${json}}}`

/** `limit` is the limit in the error's details, or null if the document is refused by validation or as text. */
export type Hostile = { name: string; body: string; code: string; limit: string | null }

const limited = (name: string, limit: string, query: string): Hostile => ({
  name,
  body: document(query),
  code: 'query_limit_exceeded',
  limit,
})
const invalid = (name: string, query: string, code = 'graphql_validation_failed'): Hostile => ({
  name,
  body: document(query),
  code,
  limit: null,
})
const oversized = (name: string, body: string): Hostile => ({ name, body, code: 'payload_too_large', limit: 'jsonValues' })
const tooDeep = (name: string, body: string): Hostile => ({ name, body, code: 'invalid_input', limit: 'jsonDepth' })

export const hostileBodies: readonly Hostile[] = [
  limited('10,000 aliases', 'characters', `{ ${many(10_000, (n) => `a${n}: __typename`)} }`),
  limited('5,000 aliases', 'tokens', `{ ${many(5_000, (n) => `a${n}: __typename`)} }`),
  limited('600 aliases', 'aliases', `{ ${many(600, (n) => `a${n}: __typename`)} }`),
  limited('depth 500', 'depth', `{ ${nest(500, 'a { ', 'b', ' }')} }`),
  limited('depth 40,000', 'tokens', nest(40_000, '{a', '', '')),
  limited('100,000 tokens', 'characters', `{ ${'a '.repeat(100_000)} }`),
  limited('40,000 tokens', 'tokens', `{ ${'a '.repeat(40_000)} }`),
  limited('300 directives', 'directives', `{ __typename ${'@skip(if: true)'.repeat(100)} }`),
  limited('1 MB of comments', 'characters', `${'#\n'.repeat(500_000)}{ __typename }`),
  limited('2 MB of line breaks', 'characters', `${'\n'.repeat(1_000_000)}{ wrong }`),
  limited('1 MB of commas', 'characters', `{ __typename ${','.repeat(1_000_000)} }`),
  limited('a string of 1 MB', 'characters', `{ project(slug: "${'a'.repeat(1_000_000)}") { id } }`),
  limited('a block string of 300,000 lines', 'characters', `{ project(slug: """${' a\n'.repeat(300_000)}""") { id } }`),
  limited('a name of 1 MB', 'characters', `{ ${'a'.repeat(1_000_000)} }`),
  limited('fragments that fan out', 'aliases', fanOut(90)),
  limited('one name in 90 fragments', 'rootFields', `{ ${many(90, (n) => `...F${n}`)} } ${many(90, (n) => fragment(n, 'a'))}`),
  limited('a cycle of 240 fragments', 'definitions', cycle(240)),
  limited('270 unused fragments', 'definitions', `{ __typename } ${many(270, (n) => fragment(n, '__typename'))}`),
  limited('300 operations', 'definitions', operations(300)),
  limited('90,000 line breaks', 'lines', `${'\r'.repeat(90_000)}{ wrong }`),
  invalid('a cycle of 99 fragments', cycle(99)),
  invalid('99 unused fragments', `{ __typename } ${many(99, (n) => fragment(n, '__typename'))}`),
  invalid('100 operations', operations(100)),
  invalid('20 errors after 2,490 line breaks', `${'\n'.repeat(2_490)}{ ${many(20, (n) => `wrong${n}`)} }`),
  invalid('a syntax error after 2,490 line breaks', `${'\n'.repeat(2_490)}{ `, 'graphql_parse_failed'),
  invalid('a name of 99,990 characters', `{ ${'a'.repeat(99_990)} }`),
  invalid('400 unused variables', `query (${many(400, (n) => `$v${n}: Int`)}) { __typename }`),
  invalid('600 unknown arguments', `{ project(${many(600, (n) => `slu${n}: 1`)}) { id } }`),
  oversized('900,000 numbers', variables(`[0${',0'.repeat(899_999)}]`)),
  oversized('600,000 objects', variables(`[{}${',{}'.repeat(599_999)}]`)),
  oversized('150,000 fields', variables(`{${Array.from({ length: 150_000 }, (_, n) => `"k${n}":1`)}}`)),
  tooDeep('900,000 nested lists', variables(nest(900_000, '[', '', ']'))),
  tooDeep('300,000 nested objects', variables(nest(300_000, '{"a":', '1', '}'))),
]

function fragment(index: number, selection: string): string {
  return `fragment F${index} on Query { ${selection} }`
}

function operations(count: number): string {
  return many(count, (n) => `query Q${n} { __typename }`)
}

function cycle(length: number): string {
  return `{ ...F0 } ${many(length, (n) => fragment(n, `...F${(n + 1) % length}`))}`
}

function fanOut(levels: number): string {
  const spread = many(levels, (n) => fragment(n, `a${n}: __typename ...F${n + 1} ...F${n + 2}`))
  return `{ ...F0 } ${spread} ${fragment(levels, '__typename')} ${fragment(levels + 1, '__typename')}`
}
