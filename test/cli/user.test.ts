import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { login, type SignedIn } from '../../src/domain/access/session/index.ts'
import { enable, isEnabled, storeSecret } from '../../src/domain/access/totp/store.ts'
import { systemCaller } from '../../src/platform/access.ts'
import { row, rows, run, sql } from '../../src/platform/db/index.ts'
import { nilId } from '../../src/platform/id.ts'
import { transact } from '../../src/platform/work.ts'
import { password, withPassword } from '../support/person.ts'
import { codeOf, createTenant, createWorld, type World } from '../support/tenant.ts'

const root = dirname(dirname(import.meta.dirname))

let world: World
let email: string
beforeAll(async () => {
  world = await createWorld()
  email = await withPassword(world.app, (await createTenant(world.app, 'acme')).owner)
})
afterAll(() => world?.close())

type Ended = { code: number; stdout: string; stderr: string }

const user = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const { DATA_DIR, MASTER_KEYS } = world.app.settings
    const env = { PATH: process.env.PATH, DATABASE_URL: world.url, DATA_DIR, MASTER_KEYS: MASTER_KEYS!.reveal() }
    execFile(process.execPath, [join(root, 'src/cli/user.ts'), ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
const signIn = (secret: string) => login(world.app, { email, password: secret }, 'test') as Promise<SignedIn>
const sessions = () => rows(world.app.db, sql`select id from session`)

it('lists users, and shows no hash', async () => {
  expect(await user('list')).toMatchObject({ code: 0, stdout: 'acme@quayside.localhost  acme  password\n', stderr: '' })
})

it('replaces a password by a random one, ends all sessions, and is audited', async () => {
  await signIn(password)
  const { code, stdout } = await user('reset-password', email.toUpperCase())
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^Password [\w-]{20}\n$/) })
  expect(await sessions()).toEqual([])
  expect(await codeOf(signIn(password))).toBe('login_failed')
  expect(await codeOf(signIn(stdout.trim().split(' ')[1]!))).toBe('done')
  const audited = await rows<{ actorType: string }>(
    world.app.db,
    sql`select actor_type from audit_entry where action = 'resetPasswordByOperator'`,
  )
  expect(audited).toEqual([{ actorType: 'system' }])
})

it('disables the one-time passwords of a user who has lost them, which is audited', async () => {
  const { id } = (await row<{ id: string }>(world.app.db, sql`select id from user_account where email = ${email}`))!
  await transact(world.app, systemCaller(nilId), {}, async (work) => {
    await storeSecret(work, id)
    await enable(work.tx, id)
  })
  expect(await user('disable-totp', email)).toMatchObject({ code: 0, stdout: 'One-time passwords are disabled.\n', stderr: '' })
  expect(await isEnabled(world.app.db, id)).toBe(false)
  expect(await rows(world.app.db, sql`select 1 as one from audit_entry where action = 'disableTotpByOperator'`)).toHaveLength(1)
})

it('makes a user an administrator of the installation, and takes that back while another one remains', async () => {
  const other = await withPassword(world.app, (await createTenant(world.app, 'other')).owner)
  const administrators = async () =>
    (await rows<{ email: string }>(world.app.db, sql`select email from user_account where is_administrator order by email`)).map(
      (found) => found.email,
    )
  expect(await user('admin', email.toUpperCase())).toMatchObject({ code: 0, stderr: '' })
  expect(await user('remove-admin', email)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('at least one') })
  expect(await user('admin', other)).toMatchObject({ code: 0 })
  expect(await administrators()).toEqual([email, other])
  expect((await user('list')).stdout).toContain('other  password  administrator')
  expect(await user('remove-admin', email)).toMatchObject({ code: 0, stderr: '' })
  expect(await administrators()).toEqual([other])
  await run(world.app.db, sql`update user_account set deactivated_at = app_now() where email = ${email}`)
  expect(await user('admin', email)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('deactivated') })
  const audited = await rows<{ action: string; targetName: string }>(
    world.app.db,
    sql`select action, target_name from audit_entry where organization_id = ${nilId}::uuid order by id`,
  )
  expect(audited).toEqual([
    { action: 'addAdministratorByOperator', targetName: email },
    { action: 'addAdministratorByOperator', targetName: other },
    { action: 'removeAdministratorByOperator', targetName: email },
  ])
})

it('says that there is no such user, and how it is used', async () => {
  expect(await user('reset-password', 'nobody@example.com')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('no user'),
  })
  expect(await user('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('reset-password <email>') })
})

it.each([
  [[]],
  [['reset-password']],
  [['reset-password', 'a', 'b']],
  [['list', 'all']],
  [['drop']],
  [['admin']],
  [['admin', 'a', 'b']],
  [['--force']],
])('refuses %j with exit code 2', async (args) => {
  expect(await user(...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('npm run user') })
})
