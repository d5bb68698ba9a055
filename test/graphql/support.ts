/** A server on a real socket and a real database, with a small schema whose event sources can be observed. */
import { once } from 'node:events'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { buildSchema, type GraphQLObjectType, type GraphQLSchema } from 'graphql'
import { onTestFinished } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { createApp } from '../../src/app.ts'
import type { GraphqlContext } from '../../src/graphql/context.ts'
import type { Times } from '../../src/graphql/index.ts'
import { type Caller, permissions } from '../../src/platform/access.ts'
import { pause } from '../../src/platform/clock.ts'
import type { PresentedCredential } from '../../src/platform/credential.ts'
import { errors } from '../../src/platform/errors.ts'
import type { App } from '../../src/platform/work.ts'
import { createTestApp } from '../support/app.ts'
import { createTestDatabase } from '../support/database.ts'
import { until } from '../support/wait.ts'

export const key = 'good-key'

export const caller = (rights: Caller['permissions'] = new Set(permissions)): Caller => ({
  subject: { type: 'api_key', id: '0190a6c8-0000-7000-8000-000000000001', name: 'test' },
  userId: null,
  organizationId: '0190a6c8-0000-7000-8000-000000000002',
  permissions: rights,
  apiKeyId: '0190a6c8-0000-7000-8000-000000000001',
  sessionId: null,
  projectIds: null,
})

/** What the event sources of the test schema did. */
export type Probe = { open: number; opened: number; pulled: number; slowBegun: number; slowAborted: number; calls: number }

export type TestServer = {
  server: FastifyInstance
  app: App
  databaseUrl: string
  url: string
  wsUrl: string
  probe: Probe
  /** Parsed log lines. */
  log: Record<string, unknown>[]
  /** Valid credentials. Delete one to revoke it. */
  keys: Map<string, Caller>
  post(body: unknown, headers?: Record<string, string>): Promise<Response>
  /** Makes the database unavailable. */
  dropDatabase(): Promise<void>
  close(): Promise<void>
}

export type TestServerOptions = {
  /** Use API keys of the database instead of `keys`. */
  realKeys?: boolean
  rest?: readonly FastifyPluginAsync[]
  settings?: Record<string, string>
  schema?: GraphQLSchema
  times?: Partial<Times>
  startWaitsFor?: () => readonly string[]
  authenticate?: (credential: PresentedCredential) => Promise<Caller | null>
}

export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const database = await createTestDatabase()
  const app = await createTestApp(database.url, { SHUTDOWN_GRACE_MS: '2000', ...options.settings })
  const probe: Probe = { open: 0, opened: 0, pulled: 0, slowBegun: 0, slowAborted: 0, calls: 0 }
  const keys = new Map([[key, caller()]])
  const server = await createApp({
    app,
    schema: options.schema ?? testSchema(probe),
    authenticate: options.realKeys ? undefined : (options.authenticate ?? (async ({ text }) => keys.get(text) ?? null)),
    rest: options.rest,
    times: options.times,
    startWaitsFor: options.startWaitsFor,
  })
  const base = await server.listen({ host: '127.0.0.1', port: 0 })
  let closed: Promise<void> | undefined
  const close = () =>
    (closed ??= (async () => {
      await server.close()
      await app.close()
      await database.drop()
    })())
  return {
    server,
    app,
    databaseUrl: database.url,
    url: `${base}/graphql`,
    wsUrl: `${base.replace('http', 'ws')}/graphql`,
    probe,
    log: app.logged,
    keys,
    post: (body, headers = {}) =>
      fetch(`${base}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    dropDatabase: database.drop,
    close,
  }
}

/** A server for one test, closed at the end of the test. */
export async function serverForTest(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await startServer(options)
  onTestFinished(server.close)
  return server
}

export type GraphqlError = { message: string; path?: string[]; extensions: Record<string, unknown> & { details?: Record<string, unknown> } }
export type Body = { data?: Record<string, unknown> | null; errors?: GraphqlError[] }

/** A raw socket, for messages that a client library wouldn't send. */
export class RawSocket {
  readonly ws: WebSocket
  readonly messages: { type: string; id?: string; payload?: unknown }[] = []
  #closed: Promise<[number, string]>

  constructor(
    url: string,
    protocol: string | string[] = 'graphql-transport-ws',
    headers: Record<string, string> = {},
    options: ClientOptions = {},
  ) {
    this.ws = new WebSocket(url, protocol, { headers, ...options })
    this.ws.on('message', (data) => this.messages.push(JSON.parse(String(data))))
    this.ws.on('error', () => {})
    this.#closed = new Promise((resolve) => this.ws.once('close', (code, reason) => resolve([code, String(reason)])))
  }

  async open(): Promise<this> {
    if (this.ws.readyState !== this.ws.OPEN) await once(this.ws, 'open')
    return this
  }

  send(message: unknown): void {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  async init(payload: unknown = { authorization: `Bearer ${key}` }): Promise<this> {
    await this.open()
    this.send({ type: 'connection_init', payload })
    await this.got('connection_ack')
    return this
  }

  subscribe(id: string, query: string, variables?: Record<string, unknown>): void {
    this.send({ type: 'subscribe', id, payload: { query, variables } })
  }

  async got(type: string, id?: string, times = 1): Promise<{ type: string; id?: string; payload?: unknown }> {
    const matching = () => this.messages.filter((message) => message.type === type && message.id === id)
    await until(`${times} x ${type} ${id ?? ''}`, () => matching().length >= times)
    return matching()[times - 1]!
  }

  closed(): Promise<[number, string]> {
    return this.#closed
  }
}

/** Arguments of a test field. */
type Args = { filter?: unknown; after?: string; count?: number; bytes?: number }

const typeDefs = /* GraphQL */ `
  type Query {
    hello: String!
    items(first: Int, last: Int, after: String): ItemConnection!
    nodes(ids: [ID!]!): [Item]!
    echo(filter: Filter!): String!
    boom: String
    missing: String
    wrong: Int
    slow: String
    me: String!
  }
  enum Colour { RED GREEN }
  input Filter { name: String!, size: Int, colour: Colour, tags: [Tag!] }
  input Tag { key: String! }
  type ItemConnection { edges: [ItemEdge!]!, nodes: [Item!]!, totalCount: Int! }
  type ItemEdge { cursor: String!, node: Item! }
  type Item { id: ID!, parent: Item, items(first: Int, last: Int): ItemConnection! }
  type Mutation { put(input: Filter!): Put }
  type Put { item: Item! }
  type Subscription {
    ticks(after: String, count: Int): Tick!
    endless(bytes: Int = 0): Tick!
    silent: Tick!
    told(after: String): Tick!
    stubborn: Tick!
    failing: Tick!
    refused: Tick!
  }
  type Tick { n: Int!, text: String! }
`

/** All fields that the tests need, none of them of the real schema. */
export function testSchema(probe: Probe): GraphQLSchema {
  const schema = buildSchema(typeDefs)
  const list = () => ({ edges: [{ cursor: 'c', node: item }], nodes: [item], totalCount: 1 })
  const item = {
    id: 'item',
    items: list,
    get parent() {
      return item
    },
  }
  const resolve = (type: string, field: string, run: (args: Args, context: GraphqlContext) => unknown) => {
    const object = schema.getType(type) as GraphQLObjectType<unknown, GraphqlContext>
    object.getFields()[field]!.resolve = (_root, args, context) => run(args, context)
  }
  resolve('Query', 'hello', () => 'world')
  resolve('Query', 'items', list)
  resolve('Query', 'nodes', () => [])
  resolve('Query', 'echo', ({ filter }) => JSON.stringify(filter))
  resolve('Query', 'boom', () => {
    throw new Error('the password is hunter2')
  })
  resolve('Query', 'missing', () => {
    throw errors.not_found({ field: 'id', details: { looked: true } })
  })
  resolve('Query', 'wrong', () => 'no number')
  resolve('Query', 'me', (_args, context) => context.caller.subject.name)
  resolve('Query', 'slow', async (_args, { signal }) => {
    probe.slowBegun += 1
    await pause(60_000, signal)
    probe.slowAborted += 1
    return 'late'
  })
  resolve('Mutation', 'put', () => {
    probe.calls += 1
    return { item }
  })

  const source = (field: string, events: (args: Args, context: GraphqlContext) => AsyncIterable<object>) => {
    const found = schema.getSubscriptionType()!.getFields()[field]!
    found.subscribe = (_root, args, context) => events(args as Args, context as GraphqlContext)
    found.resolve = (event) => event
  }
  const watched = async function* (events: AsyncIterable<object>) {
    probe.open += 1
    probe.opened += 1
    try {
      for await (const event of events) {
        probe.pulled += 1
        yield event
      }
    } finally {
      probe.open -= 1
    }
  }
  source('ticks', ({ after, count }) =>
    watched(
      (async function* () {
        const from = after ? Number(String(after).slice(1)) : 0
        for (let n = from + 1; n <= from + (count ?? 3); n++) yield { n, text: `tick ${n}`, cursor: `c${n}` }
      })(),
    ),
  )
  source('endless', ({ bytes }) =>
    watched(
      (async function* () {
        for (let n = 1; ; n++) yield { n, text: 'x'.repeat(bytes ?? 0), cursor: `c${n}` }
      })(),
    ),
  )
  source('silent', (_args, { signal }) =>
    watched(
      (async function* () {
        yield { n: 0, text: 'open', cursor: 'c0' }
        await pause(3_600_000, signal)
      })(),
    ),
  )
  source('told', ({ after }) =>
    watched(
      (async function* () {
        yield { n: 0, text: 'all was told', cursor: after }
      })(),
    ),
  )
  source('stubborn', () => ({
    [Symbol.asyncIterator]() {
      probe.open += 1
      return {
        next: () => new Promise<IteratorResult<object>>(() => {}),
        async return() {
          probe.open -= 1
          return { done: true, value: undefined }
        },
      }
    },
  }))
  source('failing', () =>
    watched(
      (async function* () {
        yield { n: 1, text: 'one', cursor: 'c1' }
        throw new Error('the password is hunter2')
      })(),
    ),
  )
  source('refused', () => {
    throw errors.not_found({ field: 'deploymentId' })
  })
  return schema
}
