/**
 * What the contract's document shows, by its heading: commands as they stand, with another host and credential, sent by curl to a listening
 * server.
 */
import { execFile } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { authDialect } from '../../../src/rest/auth/index.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { password, withPassword } from '../../support/person.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let host: string
beforeAll(async () => {
  rest = await startRest([ocoreDialect, authDialect], {}, ocoreKeys)
  await rest.server.listen({ port: 0, host: '127.0.0.1' })
  host = `http://127.0.0.1:${(rest.server.server.address() as AddressInfo).port}`
})
afterAll(() => rest?.close())

const login = async (): Promise<Record<string, string>> => {
  const email = await withPassword(rest.app, rest.acme.owner)
  return (await rest.call('POST', '/api/auth/login', { body: { email, password } })).body
}

/** Runs a command of the document for the organization `acme`. Its output is JSON. */
async function shell(command: string, credential: string): Promise<unknown> {
  const changed = command
    .replace('https://ocore.example.com', host)
    .replace(/eyJhbGciOiJIUzI1NiIs\.\.\.|ocore_k_abc123\.\.\./, credential)
    .replace('my-org', 'acme')
  const { stdout } = await promisify(execFile)('sh', ['-c', changed.replace(/^curl /, 'curl -sS ')])
  return JSON.parse(stdout)
}

const servers = { data: [expect.objectContaining({ name: 'local', status: 'active' })], has_more: false }

describe('Authentication', () => {
  it('JWT Bearer Tokens', async () => {
    const { accessToken, refreshToken } = await login()
    expect(accessToken).toMatch(/^eyJ/)
    const command = `curl -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIs..." \\
-H "X-Org-Slug: my-org" \\
https://ocore.example.com/api/servers`
    expect(await shell(command, accessToken!)).toEqual(servers)
    const refreshed = await rest.call('POST', '/api/auth/refresh', { body: { refreshToken } })
    expect(refreshed).toMatchObject({ status: 200, body: { expiresIn: 3_600 } })
    expect(await shell(command, refreshed.body.accessToken)).toEqual(servers)
  })

  it('API Keys', async () => {
    const command = `curl -H "Authorization: Bearer ocore_k_abc123..." \\
-H "X-Org-Slug: my-org" \\
https://ocore.example.com/api/servers`
    expect(await shell(command, rest.acme.key.READ)).toEqual(servers)
    expect(await shell(command, 'ocore_k_unknown')).toMatchObject({ error: { code: 'unauthorized' } })
    const narrow = await rest.call('POST', '/api/api-keys', {
      key: rest.acme.key.ADMIN,
      body: { name: 'CI', permissions: ['view:projects'] },
    })
    expect(await shell(command, narrow.body.key)).toMatchObject({ error: { code: 'forbidden' } })
  })
})

describe('Request and Response Conventions', () => {
  it('Pagination', async () => {
    for (const name of ['One', 'Two', 'Three'])
      expect(await rest.call('POST', '/api/projects', { key: rest.acme.key.ADMIN, body: { name } })).toMatchObject({ status: 201 })
    const page = (cursor: string) =>
      shell(
        `curl -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIs..." \\
-H "X-Org-Slug: my-org" \\
"https://ocore.example.com/api/projects?limit=2${cursor}"`,
        rest.acme.key.READ,
      ) as Promise<{ data: { name: string }[]; next_cursor: string }>
    const first = await page('')
    expect(first).toEqual({ data: [{}, {}].map(() => expect.any(Object)), next_cursor: expect.stringMatching(/^eyJpZCI6/), has_more: true })
    expect(await page(`&cursor=${first.next_cursor}`)).toEqual({ data: [expect.objectContaining({ name: 'Three' })], has_more: false })
    expect(await page('&cursor=eyJpZCI6IjEyMyJ9')).toMatchObject({ error: { code: 'validation_error', details: { field: 'cursor' } } })
    const instances = `curl -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIs..." \\
-H "X-Org-Slug: my-org" \\
"https://ocore.example.com/api/instances?limit=20&cursor=eyJpZCI6IjEyMyJ9"`
    expect(await shell(instances.replace('&cursor=eyJpZCI6IjEyMyJ9', ''), rest.acme.key.READ)).toEqual({ data: [], has_more: false })
    expect(await shell(instances, rest.acme.key.READ)).toMatchObject({ error: { code: 'validation_error', details: { field: 'cursor' } } })
  })

  it('Error Responses', async () => {
    const send = (method: string, path: string, body?: unknown, key: string | undefined = rest.acme.key.ADMIN) =>
      rest.call(method, `/api${path}`, { key, body, headers: { 'x-org-slug': 'acme' } })
    const { accessToken } = await login()
    const answers = {
      400: await send('POST', '/projects', { name: '' }),
      401: await send('GET', '/projects', undefined, 'ocore_k_unknown'),
      403: await send('POST', '/projects', { name: 'No' }, rest.acme.key.READ),
      404: await send('GET', '/projects/550e8400-e29b-41d4-a716-446655440000'),
      409: await send('POST', '/projects', { name: 'One', slug: 'one' }),
      422: await send('POST', '/members/leave', undefined, accessToken),
    }
    const codes = {
      400: 'validation_error',
      401: 'unauthorized',
      403: 'forbidden',
      404: 'not_found',
      409: 'conflict',
      422: 'unprocessable',
    }
    for (const [status, code] of Object.entries(codes)) {
      const answer = answers[Number(status) as keyof typeof answers]
      expect(answer).toMatchObject({
        status: Number(status),
        body: { error: { code, message: expect.any(String), details: expect.any(Object) } },
      })
    }
    expect(answers[400].body).toEqual({
      error: { code: 'validation_error', message: 'name: must not be empty', details: { field: 'name', constraint: 'min_length' } },
    })
    const { body: project } = await send('POST', '/projects', { name: 'Named' })
    expect((await send('POST', '/instances', { projectId: project.id, name: 'ab', odooVersion: '17.0' })).body).toEqual({
      error: {
        code: 'validation_error',
        message: 'Instance name must be between 3 and 64 characters',
        details: { field: 'name', constraint: 'min_length' },
      },
    })
  })

  it('Asynchronous Operations', async () => {
    const { body: project } = await rest.call('POST', '/api/projects', { key: rest.acme.key.ADMIN, body: { name: 'Staged' } })
    const provisioned = await rest.call('POST', '/api/instances', {
      key: rest.acme.key.ADMIN,
      body: { projectId: project.id, name: 'ERP', odooVersion: '17.0' },
    })
    expect(provisioned.status).toBe(202)
    expect(provisioned.body).toEqual({ id: expect.any(String), status: 'provisioning', message: 'Instance creation in progress' })
    expect(await rest.call('GET', `/api/instances/${provisioned.body.id}`, { key: rest.acme.key.READ })).toMatchObject({
      status: 200,
      body: { status: 'provisioning' },
    })
    const environment = { projectId: project.id, name: 'Trial', environmentType: 'staging' }
    const { body } = await rest.call('POST', '/api/environments', { key: rest.acme.key.ADMIN, body: environment })
    const deleted = await rest.call('DELETE', `/api/environments/${body.id}`, { key: rest.acme.key.ADMIN })
    expect(deleted).toMatchObject({ status: 202, body: { id: body.id, status: 'deleting', message: 'Environment deletion in progress' } })
  })
})
