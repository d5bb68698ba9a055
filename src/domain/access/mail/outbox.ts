/** The local outbox: mails that were kept because no SMTP server is configured. */
import { z } from 'zod'
import type { Caller } from '../../../platform/access.ts'
import { ofOrganization } from '../../../platform/command.ts'
import { newRow, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import type { App, Work } from '../../../platform/work.ts'
import { codePurpose, type MailContent, outboxIdentity } from './model.ts'
import type { ClaimedMail } from './send.ts'
import { keyOwner } from './token.ts'

export type OutboxContent = { text: string | null; html: string | null; raw: string }

/**
 * Whoever may view e-mail sees what services sent. Codes that confirm the recipients of a service are shown to those who may manage e-mail. Other
 * mails of Quayside itself may contain links that give access, so only callers with all permissions see them.
 */
function seen(caller: Caller): Sql {
  if (caller.permissions.has('delete:organization')) return ofOrganization(caller, sql`t`)
  const ofService = sql`${ofOrganization(caller, sql`t`)} and t.owner_id is not null`
  return caller.permissions.has('manage:email') ? ofService : sql`${ofService} and t.purpose <> ${codePurpose}`
}

export const outboxListing = defineListing({
  type: 'OutboxMail',
  noun: 'mail of the local outbox',
  description:
    'Mails that were kept because the setting SMTP_URL is not set, newest first. Mails with a code are returned only to callers with the permission `manage:email`, and other mails of Quayside itself only to owners.',
  permission: 'view:email',
  order: 'newest_first',
  omit: ['content'],
  visible: seen,
  filter: { emailServiceId: z.string().nullish(), to: z.string().nullish() },
  ids: { emailServiceId: 'EmailService' },
  where: ({ emailServiceId, to }) => [
    ...(emailServiceId ? [sql`t.owner_id = ${emailServiceId}::uuid`] : []),
    ...(to ? [sql`t.recipients @> array[${to.toLowerCase()}]`] : []),
  ],
})

export const listOutbox = listQuery(outboxListing, 'mailOutbox')
export const countOutbox = countQuery(outboxListing)

export async function insertOutboxMail(work: Work, mail: ClaimedMail, kept: { content: MailContent; raw: Buffer }): Promise<void> {
  const { app, tx } = work
  const { organizationId, ownerId, purpose, sender, toAddresses, subject } = mail
  const id = newId()
  const content: OutboxContent = { text: kept.content.text ?? null, html: kept.content.html ?? null, raw: kept.raw.toString('utf8') }
  const sealed = await app.keyring.seal(tx, keyOwner(organizationId), outboxIdentity(id), JSON.stringify(content))
  const recipients = await rows<{ address: string }>(
    tx,
    sql`select lower(address) as address from mail_recipient where mail_id = ${mail.id}::uuid and status = 'SENT' order by number`,
  )
  const fields = {
    ...{ id, organizationId, ownerId, purpose, sender, toAddresses, subject, content: sealed, sizeBytes: sealed.length },
    recipients: recipients.map(({ address }) => address),
  }
  await run(tx, sql`insert into outbox_mail ${newRow(fields)}`)
}

/** Total size of what `readOutboxContents` would read. */
export const outboxBytes = (ids: readonly string[]): Sql =>
  sql`select sum(size_bytes)::float8 as bytes from outbox_mail where id = any(${[...ids]}::uuid[])`

/** The contents of mails, by id. */
export async function readOutboxContents(app: App, ids: readonly string[]): Promise<Map<string, OutboxContent>> {
  const found = await rows<{ id: string; organizationId: string | null; content: Uint8Array }>(
    app.db,
    sql`select id, organization_id, content from outbox_mail where id = any(${[...ids]}::uuid[])`,
  )
  const contents = new Map<string, OutboxContent>()
  for (const { id, organizationId, content } of found) {
    const plain = await app.keyring.open(app.db, keyOwner(organizationId), outboxIdentity(id), content)
    contents.set(id, JSON.parse(plain) as OutboxContent)
  }
  return contents
}
