/** The life of a key: rotation, expiry, last use. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { announceExpiry, callerOfKey, createApiKey, revokeApiKey, rotateApiKey } from '../../../src/domain/access/api-key/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import {
  codeOf,
  createTenant,
  createWorld,
  operation,
  refusal,
  request,
  setRole,
  statementsOf,
  type Tenant,
  type World,
} from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const hourMs = 3_600_000
const create = (input: CommandInput = {}, caller = tenant.owner) =>
  execute(request(world.app, caller), createApiKey, { name: 'ci', scope: 'ADMIN', ...input })
const rotate = (id: string, graceMs?: number, caller: Caller = tenant.owner) =>
  execute(request(world.app, caller), rotateApiKey, { id, graceMs })
const works = async (text: string | null, app: App = world.app) => (await callerOfKey(app, text!)) !== null
const forget = async (app: App = world.app) => {
  app.wake.notify('credentials')
  await app.wake.next('credentials', 60_000)
}
/** Runs at another time of the database, `ms` later. */
async function laterBy(ms: number, act: () => Promise<void>): Promise<void> {
  await shiftClock(world.url, ms)
  try {
    await forget()
    await act()
  } finally {
    await shiftClock(world.url, 0)
    await forget()
  }
}
const typesOf = async (id: string) =>
  (await rows<{ type: string }>(world.app.db, sql`select type from event where subject_id = ${id}::uuid order by sequence`)).map(
    ({ type }) => type,
  )

describe('a rotated key', () => {
  it('keeps its id, and its former text works for a day unless another time is given', async () => {
    const { apiKey, plaintextKey: first } = await create()
    const { apiKey: rotated, plaintextKey: second } = await rotate(apiKey.id)
    expect(rotated).toMatchObject({ id: apiKey.id, version: apiKey.version + 1, prefix: second!.slice(0, 12) })
    expect([await works(first), await works(second)]).toEqual([true, true])
    expect(await callerOfKey(world.app, first!)).toEqual(await callerOfKey(world.app, second!))
    await laterBy(24 * hourMs - 60_000, async () => expect([await works(first), await works(second)]).toEqual([true, true]))
    await laterBy(24 * hourMs + 1, async () => expect([await works(first), await works(second)]).toEqual([false, true]))
    const [, event] = await rows<{ type: string; data: { formerExpiresAt: string } }>(
      world.app.db,
      sql`select type, data from event where subject_id = ${apiKey.id}::uuid order by sequence`,
    )
    expect(event).toMatchObject({ type: 'api_key.rotated', data: { name: 'ci' } })
    const audited = await rows(
      world.app.db,
      sql`select before, after from audit_entry where action = 'rotateApiKey' and target_id = ${apiKey.id}::uuid`,
    )
    expect(audited).toEqual([{ before: { prefix: apiKey.prefix }, after: { prefix: rotated.prefix } }])
    expect(Math.abs(Date.parse(event!.data.formerExpiresAt) - Date.now() - 24 * hourMs)).toBeLessThan(hourMs)
  })

  it('loses its former text at once with graceMs 0, in every process', async () => {
    const other = await world.process()
    const { apiKey, plaintextKey: first } = await create()
    expect([await works(first), await works(first, other)]).toEqual([true, true])
    const heard = other.wake.next('credentials', 60_000)
    const { plaintextKey: second } = await rotate(apiKey.id, 0)
    await heard
    expect([await works(first), await works(first, other)]).toEqual([false, false])
    expect([await works(second), await works(second, other)]).toEqual([true, true])
  })

  it('has at most two texts: another rotation ends the oldest at once', async () => {
    const { apiKey, plaintextKey: first } = await create()
    const { plaintextKey: second } = await rotate(apiKey.id, 7 * 24 * hourMs)
    const { plaintextKey: third } = await rotate(apiKey.id, hourMs)
    await forget()
    expect([await works(first), await works(second), await works(third)]).toEqual([false, true, true])
    await laterBy(hourMs + 1, async () => expect([await works(second), await works(third)]).toEqual([false, true]))
  })

  it('is revoked with both texts', async () => {
    const { apiKey, plaintextKey: first } = await create()
    const { plaintextKey: second } = await rotate(apiKey.id)
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    await forget()
    expect([await works(first), await works(second)]).toEqual([false, false])
    expect(await refusal(rotate(apiKey.id))).toMatchObject({ code: 'api_key_not_active' })
    expect(await typesOf(apiKey.id)).toEqual(['api_key.created', 'api_key.rotated', 'api_key.revoked'])
  })

  it('expires with both texts when it expires', async () => {
    const { apiKey, plaintextKey: first } = await create({ expiresAt: new Date(Date.now() + hourMs) })
    const { plaintextKey: second } = await rotate(apiKey.id)
    await laterBy(hourMs + 1, async () => expect([await works(first), await works(second)]).toEqual([false, false]))
  })

  it('is returned once: a repeated response has no text, and the key is not rotated again', async () => {
    const { apiKey } = await create()
    const first = await execute(request(world.app, tenant.owner), rotateApiKey, { id: apiKey.id, idempotencyKey: 'r1' })
    const again = await execute(request(world.app, tenant.owner), rotateApiKey, { id: apiKey.id, idempotencyKey: 'r1' })
    expect(again).toEqual({ ...first, plaintextKey: null })
    expect(await works(first.plaintextKey)).toBe(true)
  })

  it('is rotated by GraphQL, by keys too, with a text of its own API', async () => {
    const { apiKey, plaintextKey } = await create({ kind: 'OEC', scope: 'WRITE' })
    const holder = (await callerOfKey(world.app, plaintextKey!))!
    const { data, errors } = await operation(
      world.app,
      holder,
      'mutation ($id: ID!) { rotateApiKey(input: {id: $id, graceMs: 60000}) { plaintextKey apiKey { id prefix status } } }',
      { id: apiKey.id },
    )
    expect(errors).toBeUndefined()
    const { plaintextKey: text, apiKey: shown } = data!.rotateApiKey
    expect(text).toMatch(/^oec_live_rw_[A-Za-z0-9_-]{51}$/)
    expect(shown).toMatchObject({ prefix: text.slice(0, 16), status: 'active' })
    expect(await works(text)).toBe(true)
  })

  it.each([-1, 1.5, 7 * 24 * hourMs + 1])('is not rotated with graceMs %s', async (graceMs) => {
    const { apiKey, plaintextKey } = await create()
    expect(await refusal(rotate(apiKey.id, graceMs))).toMatchObject({ code: 'invalid_input', field: 'graceMs' })
    expect([await works(plaintextKey), await typesOf(apiKey.id)]).toEqual([true, ['api_key.created']])
  })
})

describe('a key is rotated by nobody', () => {
  it('but its creator, since its text acts for the creator', async () => {
    const { apiKey } = await create({ scope: 'READ' })
    const other = { ...tenant.owner, userId: '01890a5d-ac96-774b-bcce-b302099a8057' }
    expect(await refusal(rotate(apiKey.id, 0, other))).toMatchObject({ code: 'forbidden' })
    expect(await refusal(rotate(apiKey.id, 0, { ...tenant.owner, userId: null }))).toMatchObject({ code: 'forbidden' })
  })

  it('with fewer permissions than the key has, or a key that expires before it', async () => {
    const { apiKey } = await create({ scope: 'ADMIN' })
    const holderOf = async (input: CommandInput) => (await callerOfKey(world.app, (await create(input)).plaintextKey!))!
    const lesser = await holderOf({ kind: 'OEC', scope: 'WRITE' })
    expect(await refusal(rotate(apiKey.id, 0, lesser))).toMatchObject({ code: 'forbidden', field: 'scope' })
    const expiring = await holderOf({ expiresAt: new Date(Date.now() + hourMs) })
    expect(await refusal(rotate(apiKey.id, 0, expiring))).toMatchObject({ code: 'forbidden', field: 'id' })
    const { apiKey: listed } = await create({ kind: 'OCORE', scope: 'ADMIN', permissions: ['delete:projects'] })
    const manager = await holderOf({ kind: 'OCORE', permissions: ['manage:api_keys'] })
    expect(await refusal(rotate(listed.id, 0, manager))).toMatchObject({ code: 'forbidden', field: 'permissions' })
  })

  it('outside its organization or project', async () => {
    const { apiKey } = await create()
    const other = await createTenant(world.app)
    expect(await codeOf(rotate(apiKey.id, 0, other.owner))).toBe('not_found')
    expect(await codeOf(rotate(apiKey.id, 0, { ...tenant.owner, projectIds: [] }))).toBe('not_found')
  })

  it('after its creator was demoted', async () => {
    const own = await createTenant(world.app)
    const { apiKey, plaintextKey } = await create({}, own.owner)
    await setRole({ tx: world.app.db }, own.owner, 'DEVELOPER')
    await forget()
    const holder = (await callerOfKey(world.app, plaintextKey!))!
    expect(await refusal(rotate(apiKey.id, 0, holder))).toMatchObject({ code: 'forbidden' })
  })
})

describe('the expiry of a key', () => {
  const announce = () => announceExpiry.run(world.app, new AbortController().signal)

  it('is announced and audited once, whatever rotations it had', async () => {
    const expiresAt = new Date(Date.now() + hourMs)
    const { apiKey } = await create({ expiresAt })
    await rotate(apiKey.id)
    const { apiKey: lasting } = await create()
    const { apiKey: revoked } = await create({ expiresAt })
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: revoked.id })
    await announce()
    expect(await typesOf(apiKey.id)).toEqual(['api_key.created', 'api_key.rotated'])
    await laterBy(hourMs + 1, async () => {
      await Promise.all([announce(), announce()])
      await announce()
      expect(await typesOf(apiKey.id)).toEqual(['api_key.created', 'api_key.rotated', 'api_key.expired'])
      expect(await typesOf(lasting.id)).toEqual(['api_key.created'])
      expect(await typesOf(revoked.id)).toEqual(['api_key.created', 'api_key.revoked'])
      const audited = await rows(
        world.app.db,
        sql`select target_name, actor_type from audit_entry where action = 'apiKey.expire' and target_id = ${apiKey.id}::uuid`,
      )
      expect(audited).toEqual([{ targetName: 'ci', actorType: 'system' }])
      // An expired key can still be revoked.
      const { apiKey: ended } = await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
      expect(ended.revokedAt).not.toBeNull()
    })
  })

  it('shows in its status, as its revocation does', async () => {
    const { apiKey } = await create({ expiresAt: new Date(Date.now() + hourMs) })
    const source = 'query ($id: ID!) { node(id: $id) { ... on ApiKey { status } } }'
    const status = async () => (await operation(world.app, tenant.owner, source, { id: encodeId('ApiKey', apiKey.id) })).data!.node.status
    expect(await status()).toBe('active')
    await run(world.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${apiKey.id}::uuid`)
    expect(await status()).toBe('expired')
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    expect(await status()).toBe('revoked')
  })
})

describe('the last use of a key', () => {
  const lastUse = async (id: string) =>
    (await row<{ lastUsedAt: Date | null }>(world.app.db, sql`select last_used_at from api_key where id = ${id}::uuid`))!.lastUsedAt

  it('is recorded at most once a minute, and changes neither version nor updatedAt', async () => {
    const { apiKey, plaintextKey } = await create()
    expect(await lastUse(apiKey.id)).toBeNull()
    expect(await works(plaintextKey)).toBe(true)
    const first = await until('the first use is recorded', () => lastUse(apiKey.id))
    await forget()
    expect(await statementsOf(world.app, () => works(plaintextKey))).toHaveLength(1)
    await laterBy(61_000, async () => {
      expect(await works(plaintextKey)).toBe(true)
      await until('the next use is recorded', async () => (await lastUse(apiKey.id))! > first)
    })
    const now = await row(world.app.db, sql`select version, updated_at from api_key where id = ${apiKey.id}::uuid`)
    expect(now).toEqual({ version: 1, updatedAt: apiKey.updatedAt })
  })

  it('does not refuse or delay a request if it cannot be recorded', async () => {
    const { apiKey, plaintextKey } = await create()
    const { db } = world.app
    await run(db, sql`alter table api_key add constraint no_use check (last_used_at is null) not valid`)
    try {
      expect(await works(plaintextKey)).toBe(true)
      await forget()
      expect(await works(plaintextKey)).toBe(true)
    } finally {
      await run(db, sql`alter table api_key drop constraint no_use`)
    }
    await db.transaction(async (tx) => {
      await run(tx, sql`select 1 from api_key where id = ${apiKey.id}::uuid for update`)
      await forget()
      expect(await works(plaintextKey)).toBe(true)
    })
    await until('a later use is recorded', async () => {
      await forget()
      await works(plaintextKey)
      return lastUse(apiKey.id)
    })
  })
})
