/** Conditional requests, on rows of the platform dialect. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { etagOf, isFresh, versionsOf } from '../../../src/rest/core/etag.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

describe('a tag', () => {
  const tag = etagOf(3, '{"a":1}')

  it('changes with the version and with the body', () => {
    expect(tag).toMatch(/^"3-[\w-]{16}"$/)
    expect(new Set([tag, etagOf(4, '{"a":1}'), etagOf(3, '{"a":2}')]).size).toBe(3)
    expect(etagOf(3, '{"a":1}')).toBe(tag)
  })

  it.each([tag, `W/${tag}`, ` ${tag} `, `"x", ${tag}`, `"a,b",W/${tag} ,"y"`, '*', ' * '])('%s says that a client has it', (header) => {
    expect(isFresh(header, tag)).toBe(true)
  })

  it.each([undefined, '', '""', '"3"', '3', `${tag}x`, `"x" ${tag}`, tag.slice(1, -1), `w/${tag}`, `*, ${tag}`, `"unended, ${tag}`])(
    '%s does not',
    (header) => expect(isFresh(header, tag)).toBe(false),
  )

  it.each([
    [tag, [3]],
    [`W/${tag}`, [3]],
    ['"3"', [3]],
    ['3', [3]],
    [`"2-a", 7 ,W/"9"`, [2, 7, 9]],
    ['*', null],
    [undefined, null],
  ])('If-Match: %s admits the versions %j', (header, versions) => {
    expect(versionsOf(header)).toEqual(versions)
  })

  it.each(['', 'x', '"x"', '"3', '"3" "4"', '"3",', ',', '"-1"', '"1234567890"', '"3", *', '"3-"', '"3-a b"', '\u0000'])(
    'If-Match: %j is refused',
    (header) => expect(() => versionsOf(header)).toThrow('If-Match: must be the ETag of an earlier answer, a list of them, or *'),
  )
})

describe('conditional requests', () => {
  let rest: TestServer
  let url: string
  const send = (method: string, headers: Record<string, string> = {}, body?: object) =>
    rest.call(method, url, { key: rest.acme.key.ADMIN, headers, ...(body ? { body } : {}) })
  const tagNow = async () => (await send('GET')).headers.etag!

  beforeAll(async () => {
    rest = await startRest([platformDialect])
    const made = await rest.call('POST', '/api/web-services', { key: rest.acme.key.ADMIN, body: { name: 'Web' } })
    url = `/api/web-services/${made.body.id}`
    expect(made.headers.etag).toBe(await tagNow())
  })
  afterAll(() => rest.close())

  it.each(['GET', 'HEAD'])('%s answers 304 without a body to a client that has the object, and the object to others', async (method) => {
    const tag = await tagNow()
    for (const header of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const answer = await send(method, { 'if-none-match': header })
      expect(answer).toMatchObject({ status: 304, text: '', headers: { etag: tag, 'x-request-id': expect.any(String) } })
      expect(answer.headers['content-type']).toBeUndefined()
    }
    for (const header of ['"x"', tag.slice(0, 3)]) {
      expect(await send(method, { 'if-none-match': header })).toMatchObject({ status: 200, headers: { etag: tag } })
    }
  })

  it('a change of what has no version, such as the number of services in a project, is a new state', async () => {
    const key = rest.acme.key.ADMIN
    const project = await rest.call('POST', '/api/projects', { key, body: { name: 'Shop' } })
    const read = () => rest.call('GET', `/api/projects/${project.body.id}`, { key, headers: { 'if-none-match': project.headers.etag! } })
    const before = (await read()).headers.etag!
    await rest.call('POST', '/api/web-services', { key, body: { name: 'Shop', project_id: project.body.id } })
    const after = await read()
    expect(after.status).toBe(200)
    expect(after.headers.etag).not.toBe(before)
    expect(after.headers.etag!.split('-')[0]).toBe(before.split('-')[0])
  })

  it('a write is refused unless one of the tags is current, and the refusal names the current version', async () => {
    const tag = await tagNow()
    expect(await send('PATCH', { 'if-match': `"1-x", ${tag}` }, { name: 'Listed' })).toMatchObject({ status: 200 })
    const refused = await send('PATCH', { 'if-match': `${tag}, "1"` }, { name: 'Late' })
    const version = (await tagNow()).slice(1).split('-')[0]
    expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining(`at version ${version} now`) } })
    expect(await send('PATCH', { 'if-match': '*' }, { name: 'Any' })).toMatchObject({ status: 200 })
    expect(await send('DELETE', { 'if-match': tag })).toMatchObject({ status: 409 })
    expect(await send('PATCH', { 'if-match': '"abc"' }, { name: 'Bad' })).toMatchObject({ status: 400 })
    expect((await send('GET')).body.name).toBe('Any')
  })

  it('does not tell a stranger or a caller without a key that a tag is current', async () => {
    const headers = { 'if-none-match': '*' }
    expect(await rest.call('GET', url, { key: rest.other.key.ADMIN, headers })).toMatchObject({ status: 404 })
    expect(await rest.call('GET', url, { headers })).toMatchObject({ status: 401 })
  })
})

describe('X-Request-Id', () => {
  let rest: TestServer
  beforeAll(async () => {
    rest = await startRest([platformDialect])
  })
  afterAll(() => rest.close())

  it.each([
    ['GET', '/api/projects', 200],
    ['HEAD', '/api/projects', 200],
    ['OPTIONS', '/api/projects', 204],
    ['OPTIONS', '/api/nope', 204],
    ['GET', '/api/nope', 404],
    ['HEAD', '/api/nope', 404],
    ['PUT', '/api/projects', 405],
    ['POST', '/api/projects', 400],
    ['GET', '/api/docs', 200],
    ['GET', '/nope', 404],
    ['GET', '/api/%zz', 404],
  ])('%s %s answers %d with the ID that the client sent, or else one of its own', async (method, url, status) => {
    const key = rest.acme.key.ADMIN
    expect(await rest.call(method, url, { key, headers: { 'x-request-id': 'mine-1' } })).toMatchObject({
      status,
      headers: { 'x-request-id': 'mine-1' },
    })
    for (const headers of [{}, { 'x-request-id': 'a b' }, { 'x-request-id': 'x'.repeat(200) }]) {
      const answer = await rest.call(method, url, { key, headers: headers as Record<string, string> })
      expect(answer.headers['x-request-id']).toMatch(/^[\da-f-]{36}$/)
    }
  })
})
