import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
let service: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
})
beforeEach(async () => {
  service = (await rest.call('POST', '/api/web-services', { key, body: { name: 'Web' } })).body.id
})
afterAll(() => rest.close())

const mask = '********'
const send = (method: string, path: string, body?: unknown, by = key) =>
  rest.call(method, `/api/web-services/${service}/env${path}`, { key: by, ...(body === undefined ? {} : { body }) })
const add = async (name: string, value: string, more: object = {}) => (await send('POST', '', { key: name, value, ...more })).body
const list = async () => (await send('GET', '')).body.environment_variables as { key: string; value: string; is_secret: boolean }[]
const values = async () => Object.fromEntries((await send('GET', '/reveal-all')).body.environment_variables.map(pair))
const pair = ({ key, value }: { key: string; value: string }) => [key, value]

describe('creating a variable', () => {
  it('answers 201 with a plain value shown or a secret one masked; plain is the default', async () => {
    const plain = await send('POST', '', { key: 'NODE_ENV', value: 'test' })
    expect(plain).toMatchObject({
      status: 201,
      body: { web_service_id: service, key: 'NODE_ENV', value: 'test', is_secret: false },
      headers: { etag: expect.stringMatching(/^"1-/) },
    })
    const secret = await send('POST', '', { key: 'DATABASE_URL', value: 'postgres://canary', is_secret: true, unknown: 1 })
    expect(secret).toMatchObject({ status: 201, body: { key: 'DATABASE_URL', value: mask, is_secret: true } })
    expect(secret.text).not.toContain('canary')
    expect((await send('GET', '')).body).toEqual({ environment_variables: [secret.body, plain.body], total: 2 })
  })

  it('accepts an empty value and one of several lines', async () => {
    expect(await add('EMPTY', '')).toMatchObject({ value: '' })
    expect(await add('LINES', 'a\nb\r\nc')).toMatchObject({ value: 'a\nb\r\nc' })
  })

  it('answers 409 for an existing key and leaves the variable unchanged', async () => {
    await add('TAKEN', 'first')
    expect(await send('POST', '', { key: 'TAKEN', value: 'second' })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('TAKEN') },
    })
    expect(await values()).toEqual({ TAKEN: 'first' })
  })

  it.each([
    [{ value: 'x' }, 'key'],
    [{ key: '1A', value: 'x' }, 'key'],
    [{ key: 'A-B', value: 'x' }, 'key'],
    [{ key: '', value: 'x' }, 'key'],
    [{ key: 'A'.repeat(256), value: 'x' }, 'key'],
    [{ key: 'A' }, 'value'],
    [{ key: 'A', value: 3 }, 'value'],
    [{ key: 'A', value: null }, 'value'],
    [{ key: 'A', value: mask }, 'value'],
    [{ key: 'A', value: 'a\u0000b' }, 'value'],
    [{ key: 'A', value: 'x', is_secret: 'yes' }, 'is_secret'],
  ])('%j answers 400 and names the field', async (body, field) => {
    const answer = await send('POST', '', body)
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
    expect(await list()).toEqual([])
  })
})

it('answers 400 for a value of more than 64 KiB and for more than 500 variables in one bulk write', async () => {
  expect(await send('POST', '', { key: 'A', value: 'x'.repeat(64 * 1024) })).toMatchObject({ status: 201 })
  const large = await send('POST', '', { key: 'B', value: 'é'.repeat(32 * 1024 + 1) })
  expect(large).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^value: /) } })
  const variables = Array.from({ length: 501 }, (_, index) => ({ key: `A${index}`, value: '' }))
  const many = await send('PUT', '/bulk', { variables })
  expect(many).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^variables: /) } })
  expect(await list()).toHaveLength(1)
})

describe('updating a variable', () => {
  it('keeps omitted fields and returns the value masked', async () => {
    const made = await add('TOKEN', 'first', { is_secret: true })
    const changed = await send('PATCH', `/${made.id}`, { value: 'second' })
    expect(changed).toMatchObject({
      status: 200,
      body: { id: made.id, key: 'TOKEN', value: mask, is_secret: true },
      headers: { etag: expect.stringMatching(/^"2-/) },
    })
    expect(await values()).toEqual({ TOKEN: 'second' })
    expect((await send('PATCH', `/${made.id}`, {})).body).toEqual(changed.body)
  })

  it('makes a secret plain only if its value is sent again', async () => {
    const made = await add('TOKEN', 'hidden', { is_secret: true })
    expect(await send('PATCH', `/${made.id}`, { is_secret: false })).toMatchObject({ status: 400 })
    expect(await send('PATCH', `/${made.id}`, { is_secret: false, value: 'seen' })).toMatchObject({ status: 200, body: { value: 'seen' } })
  })

  it('answers 400 if the value is the mask', async () => {
    const made = await add('TOKEN', 'first', { is_secret: true })
    expect(await send('PATCH', `/${made.id}`, { value: mask })).toMatchObject({ status: 400 })
  })

  it('answers 409 for an outdated If-Match', async () => {
    const made = await add('A', '1')
    const url = `/api/web-services/${service}/env/${made.id}`
    const change = (value: string) => rest.call('PATCH', url, { key, body: { value }, headers: { 'if-match': '"1"' } })
    expect(await change('2')).toMatchObject({ status: 200 })
    expect(await change('3')).toMatchObject({ status: 409 })
  })
})

describe('a bulk write', () => {
  it('merges by key, deletes nothing, and returns the whole list', async () => {
    const kept = await add('KEPT', '1')
    const secret = await add('TOKEN', 'old', { is_secret: true })
    const answer = await send('PUT', '/bulk', {
      variables: [
        { id: secret.id, key: 'TOKEN', value: 'new' },
        { key: 'NEW', value: '3' },
        { key: 'NEW_SECRET', value: 'four', is_secret: true },
      ],
    })
    expect(answer).toMatchObject({ status: 200, body: { total: 4 } })
    expect(answer.body.environment_variables).toMatchObject([
      kept,
      { key: 'NEW', value: '3', is_secret: false },
      { key: 'NEW_SECRET', value: mask, is_secret: true },
      { id: secret.id, key: 'TOKEN', value: mask, is_secret: true },
    ])
    expect(await values()).toEqual({ KEPT: '1', TOKEN: 'new', NEW: '3', NEW_SECRET: 'four' })
  })

  it('refuses an id that is not that of the variable with the key, and writes nothing', async () => {
    const first = await add('FIRST', '1')
    await add('SECOND', '2')
    for (const [id, name] of [
      [first.id, 'SECOND'],
      [first.id, 'RENAMED'],
      [service, 'FIRST'],
      ['nope', 'FIRST'],
      ['', 'FIRST'],
      [7, 'FIRST'],
    ]) {
      for (const mode of ['merge', 'replace']) {
        const answer = await send('PUT', `/bulk?mode=${mode}`, {
          variables: [
            { key: 'NEW', value: '3' },
            { id, key: name, value: 'lost' },
          ],
        })
        expect(answer, `${id} ${name}`).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^variables\.1\.id: /) } })
        if (typeof id === 'string') expect(answer.body.detail).toContain(`"${id}"`)
        if (typeof id === 'string') expect(answer.body.detail).toContain(name)
      }
    }
    expect(await values()).toEqual({ FIRST: '1', SECOND: '2' })
    const renamed = {
      variables: [
        { id: first.id.toUpperCase(), key: 'FIRST', value: '4' },
        { id: null, key: 'SECOND', value: '5' },
      ],
    }
    expect(await send('PUT', '/bulk', renamed)).toMatchObject({ status: 200 })
    expect(await values()).toEqual({ FIRST: '4', SECOND: '5' })
  })

  it('with mode=replace deletes the others, for a key with the delete permission', async () => {
    await add('GONE', '1')
    await add('KEPT', '2')
    const body = { variables: [{ key: 'KEPT', value: '2' }] }
    expect(await send('PUT', '/bulk?mode=replace', body, rest.acme.key.WRITE)).toMatchObject({ status: 403 })
    expect(await list()).toHaveLength(2)
    expect((await send('PUT', '/bulk?mode=replace', body)).body).toMatchObject({ environment_variables: [{ key: 'KEPT' }], total: 1 })
  })

  it.each([
    [
      {
        variables: [
          { key: 'A', value: '1' },
          { key: 'A', value: '2' },
        ],
      },
      'variables.1.key',
    ],
    [
      {
        variables: [
          { key: 'A', value: '1' },
          { key: 'B', value: mask },
        ],
      },
      'variables.1.value',
    ],
    [{ variables: [{ key: 'A', value: '1', is_secret: 1 }] }, 'variables.0.is_secret'],
    [{ variables: ['A'] }, 'variables.0'],
    [{ variables: [null] }, 'variables.0'],
    [{ variables: { A: '1' } }, 'variables'],
    [{}, 'variables'],
  ])('refuses the whole of %j with 400, naming the place', async (body, place) => {
    await add('KEPT', '1')
    const answer = await send('PUT', '/bulk?mode=replace', body)
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${place}: `))
    expect(await values()).toEqual({ KEPT: '1' })
  })

  it('answers 400 for an unknown mode', async () => {
    expect(await send('PUT', '/bulk?mode=upsert', { variables: [] })).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/^mode: /) },
    })
  })
})

describe('reveal', () => {
  it('returns one value or all, is never cached, and records an audit row without values and the time of the reveal', async () => {
    const made = await add('TOKEN', 'canary-5f1e', { is_secret: true })
    await add('PLAIN', 'seen')
    const one = await send('GET', `/${made.id}/reveal`, undefined, rest.acme.key.WRITE)
    expect(one).toMatchObject({ status: 200, body: { ...made, value: 'canary-5f1e' }, headers: { 'cache-control': 'no-store' } })
    const all = await send('GET', '/reveal-all')
    expect(all).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    expect(all.body).toMatchObject({
      environment_variables: [
        { key: 'PLAIN', value: 'seen' },
        { ...made, value: 'canary-5f1e' },
      ],
      total: 2,
    })
    const audited = await rows<{ action: string; details: unknown }>(
      rest.app.db,
      sql`select action, details from audit_entry where target_id in (${made.id}::uuid, ${service}::uuid) and action like 'reveal%' order by id`,
    )
    expect(audited).toMatchObject([{ action: 'revealEnvVar' }, { action: 'revealEnvVars' }])
    expect(JSON.stringify(audited)).not.toContain('canary')
    expect(await row(rest.app.db, sql`select last_revealed_by from env_var where id = ${made.id}::uuid`)).toEqual({
      lastRevealedBy: 'ADMIN',
    })
  })

  it('changes neither the list nor updated_at', async () => {
    const made = await add('TOKEN', 'hidden', { is_secret: true })
    await run(rest.app.db, sql`update env_var set changed_at = changed_at - interval '1 hour' where id = ${made.id}::uuid`)
    const before = await list()
    await send('GET', '/reveal-all')
    expect(await list()).toEqual(before)
  })

  it('ignores an idempotency key: each request is a reveal of its own and returns the value', async () => {
    const made = await add('TOKEN', 'hidden', { is_secret: true })
    const url = `/api/web-services/${service}/env/${made.id}/reveal`
    for (const _ of [1, 2]) {
      expect((await rest.call('GET', url, { key, headers: { 'idempotency-key': 'same' } })).body.value).toBe('hidden')
    }
  })
})

it('deleting answers 204, and 404 the second time; it requires the delete permission', async () => {
  const made = await add('GONE', '1')
  expect(await send('DELETE', `/${made.id}`, undefined, rest.acme.key.WRITE)).toMatchObject({ status: 403 })
  expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 204, text: '' })
  expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 404 })
  expect(await list()).toEqual([])
})

it('a variable of another service of the same project answers 404 on every row', async () => {
  const made = await add('MINE', '1')
  service = (await rest.call('POST', '/api/web-services', { key, body: { name: 'Other' } })).body.id
  expect(await send('PATCH', `/${made.id}`, { value: '2' })).toMatchObject({ status: 404 })
  expect(await send('GET', `/${made.id}/reveal`)).toMatchObject({ status: 404 })
  expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 404 })
})

it('limit and offset select a part of the list; total is the length of the whole list', async () => {
  for (const name of ['A', 'B', 'C']) await add(name, name)
  const part = await send('GET', '?limit=1&offset=1')
  expect(part.body).toMatchObject({ environment_variables: [{ key: 'B' }], total: 3 })
})
