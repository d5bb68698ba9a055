/** Errors that depend on state, in the terms of the contract. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
let projectId: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
  projectId = (await post('/projects', { name: 'Shop' })).body.id
})
afterAll(() => rest.close())

const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  rest.call(method, `/api${path}`, { key, body, headers })
const post = (path: string, body?: unknown, headers?: Record<string, string>) => call('POST', path, body, headers)
const refused = async (answer: ReturnType<typeof call>) => {
  const { status, body } = await answer
  return [status, body.detail]
}

it('creating a web service with a missing or unsupported value', async () => {
  const make = (body: object) => refused(post('/web-services', { name: 'Web', ...body }))
  expect(await make({ project_type: 'odoo' })).toEqual([400, 'project_type: odoo is only for createOdooInstance'])
  expect(await make({ project_type: 'WEB' })).toEqual([400, 'project_type: must be one of web_service, static_site, worker, odoo'])
  expect(await make({ environment: 'PRODUCTION' })).toEqual([400, 'environment: must be one of production, staging, development'])
  expect(await make({ min_instances: 3, max_instances: 2 })).toEqual([400, 'max_instances: must be greater than or equal to min_instances'])
  expect(await make({ port: '80' })).toEqual([400, 'port: must be a number'])
  await post('/web-services', { name: 'Web', subdomain: 'taken' })
  expect(await make({ subdomain: 'taken' })).toEqual([409, 'This subdomain is already in use.'])
})

it('deploying a web service without a repository names the field to set', async () => {
  const { body } = await post('/web-services', { name: 'Web' })
  expect(await refused(post(`/web-services/${body.id}/deployments`))).toEqual([
    400,
    'The service has no repository. Set git_repository_url first.',
  ])
})

it('creating an existing secret or binding, and deleting one that is in use', async () => {
  const service = (await post('/web-services', { name: 'Web', project_id: projectId })).body
  const secret = (await post(`/projects/${projectId}/secrets`, { key: 'TOKEN', value: 'abcdef' })).body
  expect(await refused(post(`/projects/${projectId}/secrets`, { key: 'TOKEN', value: 'x' }))).toEqual([
    409,
    'The project already has TOKEN (production).',
  ])
  const bind = () => post(`/web-services/${service.id}/secret-bindings`, { project_secret_id: secret.id, alias_key: 'T' })
  await bind()
  expect(await refused(bind())).toEqual([409, 'The service already has a binding with the alias_key T.'])
  expect(await refused(call('DELETE', `/projects/${projectId}/secrets/${secret.id}`))).toEqual([
    409,
    'TOKEN (production) is bound to Web. Unbind it first, or set force to true.',
  ])
  expect(await refused(call('PUT', `/web-services/${service.id}/env/bulk?mode=MERGE`, { variables: [] }))).toEqual([
    400,
    'mode: must be merge or replace',
  ])
})

it('headers are named as they were sent', async () => {
  const long = await refused(post('/projects', { name: 'x' }, { 'idempotency-key': 'x'.repeat(256) }))
  expect(long).toEqual([400, 'Idempotency-Key: must be at most 255 characters'])
  expect(await refused(post('/projects', { name: 'x' }, { 'if-match': 'x' }))).toEqual([
    400,
    'If-Match: must be the ETag of an earlier answer, a list of them, or *',
  ])
})
