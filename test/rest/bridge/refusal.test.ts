/** The envelope of the Odoo bridge around what is refused. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([platformDialect, bridgeDialect])
})
afterAll(() => rest.close())

describe('a refusal', () => {
  it.each(['/bridge/nope', '/call/nope', '/speed-test/nope'])('at %s has the envelope of the bridge', async (path) => {
    const body = { success: false, data: null, error: 'This path does not exist.', code: 'not_found' }
    expect(await rest.call('GET', path)).toMatchObject({ status: 404, body })
  })
  it('elsewhere has none', async () => {
    expect((await rest.call('GET', '/api/nope')).body).toEqual({ detail: 'This path does not exist.' })
    expect((await rest.call('GET', '/calls')).body.error.code).toBe('not_found')
  })
})
