/** What becomes of sent mail: recorded for each recipient, counted, and told as events, in the transaction that records it for the mail. */
import type { EmailMessage, EmailMessageRecipient, EmailStatus } from '../../../generated/prisma/client.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import type { MailOutcome, MailOutcomeReader } from '../../access/mail/index.ts'
import { emailEvents, messageEventOf } from './message-events.ts'
import { messagePurpose } from './send.ts'

type Reported = MailOutcome & { ref: string }
type RecipientOutcome = Extract<MailOutcome['outcome'], 'sent' | 'delivered' | 'bounced' | 'complained' | 'failed'>

const statusOf: Record<RecipientOutcome, EmailStatus> = {
  sent: 'SENT',
  delivered: 'DELIVERED',
  bounced: 'BOUNCED',
  complained: 'COMPLAINED',
  failed: 'FAILED',
}
const isOfRecipient = (outcome: MailOutcome['outcome']): outcome is RecipientOutcome => outcome in statusOf

/** A recipient's status changes only to one of a higher rank, so that a report that is repeated or late changes nothing. */
const rank: Record<EmailStatus, number> = { QUEUED: 0, SENT: 1, DELIVERED: 2, FAILED: 3, BOUNCED: 3, COMPLAINED: 4 }

/** The status of a message is the first of these that one of its recipients has. */
const order: readonly EmailStatus[] = ['COMPLAINED', 'BOUNCED', 'FAILED', 'QUEUED', 'SENT', 'DELIVERED']

const counted = ['sent', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'failed'] as const
type Counted = (typeof counted)[number]

/** What the outcomes of one message change. */
type Change = { message: EmailMessage; recipients: EmailMessageRecipient[]; counts: Counted[] }

export const emailOutcomes: MailOutcomeReader = {
  purpose: messagePurpose,
  emits: Object.values(emailEvents),
  async record(work, outcomes) {
    const changes = await readChanges(work, outcomes)
    for (const outcome of outcomes) {
      const change = outcome.ref === null ? undefined : changes.get(outcome.ref)
      // The service may have been deleted.
      if (change) await apply(work, change, outcome as Reported)
    }
    await writeChanges(work, [...changes.values()])
  },
}

async function readChanges(work: Work, outcomes: readonly MailOutcome[]): Promise<Map<string, Change>> {
  const ids = [...new Set(outcomes.flatMap(({ ref }) => ref ?? []))]
  const messages = await rows<EmailMessage>(work.tx, sql`select * from email_message where id = any(${ids}::uuid[]) order by id for update`)
  const recipients = await rows<EmailMessageRecipient>(
    work.tx,
    sql`select * from email_message_recipient where email_message_id = any(${ids}::uuid[]) order by email_message_id, number`,
  )
  const byMessage = Map.groupBy(recipients, ({ emailMessageId }) => emailMessageId)
  return new Map(messages.map((message) => [message.id, { message, recipients: byMessage.get(message.id) ?? [], counts: [] }]))
}

async function apply(work: Work, change: Change, outcome: Reported): Promise<void> {
  const { message, recipients, counts } = change
  if (outcome.outcome === 'opened' || outcome.outcome === 'clicked') {
    counts.push(outcome.outcome)
    const to = outcome.recipient ?? recipients.map(({ address }) => address).join(', ')
    if (outcome.outcome === 'opened') await publish(work, emailEvents.opened, messageEventOf(message, to, {}))
    else await publish(work, emailEvents.clicked, messageEventOf(message, to, { url: outcome.url ?? '' }))
    return
  }
  if (outcome.outcome !== 'complained') message.attemptCount = Math.max(message.attemptCount, outcome.attemptCount)
  if (outcome.outcome === 'deferred') message.nextAttemptAt = outcome.nextAttemptAt
  if (outcome.outcome !== 'sent' && outcome.outcome !== 'delivered')
    message.error = [outcome.code, outcome.text].filter(Boolean).join(' ') || message.error
  const recipient = recipients.find(({ address }) => address === outcome.recipient?.toLowerCase())
  if (!recipient || !isOfRecipient(outcome.outcome)) return
  const before = recipient.status
  const status = statusOf[outcome.outcome]
  if (rank[status] <= rank[before]) return
  recipient.status = status
  if (before === 'QUEUED' && status === 'DELIVERED') counts.push('sent')
  counts.push(outcome.outcome)
  await tell(work, message, recipient.address, outcome)
}

async function tell(work: Work, message: EmailMessage, to: string, { outcome, code, text, permanent }: Reported): Promise<void> {
  if (outcome === 'delivered') await publish(work, emailEvents.delivered, messageEventOf(message, to, {}))
  if (outcome === 'complained') await publish(work, emailEvents.complained, messageEventOf(message, to, {}))
  if (outcome === 'bounced') await publish(work, emailEvents.bounced, messageEventOf(message, to, { code, reason: text, permanent }))
}

async function writeChanges(work: Work, changes: readonly Change[]): Promise<void> {
  const recipients = changes.flatMap((change) => change.recipients)
  await run(
    work.tx,
    sql`update email_message_recipient r set status = g.status::email_status
        from unnest(${recipients.map(({ emailMessageId }) => emailMessageId)}::uuid[], ${recipients.map(({ number }) => number)}::int[],
                    ${recipients.map(({ status }) => status)}::text[]) as g(id, number, status)
        where r.email_message_id = g.id and r.number = g.number and r.status::text <> g.status`,
  )
  const now = changes.map(({ message, recipients }) => {
    const status = order.find((one) => recipients.some((recipient) => recipient.status === one)) ?? message.status
    return { ...message, status, nextAttemptAt: status === 'QUEUED' ? message.nextAttemptAt : null }
  })
  await run(
    work.tx,
    sql`update email_message m set status = g.status::email_status, attempt_count = g.attempts, next_attempt_at = g.next, error = g.error,
               delivered_at = case when g.status = 'DELIVERED' then coalesce(m.delivered_at, app_now()) else m.delivered_at end
        from unnest(${now.map(({ id }) => id)}::uuid[], ${now.map(({ status }) => status)}::text[], ${now.map(({ attemptCount }) => attemptCount)}::int[],
                    ${now.map(({ nextAttemptAt }) => nextAttemptAt)}::timestamptz[], ${now.map(({ error }) => error)}::text[])
             as g(id, status, attempts, next, error)
        where m.id = g.id`,
  )
  await addCounts(work, changes)
}

async function addCounts(work: Work, changes: readonly Change[]): Promise<void> {
  const byService = Map.groupBy(
    changes.filter(({ counts }) => counts.length > 0),
    ({ message }) => message.emailServiceId,
  )
  if (byService.size === 0) return
  const sums = [...byService]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, items]) => {
      const all = items.flatMap(({ counts }) => counts)
      return {
        id,
        n: Object.fromEntries(counted.map((name) => [name, all.filter((one) => one === name).length])) as Record<Counted, number>,
      }
    })
  const column = (name: Counted) => sql`${sums.map(({ n }) => n[name])}::int[]`
  await run(
    work.tx,
    sql`insert into email_count as c (email_service_id, organization_id, hour, sent, delivered, bounced, complained, opened, clicked, failed)
        select g.id, ${work.caller.organizationId}::uuid, date_trunc('hour', app_now(), 'UTC'), g.sent, g.delivered, g.bounced, g.complained,
               g.opened, g.clicked, g.failed
        from unnest(${sums.map(({ id }) => id)}::uuid[], ${column('sent')}, ${column('delivered')}, ${column('bounced')}, ${column('complained')},
                    ${column('opened')}, ${column('clicked')}, ${column('failed')})
             as g(id, sent, delivered, bounced, complained, opened, clicked, failed)
        on conflict (email_service_id, hour) do update set sent = c.sent + excluded.sent, delivered = c.delivered + excluded.delivered,
          bounced = c.bounced + excluded.bounced, complained = c.complained + excluded.complained, opened = c.opened + excluded.opened,
          clicked = c.clicked + excluded.clicked, failed = c.failed + excluded.failed`,
  )
}
