/** One-time passwords and recovery codes, alone and at a login. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfCredential } from '../../../src/domain/access/api-key/index.ts'
import { login, loginWithSecondFactor, type PartialLogin } from '../../../src/domain/access/session/index.ts'
import { codeAt } from '../../../src/domain/access/totp/code.ts'
import { disableTotp, enableTotp, setUpTotp } from '../../../src/domain/access/totp/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { password, signIn, withPassword } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, operation, request, type Tenant, type World } from '../../support/tenant.ts'
import { secretOf } from '../../support/totp.ts'

let world: World

beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world?.close())

type Person = Tenant & { email: string; secret: Buffer; recoveryCodes: string[] }

const setUp = (caller: Caller, input: CommandInput = {}) => execute(request(world.app, caller), setUpTotp, input)
const enable = (caller: Caller, code: string) => execute(request(world.app, caller), enableTotp, { code })
const disable = (caller: Caller, input: CommandInput) => execute(request(world.app, caller), disableTotp, input)

const stepNow = async () =>
  (await row<{ step: number }>(world.app.db, sql`select floor(extract(epoch from app_now()) / 30)::int as step`))!.step
/** A code of a step near the current one. */
const code = async ({ secret }: Pick<Person, 'secret'>, distance = 0) => codeAt(secret, (await stepNow()) + distance)

async function createPerson({ enabled = true } = {}): Promise<Person> {
  const tenant = await createTenant(world.app)
  const email = await withPassword(world.app, tenant.owner)
  const secret = secretOf((await setUp(tenant.owner)).otpauthUrl!)
  // The code of the step before leaves those of the current step and the next one for the test.
  const recoveryCodes = enabled ? (await enable(tenant.owner, await code({ secret }, -1))).recoveryCodes! : []
  return { ...tenant, email, secret, recoveryCodes }
}

const begin = async ({ email }: Person) => ((await login(world.app, { email, password }, 'test')) as PartialLogin).partialToken
const finish = async (person: Person, text: string) =>
  loginWithSecondFactor(world.app, { partialToken: await begin(person), code: text }, 'test')

describe('setting up', () => {
  it('returns a secret and its URL once, and changes nothing until a code was shown', async () => {
    const { owner } = await createTenant(world.app)
    const first = await setUp(owner, { idempotencyKey: 'once' })
    expect(first.secret).toMatch(/^[A-Z2-7]{32}$/)
    expect(new URL(first.otpauthUrl!).searchParams.get('secret')).toBe(first.secret)
    expect(await setUp(owner, { idempotencyKey: 'once' })).toEqual({ secret: null, otpauthUrl: null })
    const query = 'query ($id: ID!) { node(id: $id) { ... on User { totpEnabled } } }'
    const look = (caller: Caller) => operation(world.app, caller, query, { id: encodeId('User', owner.userId!) })
    expect((await look(owner)).data).toEqual({ node: { totpEnabled: false } })
    expect(await codeOf(enable(owner, '000000'))).toBe('wrong_code')
    expect((await enable(owner, await code({ secret: secretOf(first.otpauthUrl!) }))).recoveryCodes).toHaveLength(8)
    expect((await look(owner)).data).toEqual({ node: { totpEnabled: true } })
  })

  it('again replaces the secret, and is refused once it is enabled', async () => {
    const person = await createPerson({ enabled: false })
    const second = { secret: secretOf((await setUp(person.owner)).otpauthUrl!) }
    expect(await codeOf(enable(person.owner, await code(person)))).toBe('wrong_code')
    await enable(person.owner, await code(second))
    expect(await codeOf(setUp(person.owner))).toBe('totp_enabled')
    expect(await codeOf(enable(person.owner, await code(second, 1)))).toBe('totp_enabled')
  })

  it('is demanded before enabling, and both before disabling; API keys do none of it', async () => {
    const tenant = await createTenant(world.app)
    expect(await codeOf(enable(tenant.owner, '000000'))).toBe('totp_not_set_up')
    expect(await codeOf(disable(tenant.owner, { code: '000000' }))).toBe('totp_not_enabled')
    const key = tenant.key('ADMIN')
    for (const act of [() => setUp(key), () => enable(key, '000000'), () => disable(key, { code: '1' })])
      expect(await codeOf(act())).toBe('forbidden')
  })

  it('needs a login of the last ten minutes, and is told by mail', async () => {
    const { owner } = await createPerson({ enabled: false })
    const { accessToken } = await signIn(world.app, owner)
    const caller = (await callerOfCredential(world.app, { text: accessToken, organization: null, fromCookie: false }))!
    await run(world.app.db, sql`update session set created_at = app_now() - interval '11 minutes' where id = ${caller.sessionId}::uuid`)
    expect(await codeOf(setUp(caller))).toBe('login_not_recent')
    expect(await codeOf(enable(caller, '000000'))).toBe('login_not_recent')
    await run(world.app.db, sql`update session set created_at = app_now() where id = ${caller.sessionId}::uuid`)
    const secret = secretOf((await setUp(caller)).otpauthUrl!)
    await enable(caller, await code({ secret }))
    const told = await rows(world.app.db, sql`select to_addresses from mail where purpose = 'account_notice' order by id desc limit 1`)
    expect(told).toEqual([{ toAddresses: [expect.stringContaining('@')] }])
  })

  it('is shown to nobody else', async () => {
    const person = await createPerson()
    const colleague = await createTenant(world.app)
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
          select ${newId()}::uuid, organization_id, ${colleague.owner.userId}::uuid, id from role
          where organization_id = ${person.organizationId}::uuid and system = 'OWNER'`,
    )
    const query = 'query ($id: ID!) { node(id: $id) { ... on User { totpEnabled } } }'
    for (const caller of [{ ...colleague.owner, organizationId: person.organizationId }, person.key('ADMIN')]) {
      const { errors } = await operation(world.app, caller, query, { id: encodeId('User', person.owner.userId!) })
      expect(errors?.map((error) => error.code)).toEqual(['forbidden'])
    }
  })

  it('leaves no secret and no code in any row', async () => {
    const person = await createPerson()
    for (const text of [...person.recoveryCodes, person.secret.toString('base64'), person.secret.toString('hex')]) {
      for (const table of ['totp', 'recovery_code', 'audit_entry', 'event', 'idempotency']) {
        const found = await world.app.db.pool.query(`select 1 from ${table} t where position($1 in row_to_json(t)::text) > 0`, [text])
        expect({ table, found: found.rowCount }).toEqual({ table, found: 0 })
      }
    }
  })
})

describe('a login', () => {
  it('with the password alone is not complete, and is completed by a code', async () => {
    const person = await createPerson()
    const partial = await login(world.app, { email: person.email, password }, 'test')
    expect(partial).toEqual({ requiresTOTP: true, partialToken: expect.any(String) })
    expect(await finish(person, await code(person))).toMatchObject({ user: { email: person.email }, accessToken: expect.any(String) })
  })

  it('takes each code once, also with parallel requests, and no earlier one afterwards', async () => {
    const person = await createPerson()
    const tokens = await Promise.all(Array.from({ length: 5 }, () => begin(person)))
    const step = await stepNow()
    const next = codeAt(person.secret, step + 1)
    const outcomes = await Promise.all(
      tokens.map((partialToken) => codeOf(loginWithSecondFactor(world.app, { partialToken, code: next }, 'test'))),
    )
    expect(outcomes.toSorted()).toEqual(['code_failed', 'code_failed', 'code_failed', 'code_failed', 'done'])
    for (const used of [step + 1, step, step - 1]) expect(await codeOf(finish(person, codeAt(person.secret, used)))).toBe('code_failed')
  })

  it('takes no code of steps further away', async () => {
    const person = await createPerson()
    for (const distance of [-3, 3]) expect(await codeOf(finish(person, await code(person, distance)))).toBe('code_failed')
  })

  it('takes each recovery code once, also with parallel requests', async () => {
    const person = await createPerson()
    const [first, second] = person.recoveryCodes
    const tokens = await Promise.all(Array.from({ length: 4 }, () => begin(person)))
    const outcomes = await Promise.all(
      tokens.map((partialToken) => codeOf(loginWithSecondFactor(world.app, { partialToken, code: first! }, 'test'))),
    )
    expect(outcomes.toSorted()).toEqual(['code_failed', 'code_failed', 'code_failed', 'done'])
    expect(await codeOf(finish(person, second!.toUpperCase().replaceAll('-', ' ')))).toBe('done')
    expect(await codeOf(finish(person, second!))).toBe('code_failed')
  })

  it('takes no recovery code of somebody else', async () => {
    const [person, other] = [await createPerson(), await createPerson()]
    expect(await codeOf(finish(person, other.recoveryCodes[0]!))).toBe('code_failed')
    expect(await codeOf(finish(other, other.recoveryCodes[0]!))).toBe('done')
  })

  it('is locked after ten wrong codes, for the right code too', async () => {
    const person = await createPerson()
    const partialToken = await begin(person)
    const attempt = (text: string) => codeOf(loginWithSecondFactor(world.app, { partialToken, code: text }, 'test'))
    for (let n = 0; n < 10; n++) expect(await attempt(`wrong-${n}`)).toBe('code_failed')
    expect(await attempt(await code(person))).toBe('login_locked')
    expect(await codeOf(disable(person.owner, { password }))).toBe('login_locked')
  })
})

describe('disabling', () => {
  it.each<[string, (person: Person) => Promise<CommandInput>]>([
    ['the password', async () => ({ password })],
    ['a code', async (person) => ({ code: await code(person) })],
    ['a recovery code', async ({ recoveryCodes }) => ({ code: recoveryCodes[3] })],
  ])('takes %s, after which the password is enough and the recovery codes are gone', async (_what, input) => {
    const person = await createPerson()
    await disable(person.owner, await input(person))
    expect(await login(world.app, { email: person.email, password }, 'test')).toMatchObject({ accessToken: expect.any(String) })
    expect(await rows(world.app.db, sql`select 1 from recovery_code where user_id = ${person.owner.userId}::uuid`)).toEqual([])
  })

  it('is refused for a wrong password, a wrong code, both, and neither; failures are counted and audited', async () => {
    const person = await createPerson()
    expect(await codeOf(disable(person.owner, { password: 'wrong password' }))).toBe('wrong_password')
    expect(await codeOf(disable(person.owner, { code: '12345' }))).toBe('wrong_code')
    expect(await codeOf(disable(person.owner, {}))).toBe('invalid_input')
    expect(await codeOf(disable(person.owner, { password, code: '123456' }))).toBe('invalid_input')
    const entries = await rows(
      world.app.db,
      sql`select outcome, details->>'reason' as reason from audit_entry
          where user_id = ${person.owner.userId}::uuid and action = 'disableTotp' and outcome = 'FAILED' order by id`,
    )
    expect(entries).toEqual([
      { outcome: 'FAILED', reason: 'wrong password' },
      { outcome: 'FAILED', reason: 'wrong code' },
    ])
    for (let n = 2; n < 10; n++) expect(await codeOf(disable(person.owner, { code: 'wrong' }))).toBe('wrong_code')
    expect(await codeOf(disable(person.owner, { password }))).toBe('login_locked')
  })
})
