/** Second factors, records of failed logins, and the strength of stored passwords. */
import { argon2Sync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { login, loginWithSecondFactor, type PartialLogin, type SignedIn, secondFactors } from '../../../src/domain/access/session/index.ts'
import { hashPassword, setPasswordHash, verifyPassword } from '../../../src/domain/access/user/index.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { password, withPassword } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

/** A factor of those users whose name says so; its codes are numbers, each of which is right once. */
const used = new Set<string>()
const factor = defineConcept({
  name: 'test-factor',
  extensions: [
    secondFactors.with({
      name: 'number',
      emits: [],
      isRequired: async (tx, userId) =>
        (await row(tx, sql`select 1 from user_account where id = ${userId}::uuid and name like 'careful%'`)) !== null,
      verify: async (_work, _userId, code) => /^\d+$/.test(code) && !used.has(code) && used.add(code) !== undefined,
    }),
  ],
})

let world: World
let careful: Tenant
let acme: Tenant
let email: string

beforeAll(async () => {
  world = await createWorld({}, [factor])
  careful = await createTenant(world.app, 'careful')
  acme = await createTenant(world.app, 'acme')
  email = await withPassword(world.app, careful.owner)
  await withPassword(world.app, acme.owner)
})
afterAll(() => world?.close())
beforeEach(() => run(world.app.db, sql`delete from login_attempt`))

const begin = async (secret = password) => (await login(world.app, { email, password: secret }, 'test')) as PartialLogin
const finish = (partialToken: string, code: string) => loginWithSecondFactor(world.app, { partialToken, code }, 'test')

describe('a second factor', () => {
  it('is asked for after the password, and completes the login once', async () => {
    const { requiresTOTP, partialToken } = await begin()
    expect(requiresTOTP).toBe(true)
    expect(await codeOf(finish(partialToken, 'wrong'))).toBe('code_failed')
    expect((await finish(partialToken, '1')).user.email).toBe(email)
    expect(await codeOf(finish(partialToken, '1'))).toBe('code_failed')
  })

  it('is asked for with a token of a right password only', async () => {
    const signedIn = (await login(world.app, { email: 'acme@quayside.localhost', password }, 'test')) as SignedIn
    const { partialToken } = await begin()
    for (const bad of ['', 'nonsense', signedIn.accessToken, signedIn.refreshToken, `${partialToken}x`, partialToken.slice(0, -1)])
      expect(await codeOf(finish(bad, '2'))).toBe('login_expired')
    await setPasswordHash(world.app.db, careful.owner.userId!, await hashPassword('another horse battery'))
    expect(await codeOf(finish(partialToken, '2'))).toBe('login_expired')
    await withPassword(world.app, careful.owner)
  })

  it('can be guessed no more often than a password, although the password is right each time', async () => {
    for (let n = 0; n < 10; n++) expect(await codeOf(begin().then(({ partialToken }) => finish(partialToken, 'wrong')))).toBe('code_failed')
    expect(await codeOf(begin())).toBe('login_locked')
  })
})

describe('a login while the password is being changed', () => {
  /** Changes the password, and a statement of `act` waits for that. */
  const meanwhile = async <T>(owner: Tenant['owner'], act: () => Promise<T>): Promise<string> => {
    const { db } = world.app
    const next = await hashPassword('another horse battery')
    const acting = await db.transaction(async (tx) => {
      await setPasswordHash(tx, owner.userId!, next)
      const begun = codeOf(act())
      await until('the login waits for the change', async () => {
        const waiting = await row<{ n: number }>(
          db,
          sql`select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
        return waiting!.n > 0
      })
      return { begun }
    })
    return acting.begun
  }
  const sessions = async ({ userId }: Tenant['owner']) =>
    (await row<{ n: number }>(world.app.db, sql`select count(*)::int as n from session where user_id = ${userId}::uuid`))!.n

  it('leaves no session that began with the former password', async () => {
    const { owner } = await createTenant(world.app, 'hasty')
    const address = await withPassword(world.app, owner)
    expect(await meanwhile(owner, () => login(world.app, { email: address, password }, 'test'))).toBe('login_failed')
    expect(await sessions(owner)).toBe(0)
  })

  it('does so with a second factor too', async () => {
    const { owner } = await createTenant(world.app, 'careful-and-hasty')
    const address = await withPassword(world.app, owner)
    const { partialToken } = (await login(world.app, { email: address, password }, 'test')) as PartialLogin
    expect(await meanwhile(owner, () => finish(partialToken, '77'))).toBe('login_expired')
    expect(await sessions(owner)).toBe(0)
  })
})

describe('failed logins', () => {
  it('are in the audit log, and the lock is an event, of a known user; nothing is recorded of an unknown address', async () => {
    const { app } = world
    const audited = () =>
      rows<{ outcome: string; details: object; targetName: string }>(
        app.db,
        sql`select outcome, details, target_name from audit_entry where action = 'login' and organization_id = ${acme.organizationId}::uuid order by id`,
      )
    const before = (await audited()).length
    for (let n = 0; n < 10; n++) await codeOf(login(app, { email: 'acme@quayside.localhost', password: 'hunter2 hunter2' }, 'test'))
    await until('all are recorded', async () => (await audited()).length === before + 10)
    expect((await audited()).at(-1)).toMatchObject({
      outcome: 'FAILED',
      details: { reason: 'wrong password' },
      targetName: 'acme@quayside.localhost',
    })
    const events = await rows<{ organizationId: string }>(app.db, sql`select organization_id from event where type = 'user.locked'`)
    expect(events.map(({ organizationId }) => organizationId)).toContain(acme.organizationId)
    await codeOf(login(app, { email: 'nobody@example.com', password: 'hunter2 hunter2' }, 'test'))
    await until('it is logged', () => app.logged.some(({ reason }) => reason === 'unknown account'))
    expect(JSON.stringify(app.logged)).not.toMatch(/nobody@example\.com|hunter2/)
    const dump = await row<{ text: string }>(app.db, sql`select string_agg(a::text, ' ') as text from login_attempt a`)
    expect(dump!.text).not.toMatch(/nobody|quayside\.localhost/)
  })
})

describe('a stored password', () => {
  it('is argon2id with 19 MiB and two passes, with a salt of its own', async () => {
    const [one, other] = [await hashPassword(password), await hashPassword(password)]
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
    expect(one).not.toBe(other)
    expect(await verifyPassword(password, one)).toEqual({ isRight: true, isOutdated: false })
    expect(await verifyPassword(`${password} `, one)).toEqual({ isRight: false, isOutdated: false })
  })

  it('is the same however its characters were typed', async () => {
    const stored = await hashPassword('Caf\u00e9 \u2075 crossing')
    expect((await verifyPassword('Cafe\u0301 5 crossing', stored)).isRight).toBe(true)
  })

  it('does not exist for an unknown user, whatever the password, and the same work is done', async () => {
    expect(await verifyPassword('', null)).toMatchObject({ isRight: false })
    expect(await verifyPassword(password, null)).toMatchObject({ isRight: false })
  })

  it('is hashed again by a login when it was hashed with less effort', async () => {
    const salt = randomBytes(16)
    const weak = argon2Sync('argon2id', { message: password, nonce: salt, memory: 8_192, passes: 1, parallelism: 1, tagLength: 32 })
    const text = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')
    await setPasswordHash(world.app.db, acme.owner.userId!, `$argon2id$v=19$m=8192,t=1,p=1$${text(salt)}$${text(weak)}`)
    await login(world.app, { email: 'acme@quayside.localhost', password }, 'test')
    const stored = await row<{ passwordHash: string }>(
      world.app.db,
      sql`select password_hash from user_account where id = ${acme.owner.userId}::uuid`,
    )
    expect(stored!.passwordHash).toContain('m=19456,t=2')
    expect(await codeOf(login(world.app, { email: 'acme@quayside.localhost', password }, 'test'))).toBe('done')
  })

  it('is one of at most 62 that are hashed or wait; the others are asked to come back', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 80 }, () => verifyPassword(password, null)))
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    expect(refused).toHaveLength(18)
    expect(refused[0]!.reason).toMatchObject({ kind: 'unavailable', details: { retryAfterSeconds: 2 } })
  })
})
