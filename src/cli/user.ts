/** `npm run user`: for people who are locked out, and installations from before passwords; and who administers the installation. */
import { parseArgs } from 'node:util'
import { replacePassword, sessionRevoked } from '../domain/access/session/index.ts'
import { forgetTotp } from '../domain/access/totp/index.ts'
import { type Account, accountOf, hashPassword, setAdministrator } from '../domain/access/user/index.ts'
import { systemCaller } from '../platform/access.ts'
import { rows, sql } from '../platform/db/index.ts'
import { DomainError } from '../platform/errors.ts'
import { nilId } from '../platform/id.ts'
import { readSettings } from '../platform/settings.ts'
import { type App, transact } from '../platform/work.ts'
import { randomPassword } from './bootstrap.ts'
import { isOperatorError, openApp } from './open-app.ts'

const usage = `npm run user -- list
npm run user -- reset-password <email>
npm run user -- disable-totp <email>
npm run user -- admin <email>
npm run user -- remove-admin <email>

list            Prints the email address and name of each user, whether the user has a password, administers the installation, is deactivated.
reset-password  Replaces the password of a user by a random one and prints it once. All sessions of the user end.
disable-totp    Removes the one-time passwords and recovery codes of a user who has lost them. The password alone is then enough to sign in.
admin           Makes a user an administrator of the installation.
remove-admin    Makes an administrator an ordinary user again. At least one administrator remains.

Exit code 0: done. 1: there is no such user, nothing could be changed, or the database cannot be used. 2: the arguments are not valid, and nothing was changed.`

type Task = (app: App) => Promise<boolean>

/** Null for --help. Throws TypeError if the arguments are not valid. */
function readTask(): Task | null {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) return null
  const [verb, email, ...more] = positionals
  if (verb === 'list' && email === undefined) return list
  const act = acts.get(verb ?? '')
  if (!act || email === undefined || more.length > 0) throw new TypeError('The arguments are not valid.')
  return async (app) => {
    const account = await findAccount(app, email.toLowerCase())
    return account !== null && act(app, account)
  }
}

async function list(app: App): Promise<boolean> {
  const users = await rows<{ email: string; name: string; hasPassword: boolean; isAdministrator: boolean; isDeactivated: boolean }>(
    app.db,
    sql`select email, name, password_hash is not null as has_password, is_administrator, deactivated_at is not null as is_deactivated
        from user_account order by id`,
  )
  for (const { email, name, hasPassword, isAdministrator, isDeactivated } of users)
    console.log(
      [email, name, hasPassword ? 'password' : 'no password', isAdministrator && 'administrator', isDeactivated && 'deactivated']
        .filter(Boolean)
        .join('  '),
    )
  return true
}

async function findAccount(app: App, email: string): Promise<Account | null> {
  const account = await accountOf(app.db, email)
  if (!account) console.error('There is no user with this email address. See `npm run user -- list`.')
  return account
}

/** What can be done to a user. Returns false if it could not be done. */
const acts: ReadonlyMap<string, (app: App, account: Account) => Promise<boolean>> = new Map([
  ['reset-password', resetPassword],
  ['disable-totp', removeTotp],
  ['admin', addAdministrator],
  ['remove-admin', removeAdministrator],
])

async function removeTotp(app: App, account: Account): Promise<boolean> {
  await transact(app, systemCaller(nilId), {}, (work) => forgetTotp(work, account))
  console.log('One-time passwords are disabled.')
  return true
}

async function resetPassword(app: App, account: Account): Promise<boolean> {
  const password = randomPassword()
  const passwordHash = await hashPassword(password)
  await transact(app, systemCaller(nilId), { emits: [sessionRevoked] }, (work) =>
    replacePassword(work, account, passwordHash, 'resetPasswordByOperator'),
  )
  console.log(`Password ${password}`)
  return true
}

async function addAdministrator(app: App, account: Account): Promise<boolean> {
  if (account.deactivatedAt) {
    console.error('This user is deactivated.')
    return false
  }
  await transact(app, systemCaller(nilId), {}, (work) => setAdministrator(work, account, true, 'addAdministratorByOperator'))
  console.log('The user is an administrator of the installation.')
  return true
}

async function removeAdministrator(app: App, account: Account): Promise<boolean> {
  try {
    await transact(app, systemCaller(nilId), {}, (work) => setAdministrator(work, account, false, 'removeAdministratorByOperator'))
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    console.error(error.message)
    return false
  }
  console.log('The user is not an administrator of the installation.')
  return true
}

async function perform(task: Task): Promise<void> {
  const { app, close } = await openApp(readSettings())
  try {
    if (!(await task(app))) process.exitCode = 1
  } finally {
    await close()
  }
}

let task: Task | null | undefined
try {
  task = readTask()
} catch (error) {
  console.error(`${(error as Error).message}\n\n${usage}`)
  process.exitCode = 2
}
if (task === null) console.log(usage)
else if (task !== undefined) {
  await perform(task).catch((error) => {
    if (!isOperatorError(error)) throw error
    console.error(error.message)
    process.exitCode = 1
  })
}
