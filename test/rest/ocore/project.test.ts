import { afterAll, beforeAll, expect, it } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([platformDialect, ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown) => rest.call(method, `/api${path}`, { key: rest.acme.key.ADMIN, body })
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)

it('a project is created, listed, changed and deleted', async () => {
  const made = await call('POST', '/projects', { name: 'Client ERP', description: 'Odoo' })
  const project = { name: 'Client ERP', slug: 'client-erp', description: 'Odoo', environmentCount: 1, instanceCount: 0 }
  expect(made).toMatchObject({ status: 201, body: { ...project, createdAt: time, updatedAt: time } })
  const path = `/projects/${made.body.id}`
  expect((await call('GET', '/projects')).body).toEqual({ data: [made.body], has_more: false })
  expect(await call('PATCH', path, { name: 'ERP', description: null })).toMatchObject({
    status: 200,
    body: { id: made.body.id, name: 'ERP', description: null },
  })
  expect(await call('GET', path)).toMatchObject({ status: 200, body: { name: 'ERP' } })
  expect(await call('DELETE', path)).toMatchObject({ status: 200, body: { message: expect.stringContaining('Project deleted') } })
  expect(await call('GET', path)).toMatchObject({ status: 404 })
})

it('a project that is not empty answers 409, and is deleted with cascade', async () => {
  const { body: project } = await call('POST', '/projects', { name: 'Full' })
  await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createWebService, { name: 'Web', projectId: project.id })
  const path = `/projects/${project.id}`
  expect(await call('DELETE', path)).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', details: { field: 'projectId', constraint: 'not_empty' } } },
  })
  expect(await call('DELETE', `${path}?cascade=true`)).toMatchObject({ status: 200 })
  expect(await call('PATCH', path, { name: 'Gone' })).toMatchObject({ status: 404 })
})

it('environments are created, listed, renamed and deleted, and a production environment is kept', async () => {
  const { body: project } = await call('POST', '/projects', { name: 'Shop' })
  const made = await call('POST', '/environments', { projectId: project.id, name: 'Trial', environmentType: 'staging' })
  const environment = {
    projectId: project.id,
    name: 'Trial',
    environmentType: 'staging',
    branch: null,
    status: 'pending',
    instanceId: null,
  }
  expect(made).toMatchObject({ status: 201, body: { ...environment, createdAt: time, updatedAt: time } })
  const path = `/environments/${made.body.id}`
  const list = (await call('GET', `/environments?projectId=${project.id}`)).body.data
  expect(list).toMatchObject([{ environmentType: 'production' }, made.body])
  expect(await call('PATCH', path, { name: 'Rehearsal', environmentType: 'production' })).toMatchObject({
    status: 200,
    body: { ...environment, name: 'Rehearsal' },
  })
  expect(await call('DELETE', path)).toMatchObject({
    status: 202,
    body: { id: made.body.id, status: 'deleting', message: expect.any(String) },
  })
  expect(await call('DELETE', `/environments/${list[0].id}`)).toMatchObject({
    status: 422,
    body: { error: { code: 'unprocessable', details: { constraint: 'production_environment' } } },
  })
  expect(await call('GET', `/environments/${list[0].id}`)).toMatchObject({ status: 200 })
})
