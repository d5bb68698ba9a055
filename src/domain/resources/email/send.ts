/** Sending: a mail is checked, stored and queued in one transaction. Workers send it after the commit. */
import { z } from 'zod'
import type { EmailMessage, EmailService, SendingDomain } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineCommand, ofOrganization } from '../../../platform/command.ts'
import { newRow, row, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import {
  addressOf,
  attachmentsSchema,
  domainOf,
  type MailSigning,
  mailboxSchema,
  mailHeadersSchema,
  maxRecipients,
  queueMail,
  subjectSchema,
} from '../../access/mail/index.ts'
import { emailErrors } from './errors.ts'
import { privateKeyIdentity } from './model.ts'

export const messagePurpose = 'email_message'

const mailboxes = z.array(mailboxSchema).max(maxRecipients, { error: `must have at most ${maxRecipients} items` })
const bodySchema = z.string().max(2_000_000, { error: 'must be at most 2000000 characters' })

const sendInput = z
  .object({
    emailServiceId: z.string(),
    from: mailboxSchema,
    to: mailboxes.min(1, { error: 'must have at least one item' }),
    cc: mailboxes.nullish(),
    bcc: mailboxes.nullish(),
    replyTo: mailboxes.nullish(),
    subject: subjectSchema,
    html: bodySchema.nullish(),
    text: bodySchema.nullish(),
    headers: mailHeadersSchema.nullish(),
    attachments: attachmentsSchema.nullish(),
  })
  .refine(({ to, cc, bcc }) => to.length + (cc?.length ?? 0) + (bcc?.length ?? 0) <= maxRecipients, {
    error: `to, cc and bcc must be at most ${maxRecipients} recipients in all`,
    path: ['to'],
  })
  .refine(({ html, text }) => Boolean(html || text), { error: 'html, text or both are required', path: ['text'] })

type SendInput = z.infer<typeof sendInput>

/** The services that a caller may send with: those that it sees, or the one that its key belongs to. */
const sendable = (caller: Caller): Sql => {
  if (caller.subject.type !== 'email_api_key') return ofOrganization(caller, sql`t`)
  return sql`t.id = (select k.email_service_id from email_api_key k where k.id = ${caller.subject.id}::uuid and k.revoked_at is null)`
}

export const sendEmail = defineCommand({
  name: 'sendEmail',
  description:
    'Sends a mail to at most 50 recipients. It is stored and queued, and sent shortly after; `status` follows what becomes of it. In production, `from` must be an address of a verified domain, else the request fails with `sending_domain_not_verified`. In the sandbox, `from` can be any address, and all recipients must be verified, else the request fails with `recipient_not_verified` and nothing is sent. Fails with `rate_limited` beyond the daily limit of the organization, which counts recipients.',
  permission: 'send:email',
  ids: { emailServiceId: 'EmailService' },
  targetType: 'EmailService',
  creates: 'EmailMessage',
  target: (work, { emailServiceId }) =>
    row<EmailService>(
      work.tx,
      sql`select t.* from email_service t where t.id = ${emailServiceId}::uuid and ${sendable(work.caller)} for key share`,
    ),
  input: sendInput,
  emits: [],
  async run(work, input, service: EmailService) {
    const recipients = recipientsOf(input)
    const domain = await domainOfSender(work, service, input.from)
    if (service.mode === 'SANDBOX') await demandVerified(work, service, recipients)
    else if (!domain) {
      const text = `from: ${domainOf(addressOf(input.from))} is not a verified domain of this email service`
      throw emailErrors.sending_domain_not_verified({ field: 'from', text })
    }
    const emailMessage = await insertMessage(work, service, input, recipients)
    const signing = domain && (await signingOf(work, domain))
    await queueMail(work, {
      ...{ organizationId: service.organizationId, purpose: messagePurpose, ownerId: service.id, ref: emailMessage.id },
      ...{ from: input.from, to: input.to, cc: input.cc ?? [], bcc: input.bcc ?? [], replyTo: input.replyTo ?? [] },
      ...{ subject: input.subject, html: input.html ?? null, text: input.text ?? null, headers: input.headers ?? {} },
      ...{ attachments: input.attachments ?? [], signing, tracking: { opens: service.trackOpens, clicks: service.trackClicks } },
    })
    // Last, because the row of the day is locked until the commit.
    await countSent(work, service, recipients.length)
    return { emailMessage }
  },
})

/** The addresses of all recipients in lower case, each once. */
const recipientsOf = ({ to, cc, bcc }: SendInput): string[] => [
  ...new Set([...to, ...(cc ?? []), ...(bcc ?? [])].map((mailbox) => addressOf(mailbox).toLowerCase())),
]

/** The verified domain of the service that an address belongs to. */
const domainOfSender = (work: Work, { id }: EmailService, from: string): Promise<SendingDomain | null> =>
  row<SendingDomain>(
    work.tx,
    sql`select * from sending_domain where email_service_id = ${id}::uuid and domain = ${domainOf(addressOf(from))} and status = 'VERIFIED'`,
  )

async function signingOf(work: Work, { id, organizationId, domain, selector, privateKey }: SendingDomain): Promise<MailSigning> {
  const opened = await work.app.keyring.open(work.tx, organizationId, privateKeyIdentity(id), privateKey)
  return { domain, selector, privateKey: opened }
}

async function demandVerified(work: Work, { id }: EmailService, recipients: readonly string[]): Promise<void> {
  const unverified = await rows<{ address: string }>(
    work.tx,
    sql`select a.address from unnest(${recipients}::text[]) with ordinality as a(address, n)
        where not exists (select 1 from sandbox_recipient r
                          where r.email_service_id = ${id}::uuid and r.email = a.address and r.verified_at is not null) order by a.n`,
  )
  if (unverified.length === 0) return
  const addresses = unverified.map(({ address }) => address)
  throw emailErrors.recipient_not_verified({
    field: 'to',
    text: `The email service is in the sandbox, and these recipients are not verified: ${addresses.join(', ')}.`,
    details: { recipients: addresses },
  })
}

async function insertMessage(work: Work, service: EmailService, input: SendInput, recipients: readonly string[]): Promise<EmailMessage> {
  const fields = {
    ...{ id: newId(), organizationId: service.organizationId, emailServiceId: service.id, mode: service.mode },
    ...{ sender: input.from, toAddresses: input.to, subject: input.subject },
  }
  const message = (await row<EmailMessage>(work.tx, sql`insert into email_message ${newRow(fields)} returning *`))!
  await run(
    work.tx,
    sql`insert into email_message_recipient (email_message_id, number, address)
        select ${message.id}::uuid, n, address from unnest(${recipients}::text[]) with ordinality as r(address, n)`,
  )
  return message
}

/** Counts recipients against the organization's limit of the day. Throws `rate_limited` beyond it. */
async function countSent(work: Work, { organizationId }: EmailService, recipients: number): Promise<void> {
  const limit = work.app.settings.EMAIL_DAILY_LIMIT
  const { sent, waitS } = (await row<{ sent: number; waitS: number }>(
    work.tx,
    sql`insert into email_usage as u (organization_id, day, sent) values (${organizationId}::uuid, (app_now() at time zone 'UTC')::date, ${recipients})
        on conflict (organization_id, day) do update set sent = u.sent + excluded.sent
        returning sent, ceil(extract(epoch from (day + 1)::timestamp at time zone 'UTC' - app_now()))::int as wait_s`,
  ))!
  if (sent <= limit) return
  throw errors.rate_limited({
    text: `The organization can send mail to at most ${limit} recipients a day (UTC). Retry tomorrow.`,
    details: { limit, retryAfterSeconds: Math.max(1, waitS) },
  })
}
