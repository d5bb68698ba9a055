/** The GraphQL doors with the real schema and real API keys. */

import { getIntrospectionQuery } from 'graphql'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { bootstrap } from '../../src/cli/bootstrap.ts'
import { login, type SignedIn } from '../../src/domain/access/session/index.ts'
import { type Answer, createPerformer, type Prepared } from '../../src/graphql/perform.ts'
import { schema } from '../../src/graphql/schema.ts'
import { type Caller, systemCaller } from '../../src/platform/access.ts'
import { row, rows, sql } from '../../src/platform/db/index.ts'
import { sequence } from '../../src/platform/sequencer.ts'
import { password, withPassword } from '../support/person.ts'
import { type Body, RawSocket, startServer, type TestServer } from './support.ts'

let api: TestServer
let apiKey: string
beforeAll(async () => {
  api = await startServer({ schema, realKeys: true, times: { checkCredentialsEveryMs: 600_000 } })
  apiKey = (await bootstrap(api.app, api.url))!.apiKey
})
afterAll(() => api.close())

const ask = async (key: string, query: string, variables?: unknown) => {
  const response = await api.post({ query, variables }, { authorization: `Bearer ${key}` })
  return { status: response.status, ...((await response.json()) as Body) }
}
const createKey = async () => {
  const { data } = await ask(apiKey, 'mutation { createApiKey(input: { name: "other", scope: READ }) { plaintextKey apiKey { id } } }')
  return data!.createApiKey as { plaintextKey: string; apiKey: { id: string } }
}
const revoke = (id: string) => ask(apiKey, 'mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { apiKey { id } } }', { id })

it('the limits allow introspection of the whole schema', async () => {
  const { data, errors } = await ask(apiKey, getIntrospectionQuery({ inputValueDeprecation: true, schemaDescription: true, oneOf: true }))
  expect(errors).toBeUndefined()
  expect(data).toHaveProperty('__schema.types')
})
it('a new key works over HTTP and WebSocket; once revoked, it is 401 and its open socket is closed with 4403 at once', async () => {
  const made = await createKey()
  expect((await ask(made.plaintextKey, '{ viewer { organization { name } } }')).data).toHaveProperty('viewer.organization.name')
  const socket = await new RawSocket(api.wsUrl).init({ apiKey: made.plaintextKey })
  expect((await revoke(made.apiKey.id)).errors).toBeUndefined()
  expect(await socket.closed()).toEqual([4403, 'Forbidden'])
  expect(await ask(made.plaintextKey, '{ viewer { organization { name } } }')).toMatchObject({ status: 401 })
})
it('a session works over HTTP and WebSocket, also by cookie; when it ends, its open socket and stream are closed at once', async () => {
  const member = await row<Caller>(api.app.db, sql`select user_id from member limit 1`)
  const email = await withPassword(api.app, member!)
  const { accessToken } = (await login(api.app, { email, password }, 'test')) as SignedIn
  const { origin } = new URL(api.url)
  const socket = await new RawSocket(api.wsUrl).init({ authorization: `Bearer ${accessToken}` })
  const byCookie = await new RawSocket(api.wsUrl, undefined, { cookie: `access_token=${accessToken}`, origin }).init({})
  const stream = await fetch(api.url, {
    method: 'POST',
    headers: { cookie: `access_token=${accessToken}`, origin, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query: 'subscription { events { id } }' }),
  })
  expect(stream.status).toBe(200)
  const { data } = await ask(accessToken, '{ sessions { id current } viewer { user { email } apiKey { id } } }')
  expect(data!.viewer).toEqual({ user: { email }, apiKey: null })
  const { id } = (data!.sessions as { id: string; current: boolean }[]).find(({ current }) => current)!
  const revoked = await ask(accessToken, 'mutation ($id: ID!) { revokeSession(input: { id: $id }) { deletedId } }', { id })
  expect(revoked.data).toEqual({ revokeSession: { deletedId: id } })
  expect(await Promise.all([socket.closed(), byCookie.closed()])).toEqual(Array(2).fill([4403, 'Forbidden']))
  await stream.text()
  expect(await ask(accessToken, '{ viewer { permissions } }')).toMatchObject({ status: 401 })
})
it('a READ key cannot change anything, over either transport', async () => {
  const made = await createKey()
  const query = 'mutation { createProject(input: { name: "p" }) { project { id } } }'
  expect((await ask(made.plaintextKey, query)).errors).toMatchObject([
    { path: ['createProject'], extensions: { code: 'forbidden', kind: 'forbidden' } },
  ])
  const client = createClient({
    url: api.wsUrl,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: made.plaintextKey },
    retryAttempts: 0,
  })
  for await (const result of client.iterate({ query })) expect(result.errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
  await client.dispose()
})
it('a page size over 100 is invalid_input with its name', async () => {
  expect((await ask(apiKey, '{ projects(first: 101) { nodes { id } } }')).errors).toMatchObject([
    { extensions: { code: 'invalid_input', field: 'first' } },
  ])
})
it('an input that breaks a rule is invalid_input with its field', async () => {
  const { errors } = await ask(apiKey, 'mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id } } }', {
    input: { name: '' },
  })
  expect(errors).toMatchObject([{ extensions: { code: 'invalid_input', kind: 'invalid', field: 'name' } }])
})
it('events over server-sent events have their cursor as id, and continue after Last-Event-ID', async () => {
  for (const name of ['one', 'two'])
    await ask(apiKey, 'mutation ($name: String!) { createProject(input: { name: $name }) { project { id } } }', { name })
  await sequence(api.app)
  const query = 'subscription { events(types: ["project.created"]) { cursor data } }'
  const listen = async (lastEventId: string) => {
    const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream', 'last-event-id': lastEventId }
    const response = await api.post({ query }, headers)
    let text = ''
    for await (const chunk of response.body!) {
      text += Buffer.from(chunk).toString()
      const told = /id: (.+)\ndata: (.+)\n\n/.exec(text)
      if (told) return { id: told[1]!, event: JSON.parse(told[2]!).data.events as { cursor: string; data: { name: string } } }
    }
    throw new Error(`no event: ${text}`)
  }
  const first = await listen(Buffer.from('event:0').toString('base64url'))
  expect([first.id, first.event.data.name]).toEqual([first.event.cursor, 'one'])
  expect((await listen(first.id)).event.data.name).toBe('two')
})

it('a field without its permission is denied, and that is in the audit log once, however often it is asked for', async () => {
  const { app } = api
  const { id: organizationId } = (await row<{ id: string }>(app.db, sql`select id from organization`))!
  await ask(apiKey, 'mutation { createProject(input: { name: "seen" }) { project { id } } }')
  const caller: Caller = { ...systemCaller(organizationId), permissions: new Set(['view:projects']) }
  const performer = createPerformer({ app, schema })
  for (let times = 0; times < 3; times++) {
    const asker = { caller, requestId: 'denied', whenGone: () => () => {} }
    const prepared = performer.prepare({ query: '{ projects { nodes { environments { nodes { id } } } } }' }, asker) as Prepared
    const { errors } = (await performer.run(prepared, asker)) as Answer
    expect(errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
  }
  expect(await rows(app.db, sql`select action, outcome, details from audit_entry where request_id = 'denied'`)).toEqual([
    {
      action: 'field projects.nodes.environments',
      outcome: 'DENIED',
      details: { code: 'forbidden', permission: 'view:environments' },
    },
  ])
})
