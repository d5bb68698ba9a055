/** A server with dialects on a real database, two organizations with keys, and a client that validates every response against the document. */
import { randomUUID } from 'node:crypto'
import { buildSchema } from 'graphql'
import { createApp } from '../../src/app.ts'
import { createApiKey } from '../../src/domain/access/api-key/index.ts'
import { organizationCreated } from '../../src/domain/access/organization/index.ts'
import '../../src/domain/apps/server/index.ts'
import { routerPort } from '../../src/domain/deploys/instance/index.ts'
import type { Router } from '../../src/domain/deploys/instance/ports.ts'
import { odooPort } from '../../src/domain/odoo/odoo-account/index.ts'
import { storageEndpoint } from '../../src/domain/resources/storage/index.ts'
import { outgoingHttp } from '../../src/domain/webhooks/endpoint/index.ts'
import type { OutgoingHttp } from '../../src/domain/webhooks/endpoint/ports.ts'
import { type Caller, permissions, rolePermissions } from '../../src/platform/access.ts'
import { type CommandInput, execute } from '../../src/platform/command.ts'
import { newRow, run, sql } from '../../src/platform/db/index.ts'
import { publish } from '../../src/platform/events.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import { transact } from '../../src/platform/work.ts'
import { type Dialect, restPlugin } from '../../src/rest/core/index.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createTestDatabase } from '../support/database.ts'
import { provideEngine } from '../support/database-engine.ts'
import { provideEmail } from '../support/email.ts'
import { provideRedisEngine } from '../support/redis-engine.ts'
import { createAnswerCheck } from './answer-check.ts'

export type Tenant = { organizationId: string; owner: Caller; keys: Keys; key: Record<'READ' | 'WRITE' | 'ADMIN', string> }

// biome-ignore lint/suspicious/noExplicitAny: the JSON of every row there is; the validator has held it against the document
export type Answer = { status: number; body: any; text: string; headers: Record<string, string | undefined> }

export type Call = { key?: string; body?: unknown; payload?: string | Buffer; headers?: Record<string, string> }

export type TestServer = Awaited<ReturnType<typeof startRest>>

/** Kind and scope of the keys of a tenant. */
type Keys = Record<'READ' | 'WRITE' | 'ADMIN', CommandInput>

const platformKeys: Keys = { READ: { scope: 'READ' }, WRITE: { scope: 'WRITE' }, ADMIN: { scope: 'ADMIN' } }

/** Keys with full access may all that they can do at all. */
export const oecKeys: Keys = {
  READ: { kind: 'OEC', scope: 'READ' },
  WRITE: { kind: 'OEC', scope: 'WRITE' },
  ADMIN: { kind: 'OEC', scope: 'WRITE' },
}

/** Keys of the oCore API have the permissions that they list. */
export const ocoreKeys: Keys = {
  READ: { kind: 'OCORE', scope: 'READ', permissions: permissions.filter((name) => name.startsWith('view:')) },
  WRITE: { kind: 'OCORE', scope: 'ADMIN', permissions },
  ADMIN: { kind: 'OCORE', scope: 'ADMIN', permissions },
}

/** Keys that are bound to something of their tenant. */
type KeysOf = Keys | ((app: TestApp, owner: Caller) => Promise<Keys>)

/** `settings` are environment variables. */
export async function startRest(
  dialects: readonly [Dialect, ...Dialect[]],
  settings: Record<string, string> = {},
  keys: KeysOf = platformKeys,
) {
  const database = await createTestDatabase()
  const app = await createTestApp(database.url, settings)
  routerPort.provide(app, { port: 4080 } as Router)
  provideEngine(app)
  provideRedisEngine(app)
  storageEndpoint.provide(app, { url: 'http://127.0.0.1:4090' })
  const dns = provideEmail(app)
  odooPort.provide(app, { version: async () => '17.0', logIn: async () => {}, call: async () => [] })
  outgoingHttp.provide(app, { check: async () => null } as Partial<OutgoingHttp> as OutgoingHttp)
  const server = await createApp({ app, schema: buildSchema('type Query { nothing: Int }'), rest: [restPlugin(app, dialects)] })
  const check = createAnswerCheck(dialects)
  return {
    app,
    server,
    databaseUrl: database.url,
    dns,
    acme: await createTenant(app, 'acme', keys),
    other: await createTenant(app, 'other', keys),
    async call(method: string, url: string, { key, body, payload, headers = {} }: Call = {}): Promise<Answer> {
      const sent = {
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(body !== undefined || payload !== undefined ? { 'content-type': 'application/json' } : {}),
        ...headers,
      }
      const response = await server.inject({
        method: method as 'GET',
        url,
        headers: sent,
        ...(body !== undefined ? { payload: JSON.stringify(body) } : payload !== undefined ? { payload } : {}),
      })
      const { statusCode: status, body: text } = response
      const given = { status, text, headers: response.headers as Answer['headers'] }
      check({ method, url, headers: lowerCased(sent) }, given)
      const isJson = String(response.headers['content-type']).startsWith('application/json') && text !== ''
      return { ...given, body: isJson ? JSON.parse(text) : null }
    },
    async close() {
      await server.close()
      await app.close()
      await database.drop()
    },
  }
}

const lowerCased = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

async function createTenant(app: TestApp, name: string, keys: KeysOf): Promise<Tenant> {
  const [organizationId, userId] = [newId(), newId()]
  const owner: Caller = {
    subject: { type: 'user', id: userId, name },
    userId,
    organizationId,
    permissions: rolePermissions('OWNER'),
    apiKeyId: null,
    sessionId: null,
    projectIds: null,
  }
  await transact(app, owner, { emits: app.domain.eventTypes.all }, async (work) => {
    await run(work.tx, sql`insert into organization ${newRow({ id: organizationId, name, slug: name })}`)
    await run(work.tx, sql`insert into user_account ${newRow({ id: userId, name, email: `${name}@quayside.localhost` })}`)
    const data = { organizationId: encodeId('Organization', organizationId), name, slug: name }
    await publish(work, organizationCreated, { subjectId: organizationId, projectId: null, data })
  })
  const own = typeof keys === 'function' ? await keys(app, owner) : keys
  const key = async (scope: keyof Keys) => {
    const made = await execute({ app, caller: owner, requestId: randomUUID() }, createApiKey, { name: scope, ...own[scope] })
    return made.plaintextKey!
  }
  return { organizationId, owner, keys: own, key: { READ: await key('READ'), WRITE: await key('WRITE'), ADMIN: await key('ADMIN') } }
}
