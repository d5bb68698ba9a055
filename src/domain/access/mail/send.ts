/** One attempt to send a claimed mail: compose it, hand it to the SMTP server, and record the answer for each recipient. */
import type { MailSuppressionReason } from '../../../generated/prisma/client.ts'
import type { Claimed, End } from '../../../platform/claim.ts'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App, Work } from '../../../platform/work.ts'
import { breakerOf } from './breaker.ts'
import { compose } from './compose.ts'
import { contentIdentity, type MailContent, type MailRow, mailsTopic } from './model.ts'
import { insertOutboxMail } from './outbox.ts'
import { type Finding, report, transactFor, updateRecipients } from './outcome.ts'
import { mailTransport, type RecipientAnswer, type SendResult } from './ports.ts'
import { returnPathOf } from './return-path.ts'
import { suppressedAmong } from './suppression.ts'
import { keyOwner, tokenOf } from './token.ts'
import { trackedHtml } from './tracking.ts'

/** A claimed mail without its content. */
export type ClaimedMail = Omit<MailRow, 'content'> & Claimed

type Recipient = { number: number; address: string }
type Loaded = { content: Uint8Array; recipients: Recipient[] }
/** What an attempt found out for one recipient. `deferred` keeps the recipient pending. */
type Answer = Recipient & Omit<Finding, 'recipient'>
type Attempt = { answers: Answer[]; unreached: boolean; kept: { content: MailContent; raw: Buffer } | null; reports: boolean }

/** Longest answer of a server that is kept. */
const maxTextLength = 500
/** Mails above this size are composed one at a time, because each takes several times its size in memory. */
const largeBytes = 1024 * 1024

const attempts = perApp((app) =>
  createFailureLog(app, { failed: 'the SMTP server cannot be used; mail waits', recovered: 'the SMTP server can be used again' }),
)
const turns = perApp(() => ({ last: Promise.resolve() as Promise<unknown> }))

export async function sendMail(app: App, mail: ClaimedMail, signal: AbortSignal): Promise<End> {
  const act = () => attempt(app, mail, signal)
  const made = await (mail.sizeBytes > largeBytes ? inTurn(app, act) : act())
  if (made === null) return 'done'
  if (made === 'aborted') {
    await releaseMail(app, mail)
    return 'pending'
  }
  const ended = await throughOutages(app, () => recordAttempt(app, mail, made), signal)
  await noteServer(app, made)
  return ended ? 'done' : 'pending'
}

function inTurn<T>(app: App, act: () => Promise<T>): Promise<T> {
  const turn = turns(app)
  const result = turn.last.then(act)
  turn.last = result.catch(() => {})
  return result
}

/** Null if there is nothing left to send. */
async function attempt(app: App, mail: ClaimedMail, signal: AbortSignal): Promise<Attempt | null | 'aborted'> {
  const loaded = await load(app.db, mail)
  if (!loaded) return null
  const suppressed = await suppressedOf(app, mail, loaded.recipients)
  const refused = loaded.recipients.flatMap((recipient): Answer[] => {
    const reason = suppressed.get(recipient.address.toLowerCase())
    return reason ? [{ ...recipient, outcome: 'failed', code: null, text: suppressionTexts[reason], permanent: true }] : []
  })
  const recipients = loaded.recipients.filter(({ address }) => !suppressed.has(address.toLowerCase()))
  const made: Attempt = { answers: refused, unreached: false, kept: null, reports: false }
  if (recipients.length === 0) return made

  const sealed = await app.keyring.open(app.db, keyOwner(mail.organizationId), contentIdentity(mail.id), loaded.content)
  const stored = JSON.parse(sealed) as MailContent
  const content = { ...stored, html: await trackedHtml(app, app.db, mail.id, stored) }
  const token = await tokenOf(app, app.db, mail.id)
  const raw = await compose(mail, content, token)
  if (!mailTransport.isProvided(app)) {
    const text = 'The mail was kept in the local outbox, because SMTP_URL is not set.'
    const kept = recipients.map((recipient): Answer => ({ ...recipient, outcome: 'sent', code: null, text, permanent: false }))
    return { ...made, answers: [...refused, ...kept], kept: { content, raw } }
  }
  const { address: from, takesReports } = returnPathOf(app.settings, mail, token)
  const to = recipients.map(({ address }) => address)
  try {
    const result = await mailTransport.use(app).send({ from, to, raw, reportId: takesReports ? token : null }, signal)
    return { ...made, answers: [...refused, ...answersOf(recipients, result)], reports: takesReports && result.reports }
  } catch (error) {
    if (signal.aborted) return 'aborted'
    if (!(error instanceof PortError)) throw error
    attempts(app).failed(error)
    const waiting = recipients.map(
      (recipient): Answer => ({ ...recipient, outcome: 'deferred', code: null, text: error.message, permanent: false }),
    )
    return { ...made, answers: [...refused, ...waiting], unreached: true }
  }
}

const suppressionTexts: Record<MailSuppressionReason, string> = {
  BOUNCED: 'The address is suppressed, because an earlier mail to it bounced.',
  COMPLAINED: 'The address is suppressed, because its owner reported an earlier mail as spam.',
}

const suppressedOf = (app: App, { organizationId }: ClaimedMail, recipients: readonly Recipient[]) =>
  organizationId === null
    ? new Map<string, MailSuppressionReason>()
    : suppressedAmong(
        app.db,
        organizationId,
        recipients.map(({ address }) => address),
      )

/** The content and the recipients that no server has accepted or refused yet. Null if another worker holds the mail, or none is left. */
async function load(tx: Tx, { id, leaseEpoch }: ClaimedMail): Promise<Loaded | null> {
  const found = await row<Loaded>(
    tx,
    sql`select m.content, (select coalesce(json_agg(json_build_object('number', r.number, 'address', r.address) order by r.number), '[]')
                           from mail_recipient r where r.mail_id = m.id and r.status = 'PENDING') as recipients
        from mail m where m.id = ${id}::uuid and m.lease_epoch = ${leaseEpoch} and m.status = 'PENDING'`,
  )
  return found && found.recipients.length > 0 ? found : null
}

/** A refused recipient has bounced; a mail that was refused as a whole has failed. */
function answersOf(recipients: readonly Recipient[], { recipients: answered }: SendResult): Answer[] {
  const byAddress = new Map(answered.map((answer) => [answer.address, answer]))
  const outcomeOf = ({ answer, whole }: RecipientAnswer): Answer['outcome'] =>
    answer === 'accepted' ? 'sent' : answer === 'deferred' ? 'deferred' : whole ? 'failed' : 'bounced'
  return recipients.map((recipient) => {
    const answer = byAddress.get(recipient.address)
    if (!answer) throw new Error('the mail transport gave no answer for a recipient')
    const text = answer.text.slice(0, maxTextLength)
    return { ...recipient, outcome: outcomeOf(answer), code: answer.code, text, permanent: answer.answer === 'refused' }
  })
}

/** Records an attempt and reports its outcomes. Returns whether the mail has ended. Recipients that were accepted are recorded in any case. */
function recordAttempt(app: App, mail: ClaimedMail, made: Attempt): Promise<boolean> {
  const attemptCount = mail.attemptCount + 1
  const waitMs = app.settings.MAIL_RETRY_SCHEDULE_MS[mail.attemptCount]
  const answers = made.answers.map((answer) =>
    answer.outcome === 'deferred' && waitMs === undefined ? givenUp(answer, attemptCount) : answer,
  )
  const ended = answers.every(({ outcome }) => outcome !== 'deferred')
  return transactFor(app, mail, async (work) => {
    const nextAttemptAt = await endAttempt(work, mail, { attemptCount, waitMs: ended ? null : waitMs!, unreached: made.unreached })
    const changes = answers.filter(({ outcome }) => outcome !== 'deferred')
    const status = { sent: made.kept || made.reports ? 'SENT' : 'DELIVERED', bounced: 'BOUNCED', failed: 'FAILED' } as const
    const changed = await updateRecipients(
      work,
      mail.id,
      ['PENDING'],
      changes.map(({ number, outcome, code, text }) => ({ number, status: status[outcome as keyof typeof status], code, text })),
    )
    // Kept once, whichever worker records it first.
    if (made.kept && changed.size > 0) await insertOutboxMail(work, mail, made.kept)
    const findings = answers
      .filter(({ number, outcome }) => outcome === 'deferred' || changed.has(number))
      .flatMap(({ number: _number, address, ...finding }): Finding[] => {
        const found = { ...finding, recipient: address }
        const isLastWord = finding.outcome === 'sent' && status.sent === 'DELIVERED'
        return isLastWord ? [found, { ...found, outcome: 'delivered' }] : [found]
      })
    await report(work, { ...mail, attemptCount }, findings, nextAttemptAt)
    return ended
  })
}

const givenUp = (answer: Answer, attemptCount: number): Answer => ({
  ...answer,
  outcome: 'failed',
  text: `${answer.text ?? ''} That was the last of ${attemptCount} attempts.`.trim(),
})

type EndOfAttempt = { attemptCount: number; waitMs: number | null; unreached: boolean }

/** Releases the mail and sets when it is due again, or ends it. Does nothing if another worker holds it. Returns when it is due. */
async function endAttempt(work: Work, mail: ClaimedMail, { attemptCount, waitMs, unreached }: EndOfAttempt): Promise<Date | null> {
  const next =
    waitMs === null
      ? sql`status = 'ENDED', content = null`
      : sql`due_at = app_now() + ${waitMs} * (0.9 + 0.2 * random()) * interval '1 millisecond'`
  const updated = await row<{ dueAt: Date }>(
    work.tx,
    sql`update mail set ${next}, attempt_count = ${attemptCount}, unreached = ${unreached}, lease_owner = null, lease_expires_at = null
        where id = ${mail.id}::uuid and lease_epoch = ${mail.leaseEpoch} and status = 'PENDING' returning due_at`,
  )
  return waitMs === null ? null : (updated?.dueAt ?? null)
}

/** After an answer of the server, the mails that waited for it are due at once. */
async function noteServer(app: App, { unreached, kept, answers }: Attempt): Promise<void> {
  if (unreached) return breakerOf(app).failed()
  if (kept || answers.every(({ code }) => code === null)) return
  attempts(app).succeeded()
  if (!breakerOf(app).answered()) return
  await run(
    app.db,
    sql`update mail set due_at = app_now(), unreached = false where status = 'PENDING' and unreached and due_at > app_now()`,
  )
  app.wake.notify(mailsTopic)
}

/** Makes a mail claimable again without an attempt. */
export const releaseMail = (app: App, { id, leaseEpoch }: ClaimedMail): Promise<number> =>
  run(app.db, sql`update mail set lease_owner = null, lease_expires_at = null where id = ${id}::uuid and lease_epoch = ${leaseEpoch}`)

/** Ends a mail without another attempt. */
export async function failMail(app: App, mail: ClaimedMail, text: string): Promise<void> {
  const loaded = await load(app.db, mail)
  const answers = (loaded?.recipients ?? []).map(
    (recipient): Answer => ({ ...recipient, outcome: 'failed', code: null, text, permanent: true }),
  )
  await recordAttempt(app, mail, { answers, unreached: false, kept: null, reports: false })
}
