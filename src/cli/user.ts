/** `npm run user`: for people who are locked out, and installations from before passwords. */
import { parseArgs } from 'node:util'
import { replacePassword, sessionRevoked } from '../domain/access/session/index.ts'
import { forgetTotp } from '../domain/access/totp/index.ts'
import { type Account, accountOf, hashPassword } from '../domain/access/user/index.ts'
import { systemCaller } from '../platform/access.ts'
import { rows, sql } from '../platform/db/index.ts'
import { nilId } from '../platform/id.ts'
import { readSettings } from '../platform/settings.ts'
import { type App, transact } from '../platform/work.ts'
import { randomPassword } from './bootstrap.ts'
import { isOperatorError, openApp } from './open-app.ts'

const usage = `npm run user -- list
npm run user -- reset-password <email>
npm run user -- disable-totp <email>

list            Prints the email address and name of each user, and whether the user has a password.
reset-password  Replaces the password of a user by a random one and prints it once. All sessions of the user end.
disable-totp    Removes the one-time passwords and recovery codes of a user who has lost them. The password alone is then enough to sign in.

Exit code 0: done. 1: there is no such user, or the database cannot be used. 2: the arguments are not valid, and nothing was changed.`

type Task = (app: App) => Promise<boolean>

/** Null for --help. Throws TypeError if the arguments are not valid. */
function readTask(): Task | null {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) return null
  const [verb, email, ...more] = positionals
  if (verb === 'list' && email === undefined) return list
  if (verb === 'reset-password' && email !== undefined && more.length === 0) return (app) => resetPassword(app, email.toLowerCase())
  if (verb === 'disable-totp' && email !== undefined && more.length === 0) return (app) => removeTotp(app, email.toLowerCase())
  throw new TypeError('The arguments are not valid.')
}

async function list(app: App): Promise<boolean> {
  const users = await rows<{ email: string; name: string; hasPassword: boolean }>(
    app.db,
    sql`select email, name, password_hash is not null as has_password from user_account order by id`,
  )
  for (const { email, name, hasPassword } of users) console.log(`${email}  ${name}  ${hasPassword ? 'password' : 'no password'}`)
  return true
}

async function findAccount(app: App, email: string): Promise<Account | null> {
  const account = await accountOf(app.db, email)
  if (!account) console.error('There is no user with this email address. See `npm run user -- list`.')
  return account
}

async function removeTotp(app: App, email: string): Promise<boolean> {
  const account = await findAccount(app, email)
  if (!account) return false
  await transact(app, systemCaller(nilId), {}, (work) => forgetTotp(work, account))
  console.log('One-time passwords are disabled.')
  return true
}

async function resetPassword(app: App, email: string): Promise<boolean> {
  const account = await findAccount(app, email)
  if (!account) return false
  const password = randomPassword()
  const passwordHash = await hashPassword(password)
  await transact(app, systemCaller(nilId), { emits: [sessionRevoked] }, (work) =>
    replacePassword(work, account, passwordHash, 'resetPasswordByOperator'),
  )
  console.log(`Password ${password}`)
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
