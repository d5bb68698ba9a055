/** Requests made from an OpenAPI document: valid ones, and ones with something wrong. Ids are marks until the request is sent. */
import fc from 'fast-check'

export type Schema = {
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
}
export type Parameter = { name: string; in: 'path' | 'query' | 'header'; schema: Schema }
export type Operation = {
  parameters?: Parameter[]
  requestBody?: { content: { 'application/json': { schema: Schema } } }
}

/** Stands for an id that an earlier answer contained. */
type Mark = { knownId: number }

export type FuzzedRequest = {
  operation: number
  method: string | null
  /** Which known ids the path has, and which of them is replaced by an odd one. */
  ids: number
  odd: { index: number; id: string } | null
  query: string[]
  headers: Record<string, string>
  /** Pieces of JSON text, and marks for ids. Null: no body. */
  body: (string | Mark)[] | null
}

const rarely = <Value>(usual: fc.Arbitrary<Value>, odd: fc.Arbitrary<Value>, weight = 6) =>
  fc.oneof({ arbitrary: usual, weight }, { arbitrary: odd, weight: 1 })

const oddTexts = [
  '',
  ' ',
  '\0',
  '\ud800',
  '\u202e',
  '\u{1f4a9}'.repeat(50),
  "'; drop table project;--",
  '../../etc/passwd',
  '%00',
  'null',
  '[object Object]',
]
const oddText = fc.oneof(
  fc.constantFrom(...oddTexts),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(300, 70_000).map((n) => 'x'.repeat(n)),
)
const protoNames = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '']

/** Pieces of JSON text that no schema asks for. */
const oddJson = fc.oneof(
  oddText.map((text) => JSON.stringify(text)),
  fc.constantFrom(
    'null',
    'true',
    '0',
    '-1',
    '1.5',
    '1e400',
    '-0',
    '9007199254740993',
    '99999999999999999999',
    '[]',
    '{}',
    '[[[[[[]]]]]]',
    '"\\ud83d"',
  ),
  fc.constantFrom(`[${'0,'.repeat(600)}0]`, '{"a":1,"a":2}', '{"__proto__":{"polluted":true}}', `${'['.repeat(2_000)}${']'.repeat(2_000)}`),
)

const likely: [RegExp, string[]][] = [
  [/email|^(from|to|cc|bcc|reply_to)$/, ['ada@example.com', 'shop@shop.example']],
  [/domain/, ['shop.example', 'other.example']],
  [/url/, ['https://example.com/shop.git', 'http://127.0.0.1:9/']],
  [/^(key|alias_key|env_var_key)$/, ['TOKEN', 'DATABASE_URL', 'B']],
  [/branch/, ['main', 'next']],
]

function text({ minLength = 0, maxLength = 30 }: Schema, name: string): fc.Arbitrary<string> {
  const words = likely.find(([pattern]) => pattern.test(name))?.[1]
  const plain = fc
    .stringMatching(/^[a-z][a-z0-9-]*$/)
    .map((word) => word.padEnd(minLength, 'x').slice(0, Math.max(minLength, Math.min(maxLength, 30))))
  return words ? rarely(fc.constantFrom(...words), plain) : plain
}

type Pieces = (string | Mark)[]

const joined = (parts: Pieces[], open: string, close: string): Pieces => [
  open,
  ...parts.flatMap((part, index) => (index > 0 ? [',', ...part] : part)),
  close,
]

/** A value that a schema admits, now and then with something wrong in it. */
function value(schema: Schema, name = ''): fc.Arbitrary<Pieces> {
  return rarely(
    valid(schema, name),
    oddJson.map((odd): Pieces => [odd]),
    80,
  )
}

function valid(schema: Schema, name: string): fc.Arbitrary<Pieces> {
  const said = (all: readonly unknown[]) => fc.constantFrom(...all).map((each): Pieces => [JSON.stringify(each)])
  if (schema.enum) return said(schema.enum)
  if (schema.const !== undefined) return said([schema.const])
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((each) => valid(each, name)))
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type) => valid({ ...schema, type }, name)))
  if (schema.type === 'object') return object(schema)
  if (schema.type === 'array') return fc.array(value(schema.items ?? {}, name), { maxLength: 3 }).map((items) => joined(items, '[', ']'))
  if (schema.type === 'boolean') return said([true, false])
  if (schema.type === 'null') return said([null])
  if (schema.type === 'integer' || schema.type === 'number') {
    const { minimum: min = 0, maximum: max = min + 100_000 } = schema
    return fc.integer({ min: Math.ceil(min), max: Math.floor(max) }).map((number): Pieces => [String(number)])
  }
  const anId = fc.nat().map((knownId): Pieces => [{ knownId }])
  const aText = text(schema, name).map((each): Pieces => [JSON.stringify(each)])
  return /(^|_)ids?$|Id$|^(buckets|projects)$/.test(name) ? rarely(anId, aText) : aText
}

function object({ properties = {}, required = [] }: Schema): fc.Arbitrary<Pieces> {
  const fields = Object.entries(properties).map(([name, schema]) =>
    fc.tuple(
      fc.constant(name),
      value(schema, name),
      fc.integer({ min: 0, max: 99 }).map((chance) => chance < (required.includes(name) ? 97 : 40)),
    ),
  )
  const extra = fc.option(fc.tuple(fc.constantFrom(...protoNames, ...Object.keys(properties)), oddJson), { freq: 25 })
  return fc.tuple(fc.tuple(...fields), extra).map(([given, more]) => {
    const parts = given.filter(([, , isGiven]) => isGiven).map(([name, pieces]): Pieces => [`${JSON.stringify(name)}:`, ...pieces])
    return joined(more ? [...parts, [`${JSON.stringify(more[0])}:${more[1]}`]] : parts, '{', '}')
  })
}

const brokenBodies = ['', '{', '[', '{"a":}', "{'a':1}", '\ufeff{}', 'name=x', '{}{}', '"\ud800"', '{"a":1,}', 'NaN']
const bodyOf = ({ requestBody }: Operation): fc.Arbitrary<Pieces | null> => {
  const schema = requestBody?.content['application/json'].schema
  const proper = schema ? valid(schema, '') : fc.constantFrom<Pieces | null>(null, ['{}'])
  return rarely<Pieces | null>(
    proper,
    fc.oneof(oddJson, fc.constantFrom(...brokenBodies)).map((odd): Pieces => [odd]),
    12,
  )
}

const queryOf = ({ parameters = [] }: Operation): fc.Arbitrary<string[]> => {
  const given = parameters.filter((parameter) => parameter.in === 'query')
  const pair = ({ name, schema }: Parameter) =>
    rarely(
      valid(schema, name).map((pieces) => String(pieces[0]).replaceAll('"', '')),
      oddText,
    ).map((text) => `${name}=${encodeURIComponent(text.toWellFormed())}`)
  const odd = fc.constantFrom('__proto__[x]=1', 'limit=1&limit=2', 'x=%ff', '=', '&&', 'page=1e3', 'constructor=1', 'limit[]=1')
  return fc
    .tuple(given.length > 0 ? fc.subarray(given) : fc.constant([]), fc.option(odd, { freq: 25 }))
    .chain(([chosen, more]) => fc.tuple(...chosen.map(pair)).map((pairs) => (more ? [...pairs, more] : pairs)))
}

const headerValues: Record<string, string[]> = {
  'idempotency-key': ['one', 'two', 'x'.repeat(300), ' '],
  'x-idempotency-key': ['one', 'three'],
  'if-match': ['*', '"1"', '"1-x", "2"', 'x', '"'],
  'if-none-match': ['*', '"1"', 'x'],
  'content-type': ['text/plain', 'application/json; charset=latin1', 'application/merge-patch+json', '', 'application/json; charset=utf-8'],
  'x-org-slug': ['acme', 'nobody', ''],
  'x-request-id': ['mine', 'a b'],
  authorization: ['Bearer x', 'Basic eA==', ''],
  origin: ['https://elsewhere.example'],
  accept: ['text/html'],
  cookie: ['access_token=x', 'access_token=a; access_token=b'],
}

const headers: fc.Arbitrary<Record<string, string>> = fc
  .subarray(Object.keys(headerValues), { maxLength: 2 })
  .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, fc.constantFrom(...headerValues[name]!)]))))

const oddIds = [
  '0',
  'nope',
  '%',
  '%00',
  '%2e%2e%2f',
  '__proto__',
  'null',
  'proj_',
  `proj_${'7'.repeat(26)}`,
  'z'.repeat(500),
  '%F0%9F%92%A9',
  '00000000-0000-0000-0000-000000000000',
]

/** A request for one of the operations. Those of `DELETE` are rarer, so that there is something to delete. */
export function requestsFor(operations: readonly { method: string; operation: Operation }[]): fc.Arbitrary<FuzzedRequest> {
  const weighted = operations.map(({ method, operation }, index) => ({
    weight: method === 'delete' ? 1 : method === 'post' ? 4 : 2,
    arbitrary: fc.record({
      operation: fc.constant(index),
      method: rarely(
        fc.constant<string | null>(null),
        fc.constantFrom<string | null>('GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'),
        15,
      ),
      ids: fc.nat(),
      odd: rarely(fc.constant<FuzzedRequest['odd']>(null), fc.record({ index: fc.nat(), id: fc.constantFrom(...oddIds) }), 10),
      query: queryOf(operation),
      headers: rarely(fc.constant<Record<string, string>>({}), headers, 10),
      body: bodyOf(operation),
    }),
  }))
  return fc.oneof(...weighted)
}

/** The text of a body, with ids for its marks. */
export const textOf = (body: Pieces, idAt: (index: number) => string): string =>
  body.map((piece) => (typeof piece === 'string' ? piece : JSON.stringify(idAt(piece.knownId)))).join('')
