/** What a credential that a request presents is worth. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfCredential, createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let acme: Tenant
let other: Tenant
let key: string

beforeAll(async () => {
  world = await createWorld()
  acme = await createTenant(world.app, 'acme')
  other = await createTenant(world.app, 'other')
  key = (await execute(request(world.app, acme.owner), createApiKey, { name: 'ci', scope: 'ADMIN' })).plaintextKey!
})
afterAll(() => world?.close())

const presented = (text: string, organization: string | null = null, fromCookie = false) => ({ text, organization, fromCookie })

describe('an API key', () => {
  it('stands for its caller, also if the request names its organization', async () => {
    for (const organization of [null, 'acme'])
      expect(await callerOfCredential(world.app, presented(key, organization))).toMatchObject({
        organizationId: acme.organizationId,
        sessionId: null,
      })
  })
  it.each(['other', 'unknown', ''])('is forbidden in another organization: %j', async (organization) => {
    await expect(callerOfCredential(world.app, presented(key, organization))).rejects.toMatchObject({ kind: 'forbidden' })
    expect(other.organizationId).not.toBe(acme.organizationId)
  })
  it('that is not valid is none, whatever organization the request names', async () => {
    expect(await callerOfCredential(world.app, presented(`${key}x`, 'acme'))).toBeNull()
    expect(await callerOfCredential(world.app, presented(key), 'ocore_k_')).toBeNull()
  })
  it('is not accepted in a cookie', async () => {
    expect(await callerOfCredential(world.app, presented(key, null, true))).toBeNull()
  })
})
