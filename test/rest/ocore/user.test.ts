/** The account of a person, without X-Org-Slug. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { signIn } from '../../support/person.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let token: string
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown, key = token) => rest.call(method, `/api/user${path}`, { key, body })

it('the profile is shown and renamed', async () => {
  const profile = { id: rest.acme.owner.userId, email: 'acme@quayside.localhost', name: 'acme', totpEnabled: false }
  expect(await call('GET', '')).toMatchObject({ status: 200, body: profile })
  expect(await call('PATCH', '', { name: 'Ada' })).toMatchObject({ status: 200, body: { ...profile, name: 'Ada' } })
  expect(await call('PATCH', '', { name: '' })).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'name', constraint: 'min_length' } } },
  })
  expect((await call('GET', '')).body.name).toBe('Ada')
})
