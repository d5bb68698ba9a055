/** Records what became of a mail, and reports it to the concept that queued it, in one transaction. */
import type { MailRecipientStatus } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { type MailOutcome, type MailRow, mailOutcomes } from './model.ts'
import { suppress } from './suppression.ts'
import { keyOwner } from './token.ts'

export type Finding = Pick<MailOutcome, 'outcome' | 'code' | 'text' | 'permanent'> & {
  recipient: string | null
  url?: string
}

type Followed = Pick<MailRow, 'id' | 'organizationId' | 'purpose' | 'ref' | 'attemptCount'>

const readersOf = (app: App, purpose: string) => mailOutcomes.of(app).filter((reader) => reader.purpose === purpose)

/** Runs `run` in a transaction that may publish what the readers of a mail's outcomes publish. */
export const transactFor = <T>(app: App, mail: Followed, run: (work: Work) => Promise<T>): Promise<T> => {
  const emits = readersOf(app, mail.purpose).flatMap((reader) => reader.emits)
  return transact(app, systemCaller(keyOwner(mail.organizationId)), { emits }, run)
}

/** Reports findings that were recorded in the same transaction. Addresses that must not be used again are suppressed. */
export async function report(work: Work, mail: Followed, findings: readonly Finding[], nextAttemptAt: Date | null = null): Promise<void> {
  const { organizationId } = mail
  for (const { recipient: address, outcome, code, text, permanent } of findings) {
    if (organizationId === null || address === null) continue
    if (outcome === 'complained') await suppress(work.tx, { organizationId, address, reason: 'COMPLAINED', detail: text })
    if (outcome === 'bounced' && permanent && condemns(code, text))
      await suppress(work.tx, { organizationId, address, reason: 'BOUNCED', detail: text })
  }
  const { id: mailId, purpose, ref, attemptCount } = mail
  const outcomes = findings.map((finding): MailOutcome => {
    const next = finding.outcome === 'deferred' ? nextAttemptAt : null
    return { mailId, purpose, ref, organizationId, attemptCount, nextAttemptAt: next, ...finding }
  })
  if (outcomes.length === 0) return
  for (const reader of readersOf(work.app, purpose)) await reader.record(work, outcomes)
}

/**
 * Whether a permanent refusal concerns the address itself (RFC 3463: 5.1.x, a disabled mailbox) and not a full mailbox, the size or content of
 * the mail, or the policy of the server.
 */
function condemns(code: string | null, text: string | null): boolean {
  const status = /\b5\.\d{1,3}\.\d{1,3}\b/.exec(`${code ?? ''} ${text ?? ''}`)?.[0]
  return status ? /^5\.1\.(?!8$|7$)|^5\.2\.[01]$|^5\.0\.0$/.test(status) : ['550', '551', '553'].includes(code ?? '')
}

type Change = { number: number; status: MailRecipientStatus; code: string | null; text: string | null }

/** Updates recipients that have one of the former statuses. Returns the numbers of those that had. */
export async function updateRecipients(
  work: Work,
  mailId: string,
  from: readonly MailRecipientStatus[],
  changes: readonly Change[],
): Promise<Set<number>> {
  if (changes.length === 0) return new Set()
  const changed = await rows<{ number: number }>(
    work.tx,
    sql`update mail_recipient r set status = c.status::mail_recipient_status, code = c.code, text = c.text
        from unnest(${changes.map(({ number }) => number)}::int[], ${changes.map(({ status }) => status)}::text[],
                    ${changes.map(({ code }) => code)}::text[], ${changes.map(({ text }) => text)}::text[]) as c(number, status, code, text)
        where r.mail_id = ${mailId}::uuid and r.number = c.number and r.status::text = any(${[...from]}::text[]) returning r.number`,
  )
  return new Set(changed.map(({ number }) => number))
}
