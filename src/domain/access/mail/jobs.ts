import { type Chore, type Claims, claim, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { columnOf, fieldsOf, raw, run, type Sql, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { breakerOf } from './breaker.ts'
import { mailsTopic } from './model.ts'
import { mailTransport } from './ports.ts'
import { type ClaimedMail, failMail, releaseMail, sendMail } from './send.ts'

/** Number of mails that one process sends at once. */
export const mailConcurrency = 8

/** The content of a claimed mail is read when it is sent. */
const columns = raw(
  fieldsOf('Mail')
    .filter((field) => field !== 'content')
    .map((field) => `t.${columnOf(field)}`)
    .join(', '),
)

const free = sql`status = 'PENDING' and (lease_expires_at is null or lease_expires_at < app_now())`

async function claimMails(app: App, worker: string, limit: number, held: readonly ClaimedMail[]): Promise<Claims<ClaimedMail>> {
  const breaker = breakerOf(app)
  const isProbe = mailTransport.isProvided(app) && breaker.isOpen
  if (isProbe && held.length > 0) return { items: [], dueInMs: null, waitsForOwn: true }
  if (isProbe && breaker.pauseMs() > 0) return { items: [], dueInMs: breaker.pauseMs(), waitsForOwn: false }
  const dueInMs = await firstDueInMs(app.db, 'mail', 'due_at', free)
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<ClaimedMail>(app.db, {
    table: 'mail',
    key: ['id'],
    due: sql`t.status = 'PENDING' and t.due_at <= app_now()`,
    order: sql`t.due_at`,
    limit: isProbe ? 1 : limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    returning: columns,
  })
  return { items, dueInMs: isProbe ? null : await firstDueInMs(app.db, 'mail', 'due_at', free), waitsForOwn: isProbe }
}

export const mailQueue: Queue<ClaimedMail> = {
  name: 'mails',
  rows: { table: 'mail', match: ({ id }) => sql`id = ${id}::uuid` },
  topic: mailsTopic,
  pollMs: 5_000,
  concurrency: mailConcurrency,
  claim: claimMails,
  renew: (app, { id, leaseEpoch }) => renew(app.db, 'mail', sql`id = ${id}::uuid`, leaseEpoch, app.settings.WORKER_LEASE_MS),
  release: releaseMail,
  work: sendMail,
  setAside: (app, mail) => failMail(app, mail, setAsideText),
}

const expiredBatch = 500

/** Removes mails that have ended, and mails of the outbox, by age. */
export const expireMails: Chore = {
  name: 'expire mails',
  topic: null,
  everyMs: 3_600_000,
  async run(app) {
    const old = (alias: Sql) => sql`${alias}.created_at < app_now() - ${app.settings.MAIL_RETENTION_MS} * interval '1 millisecond'`
    const mails = await run(
      app.db,
      sql`delete from mail where id in (select m.id from mail m where m.status = 'ENDED' and ${old(sql`m`)} limit ${expiredBatch})`,
    )
    const kept = await run(
      app.db,
      sql`delete from outbox_mail where id in (select o.id from outbox_mail o where ${old(sql`o`)} limit ${expiredBatch})`,
    )
    return mails >= expiredBatch || kept >= expiredBatch ? 'again' : undefined
  },
}
