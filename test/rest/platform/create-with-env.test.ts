/** Creation of a web service together with its variables. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([platformDialect])
})
afterAll(() => rest.close())

const make = (body: object, headers?: Record<string, string>, key = rest.acme.key.WRITE) =>
  rest.call('POST', '/api/web-services', { key, body: { name: 'Web', ...body }, headers })
const listed = async (id: string) =>
  (await rest.call('GET', `/api/web-services/${id}/env`, { key: rest.acme.key.READ })).body.environment_variables
const count = async () => (await rows(rest.app.db, sql`select 1 as one from web_service`)).length

it('creates both, with secret values masked from then on', async () => {
  const made = await make({
    env_vars: [
      { key: 'PLAIN', value: 'plain-of-creation' },
      { key: 'TOKEN', value: 'token-of-creation', is_secret: true },
    ],
  })
  expect(made).toMatchObject({ status: 201, body: { name: 'Web', status: 'stopped' } })
  expect(made.text).not.toContain('token-of-creation')
  expect(await listed(made.body.id)).toMatchObject([
    { key: 'PLAIN', value: 'plain-of-creation', is_secret: false },
    { key: 'TOKEN', value: '********', is_secret: true },
  ])
})

it('creates nothing if a variable is not valid, and names the variable', async () => {
  const before = await count()
  const cases: [unknown, string][] = [
    [
      [
        { key: 'A', value: '1' },
        { key: '1A', value: 'x' },
      ],
      'env_vars.1.key: must contain only letters, digits and _, and must not begin with a digit',
    ],
    [
      [
        { key: 'A', value: '1' },
        { key: 'A', value: '2' },
      ],
      'env_vars.1.key: A is given more than once',
    ],
    [[{ key: 'A' }], 'env_vars.0.value: is required'],
    [[{ key: 'A', value: '1', is_secret: 'yes' }], 'env_vars.0.is_secret: must be true or false'],
    [{ A: '1' }, 'env_vars: must be a list'],
    [['A=1'], 'env_vars.0: must be an object'],
  ]
  for (const [env_vars, detail] of cases) expect(await make({ env_vars })).toMatchObject({ status: 400, body: { detail } })
  expect(await count()).toBe(before)
})

it('creates no service if its variables cannot be written', async () => {
  const before = await count()
  await rest.app.db.pool.query(`alter table env_var add constraint refuse_all check (key <> 'REFUSED') not valid`)
  const answer = await rest.server.inject({
    method: 'POST',
    url: '/api/web-services',
    headers: { authorization: `Bearer ${rest.acme.key.WRITE}` },
    payload: { name: 'Web', env_vars: [{ key: 'REFUSED', value: 'x' }] },
  })
  await rest.app.db.pool.query('alter table env_var drop constraint refuse_all')
  expect(answer.statusCode).toBe(500)
  expect(await count()).toBe(before)
})

it('repeats the whole response for an idempotency key', async () => {
  const body = { env_vars: [{ key: 'A', value: '1' }] }
  const [one, two] = [await make(body, { 'idempotency-key': 'both' }), await make(body, { 'idempotency-key': 'both' })]
  expect(two.body.id).toBe(one.body.id)
  expect(await listed(one.body.id)).toHaveLength(1)
})

it('creates a service without variables if none are given', async () => {
  for (const body of [{}, { env_vars: [] }]) {
    const made = await make(body)
    expect([made.status, await listed(made.body.id)]).toEqual([201, []])
  }
})
