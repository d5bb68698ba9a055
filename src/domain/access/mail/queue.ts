import { newRow, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { addressOf, domainOf, parseMailbox } from './address.ts'
import { maxRecipients } from './input.ts'
import { contentIdentity, type MailContent, mailsTopic, type NewMail } from './model.ts'
import { keyOwner, tokenOf } from './token.ts'

/**
 * Queues a mail in the transaction of the change that causes it. A worker sends it after the commit. Throws `invalid_input` if a field could
 * inject a header, an address is not valid, or there are no or too many recipients.
 */
export async function queueMail(work: Work, mail: NewMail): Promise<{ id: string; messageId: string }> {
  const { app, tx } = work
  const recipients = recipientsOf(mail)
  demandSafe(mail)
  const id = newId()
  const { organizationId, from, to, cc = [], replyTo = [], subject } = mail
  const { text, html, headers, attachments, signing, tracking } = mail
  const content: MailContent = { text, html, headers, attachments, signing, tracking }
  const sealed = await app.keyring.seal(tx, keyOwner(organizationId), contentIdentity(id), JSON.stringify(content))
  const fields = {
    ...{ id, organizationId, purpose: mail.purpose, ownerId: mail.ownerId ?? null, ref: mail.ref ?? null },
    ...{ sender: from, toAddresses: to, ccAddresses: cc, replyTo, subject, returnPath: mail.returnPath ?? null },
    ...{ content: sealed, sizeBytes: sealed.length },
  }
  await run(
    tx,
    sql`with queued as (insert into mail ${newRow(fields)} returning id)
        insert into mail_recipient (mail_id, number, address)
        select q.id, r.number, r.address from queued q, unnest(${recipients}::text[]) with ordinality as r(address, number)`,
  )
  work.wake(mailsTopic)
  return { id, messageId: messageIdOf(await tokenOf(app, tx, id), from) }
}

/** The Message-ID of a mail, which names it by its signed token. */
export const messageIdOf = (token: string, from: string): string => `<${token}@${domainOf(addressOf(from))}>`

/** The addresses of all recipients, each once. */
function recipientsOf({ to, cc = [], bcc = [] }: NewMail): string[] {
  const all = new Map<string, string>()
  for (const [field, texts] of Object.entries({ to, cc, bcc })) {
    for (const text of texts) {
      const mailbox = parseMailbox(text)
      if (!mailbox) throw errors.invalid_input({ text: `${field}: must be email addresses`, field })
      if (!all.has(mailbox.address.toLowerCase())) all.set(mailbox.address.toLowerCase(), mailbox.address)
    }
  }
  if (all.size === 0) throw errors.invalid_input({ text: 'to: must contain at least one recipient', field: 'to' })
  if (all.size > maxRecipients)
    throw errors.invalid_input({ text: `to: to, cc and bcc must be at most ${maxRecipients} recipients in all`, field: 'to' })
  return [...all.values()]
}

const lineBreak = /[\r\n\0\u2028\u2029]/

/** The last line of defense against header injection, whoever has checked the input. */
function demandSafe({ from, replyTo = [], subject, headers = {}, attachments = [], returnPath }: NewMail): void {
  const refuse = (field: string, text: string) => {
    throw errors.invalid_input({ text: `${field}: ${text}`, field })
  }
  if (!parseMailbox(from)) refuse('from', 'must be one email address')
  if (!replyTo.every((text) => parseMailbox(text))) refuse('replyTo', 'must be email addresses')
  if (returnPath && !parseMailbox(returnPath)) refuse('returnPath', 'must be one email address')
  if (lineBreak.test(subject)) refuse('subject', 'must not contain line breaks')
  for (const [name, value] of Object.entries(headers))
    if (!/^[A-Za-z0-9-]+$/.test(name) || lineBreak.test(value)) refuse('headers', 'must not contain line breaks')
  for (const { filename, contentType } of attachments)
    if (lineBreak.test(filename) || (contentType && /[^\w!#$&^.+/-]/.test(contentType)))
      refuse('attachments', 'must not contain line breaks in names and types')
}
