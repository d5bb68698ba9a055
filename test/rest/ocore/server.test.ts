import { afterAll, beforeAll, expect, it } from 'vitest'
import { row, sql } from '../../../src/platform/db/index.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown) => rest.call(method, `/api${path}`, { key: rest.acme.key.ADMIN, body })
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
const connection = { host: 'rack4.example.com', sshUser: 'deploy', authMethod: 'password', sshPassword: 'hunter2' }

it('a server is registered, listed beside the local one, validated and removed', async () => {
  const made = await call('POST', '/servers', { name: 'Rack 4', ...connection })
  expect(made).toMatchObject({
    status: 201,
    body: {
      ...{ name: 'Rack 4', kind: 'ssh', host: 'rack4.example.com', port: 22, sshUser: 'deploy', authMethod: 'password' },
      ...{ status: 'pending', statusMessage: null, cpuCores: null, ramTotalBytes: null, osName: null, osVersion: null },
      ...{ lastSeenAt: null, hostKeyFingerprint: null, createdAt: time, updatedAt: time },
    },
  })
  expect(JSON.stringify(made.body)).not.toContain('hunter2')
  const path = `/servers/${made.body.id}`
  const { data } = (await call('GET', '/servers')).body
  const machine = { cpuCores: expect.any(Number), ramTotalBytes: expect.any(Number), lastSeenAt: time }
  expect(data).toMatchObject([{ kind: 'local', status: 'active', host: null, port: null, authMethod: null, ...machine }, made.body])
  expect((await call('GET', path)).body).toEqual(made.body)

  const { id } = made.body
  expect(await call('POST', `${path}/validate`)).toMatchObject({ status: 202, body: { id, status: 'validating' } })
  expect((await call('GET', path)).body.status).toBe('validating')
  expect(await call('DELETE', path)).toMatchObject({ status: 202, body: { id, status: 'removing' } })
  expect((await call('GET', path)).body.status).toBe('removing')
  expect(await row(rest.app.db, sql`select credential from server where id = ${id}::uuid`)).toEqual({ credential: null })
  expect(await call('DELETE', path)).toMatchObject({ status: 404 })
  expect(await call('DELETE', `/servers/${data[0].id}`)).toMatchObject({
    status: 422,
    body: { error: { code: 'unprocessable', details: { constraint: 'server_is_local' } } },
  })
})

it('what is missing or too much is named, and a name is used once', async () => {
  const refused = async (body: object) => {
    const { status, body: answer } = await call('POST', '/servers', body)
    return { status, ...answer.error.details }
  }
  const { sshPassword: _omitted, ...without } = connection
  expect(await refused({ name: 'Rack 5', ...without })).toMatchObject({ status: 400, field: 'sshPassword' })
  expect(await refused({ name: 'Rack 5', ...connection, sshPrivateKey: 'x' })).toMatchObject({ status: 400, field: 'sshPrivateKey' })
  expect(await refused({ name: 'Rack 5', ...connection, authMethod: 'PASSWORD' })).toMatchObject({ status: 400, field: 'authMethod' })
  expect(await refused({ name: 'Rack 5', ...without, authMethod: 'private_key', sshPrivateKey: 'x' })).toMatchObject({
    ...{ status: 400, field: 'sshPrivateKey' },
  })
  expect(await refused({ name: 'local', ...connection })).toMatchObject({ status: 409, field: 'name', constraint: 'server_name_taken' })
})
