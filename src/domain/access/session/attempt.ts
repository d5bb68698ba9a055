/**
 * Limits the attempts to guess a password or a code, by account and by client address, in all processes together. An attempt counts as failed
 * from its start until it succeeds, so that parallel ones count too. Unknown accounts have limits as well, so a lock says nothing about them.
 * Stored are keyed fingerprints only.
 */
import type { Chore } from '../../../platform/claim.ts'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { currentOrigin, networkOf } from '../../../platform/forwarded.ts'
import { nilId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { sessionErrors } from './errors.ts'

type Limit = {
  /** Attempts until the first lock. */
  free: number
  /** Failures are forgotten after this time without any. */
  forgottenAfterSeconds: number
}

const limits = {
  account: { free: 10, forgottenAfterSeconds: 86_400 },
  address: { free: 100, forgottenAfterSeconds: 900 },
  sign_up_account: { free: 5, forgottenAfterSeconds: 3_600 },
  sign_up_address: { free: 30, forgottenAfterSeconds: 3_600 },
  reset_account: { free: 5, forgottenAfterSeconds: 3_600 },
  reset_address: { free: 30, forgottenAfterSeconds: 3_600 },
  invitation_address: { free: 10, forgottenAfterSeconds: 3_600 },
  invitation_sender: { free: 500, forgottenAfterSeconds: 3_600 },
} satisfies Record<string, Limit>

export type LimitKind = keyof typeof limits

/** The first lock. Each further failure doubles it. */
const firstLockSeconds = 30
const longestLockSeconds = 900

/** An attempt that has been counted. */
export type Attempt = {
  failures: number
  /** Set if no further attempt is possible until then, unless this one succeeds. */
  lockedUntil: Date | null
  /** Takes the count of this attempt back. */
  undo(tx: Tx): Promise<void>
  /** Forgets all failures of the account. */
  clear(tx: Tx): Promise<void>
}

/** Counts an attempt. Throws `login_locked` if too many have failed. */
export async function takeAttempt(app: App, email: string): Promise<Attempt> {
  const { address } = currentOrigin() ?? {}
  const client = address === undefined ? null : await take(app, 'address', networkOf(address))
  const account = await take(app, 'account', email)
  return {
    failures: account.failures,
    lockedUntil: account.lockedUntil,
    async undo(tx) {
      for (const key of [client?.key, account.key]) if (key) await takeBack(tx, key)
    },
    async clear(tx) {
      if (client) await takeBack(tx, client.key)
      await run(tx, sql`delete from login_attempt where key = ${account.key}`)
    },
  }
}

/** Forgets the failures of an account whose owner has proven to be it. */
export async function clearAttempts(app: App, tx: Tx, email: string): Promise<void> {
  await run(tx, sql`delete from login_attempt where key = ${await keyOf(app, 'account', email)}`)
}

/** Throws `login_locked` if there were too many attempts of a kind that is limited by their number. */
export async function demandWithinLimit(app: App, kind: LimitKind, subject: string): Promise<void> {
  await take(app, kind, subject)
}

/** The same, but false if there were too many. Within a transaction, only what is committed counts. */
export async function isWithinLimit(app: App, kind: LimitKind, subject: string, tx: Tx = app.db): Promise<boolean> {
  try {
    await take(app, kind, subject, tx)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'login_locked') return false
    throw error
  }
}

const keyOf = async (app: App, kind: LimitKind, subject: string, tx: Tx = app.db): Promise<string> =>
  `${kind}:${await app.keyring.fingerprint(tx, nilId, `${kind} ${subject}`)}`

type Taken = { key: string; failures: number; lockedUntil: Date | null }

async function take(app: App, kind: LimitKind, subject: string, tx: Tx = app.db): Promise<Taken> {
  const { free, forgottenAfterSeconds } = limits[kind]
  const key = await keyOf(app, kind, subject, tx)
  const failures = sql`case when a.last_at < app_now() - ${forgottenAfterSeconds} * interval '1 second' then 1 else a.failures + 1 end`
  const lock = sql`least(${longestLockSeconds}, ${firstLockSeconds} * power(2, least(30, ${failures} - ${free})))`
  const taken = await row<Taken>(
    tx,
    sql`insert into login_attempt as a (key, failures) values (${key}, 1)
        on conflict (key) do update set failures = ${failures}, last_at = app_now(),
          locked_until = case when ${failures} >= ${free} then app_now() + ${lock} * interval '1 second' end
        where a.locked_until is null or a.locked_until <= app_now()
        returning key, failures, locked_until`,
  )
  if (taken) return taken
  const locked = await row<{ seconds: number }>(
    tx,
    sql`select greatest(1, ceil(extract(epoch from locked_until - app_now())))::int as seconds from login_attempt where key = ${key}`,
  )
  throw sessionErrors.login_locked({ details: { retryAfterSeconds: locked?.seconds ?? 1 } })
}

const takeBack = (tx: Tx, key: string): Promise<number> =>
  run(tx, sql`update login_attempt set failures = greatest(0, failures - 1), locked_until = null where key = ${key}`)

export const forgetAttempts: Chore = {
  name: 'forget login attempts',
  topic: null,
  everyMs: 3_600_000,
  async run(app) {
    await run(app.db, sql`delete from login_attempt where last_at < app_now() - interval '1 day'`)
  },
}
