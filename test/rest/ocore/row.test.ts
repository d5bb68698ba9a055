/** What holds for every row of the contract: credentials and the organization that they act in, pages, errors. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { newId } from '../../../src/platform/id.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { signIn } from '../../support/person.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let token: string
beforeAll(async () => {
  rest = await startRest([platformDialect, ocoreDialect], {}, ocoreKeys)
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
  for (const name of ['One', 'Two', 'Three'])
    await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createProject, { name })
})
afterAll(() => rest?.close())

const get = (path: string, key?: string, slug?: string) =>
  rest.call('GET', `/api${path}`, { ...(key ? { key } : {}), headers: slug === undefined ? {} : { 'x-org-slug': slug } })

describe('X-Org-Slug', () => {
  it.each([
    ['a person without it, at a path of this contract only', '/environments', () => token, undefined, 400, 'missing_organization'],
    ['a person who names the organization', '/environments', () => token, 'acme', 200, undefined],
    ['a person who names it at a shared path', '/projects', () => token, 'acme', 200, undefined],
    ['a person who names an organization of others', '/projects', () => token, 'other', 404, 'not_found'],
    ['a person who names no organization that exists', '/environments', () => token, 'nope', 404, 'not_found'],
    ['a key without it', '/projects', () => rest.acme.key.READ, undefined, 200, undefined],
    ['a key that names its organization', '/projects', () => rest.acme.key.READ, 'acme', 200, undefined],
    ['a key that names another organization', '/projects', () => rest.acme.key.READ, 'other', 403, 'forbidden'],
    ['a key that names no organization that exists', '/environments', () => rest.acme.key.READ, 'nope', 403, 'forbidden'],
    ['a person without it, at a row of the account', '/user', () => token, undefined, 200, undefined],
    ['a person who names it there', '/user', () => token, 'acme', 200, undefined],
    ['a person who names an organization of others there', '/user', () => token, 'other', 404, 'not_found'],
    ['a key at a row of the account', '/user', () => rest.acme.key.ADMIN, undefined, 403, 'forbidden'],
    ['no credential at a shared path', '/projects', () => undefined, 'acme', 401, 'unauthorized'],
    ['no credential', '/environments', () => undefined, undefined, 401, 'unauthorized'],
  ])('%s', async (_title, path, credential, slug, status, code) => {
    const answer = await get(path, credential(), slug)
    expect(answer).toMatchObject({ status, body: code === undefined ? {} : { error: { code } } })
    if (code === undefined && path !== '/user') expect(answer.body.data).toEqual(expect.any(Array))
  })

  it('at a shared path, a person without it is answered by the PaaS Public API', async () => {
    expect(await get('/projects', token)).toMatchObject({ status: 200, body: { projects: expect.any(Array), total: 3 } })
    expect(await get('/projects', 'bad')).toMatchObject({ status: 401, body: { detail: expect.any(String) } })
  })
})

describe('pages', () => {
  const names = (body: { data: { name: string }[] }) => body.data.map(({ name }) => name)

  it('follow each other by their cursors, the last one without any', async () => {
    const first = await get('/projects?limit=2', rest.acme.key.READ)
    expect(names(first.body)).toEqual(['One', 'Two'])
    expect(first.body.has_more).toBe(true)
    const { id } = first.body.data[1]
    expect(JSON.parse(Buffer.from(first.body.next_cursor, 'base64url').toString())).toEqual({ id })
    const second = await get(`/projects?limit=2&cursor=${first.body.next_cursor}`, rest.acme.key.READ)
    expect({ ...second.body, data: names(second.body) }).toEqual({ data: ['Three'], has_more: false })
  })

  it('have 20 items by default', async () => {
    for (let index = 0; index < 18; index++)
      await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createProject, { name: `Many ${index}` })
    expect((await get('/projects', rest.acme.key.READ)).body.data).toHaveLength(20)
    expect((await get('/projects?limit=100', rest.acme.key.READ)).body).toMatchObject({ has_more: false })
  })

  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  it.each([
    ['no base64url', '%F0%9F%98%80'],
    ['no JSON', Buffer.from('{').toString('base64url')],
    ['no object', encoded(null)],
    ['no id', encoded({})],
    ['the cursor of the document, whose id is not one of ours', 'eyJpZCI6IjEyMyJ9'],
    ['an id that is no text', encoded({ id: 5 })],
    ['a TypeID', encoded({ id: 'proj_00000000000000000000000000' })],
  ])('a cursor with %s answers 400', async (_title, cursor) => {
    expect(await get(`/projects?cursor=${cursor}`, rest.acme.key.READ)).toMatchObject({
      status: 400,
      body: { error: { code: 'validation_error', message: 'cursor: must be a cursor of this list', details: { field: 'cursor' } } },
    })
  })
})

describe('errors', () => {
  const send = (body: unknown, path = '/projects', method = 'POST') =>
    rest.call(method, `/api${path}`, { key: rest.acme.key.ADMIN, body, headers: { 'x-org-slug': 'acme' } })

  it.each([
    [{}, 'name', 'required'],
    [{ name: null }, 'name', 'type'],
    [{ name: '' }, 'name', 'min_length'],
    [{ name: 'x'.repeat(101) }, 'name', 'max_length'],
    [{ name: 'ok', slug: 'No Slug' }, 'slug', 'format'],
  ])('%j answers 400 with the field and the constraint', async (body, field, constraint) => {
    expect(await send(body)).toMatchObject({
      status: 400,
      body: {
        error: { code: 'validation_error', message: expect.stringMatching(new RegExp(`^${field}: `)), details: { field, constraint } },
      },
    })
  })

  it('a slug that is taken answers 409', async () => {
    expect(await send({ name: 'Any', slug: 'one' })).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict', details: { field: 'slug', constraint: 'slug_taken' } } },
    })
  })

  it('of a kind without a field have empty details', async () => {
    expect((await get('/nope', undefined, 'acme')).body).toEqual({
      error: { code: 'not_found', message: 'This path does not exist.', details: {} },
    })
    expect((await get(`/environments/${newId()}`, rest.acme.key.READ)).body.error).toMatchObject({ code: 'not_found' })
  })

  it.each([
    ['has expired', -1, 'token_expired'],
    ['is not valid', 3_600, 'unauthorized'],
  ])('an access token that %s answers 401 with its code', async (_title, seconds, code) => {
    const exp = Math.floor(rest.app.clock.now().getTime() / 1_000) + seconds
    const claims = Buffer.from(JSON.stringify({ sub: 'usr_x', exp })).toString('base64url')
    const [header, , signature] = token.split('.')
    expect(await get('/environments', `${header}.${claims}.${signature}`, 'acme')).toMatchObject({ status: 401, body: { error: { code } } })
    expect(await get('/environments', `${header}.e30x.${signature}`, 'acme')).toMatchObject({ body: { error: { code: 'unauthorized' } } })
  })
})

it('the page of the document needs no header, and no key', async () => {
  expect(await get('/ocore/openapi.json')).toMatchObject({ status: 200, body: { info: { title: 'Quayside oCore API' } } })
  expect(await get('/openapi.json', undefined, 'acme')).toMatchObject({ body: { info: { title: 'Quayside oCore API' } } })
  expect(await get('/openapi.json')).toMatchObject({ body: { info: { title: 'Quayside Public API' } } })
})

describe('a key with few permissions', () => {
  const keyWith = async (...permissions: string[]): Promise<string> =>
    (await rest.call('POST', '/api/api-keys', { key: rest.acme.key.ADMIN, body: { name: permissions.join(), permissions } })).body.key

  it('reads projects by view:projects', async () => {
    const key = await keyWith('view:projects')
    const { status, body } = await get('/projects', key)
    expect([status, body.data.length > 0]).toEqual([200, true])
    expect(await get(`/projects/${body.data[0].id}`, key)).toMatchObject({ status: 200, body: { instanceCount: 0 } })
  })

  it('gets the response to a write that it may do, even if it may not read', async () => {
    const project = await rest.call('POST', '/api/projects', { key: await keyWith('manage:projects'), body: { name: 'Blind' } })
    expect(project).toMatchObject({ status: 201, body: { name: 'Blind', environmentCount: 1 } })
    const environment = await rest.call('POST', '/api/environments', {
      key: await keyWith('manage:environments'),
      body: { projectId: project.body.id, name: 'Test', environmentType: 'staging' },
    })
    expect(environment).toMatchObject({ status: 201, body: { name: 'Test', status: 'pending' } })
  })
})
