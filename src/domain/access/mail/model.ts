import type { Mail, MailRecipient } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'

export type MailRow = Mail
export type RecipientRow = MailRecipient

/** Wake-up topic: a mail may be due. */
export const mailsTopic = 'mails'

export type MailAttachment = { filename: string; contentType?: string | null; contentBase64: string }

/** The key that a mail is signed with by DKIM. */
export type MailSigning = { domain: string; selector: string /** PEM. */; privateKey: string }

/**
 * A mail to queue. Addresses are as in a header: `a@example.com` or `Ada <a@example.com>`. The concept that takes the input checks it with the
 * schemas of `input.ts`; `queueMail` refuses what could inject a header.
 */
export type NewMail = {
  /** Null for mail of the installation. */
  organizationId: string | null
  /** What the mail is for, such as `email_message`. Outcomes are reported to the extension of `mailOutcomes` with this purpose, if any. */
  purpose: string
  /** The email service that the mail belongs to, if any. */
  ownerId?: string | null
  /** The row that the mail was queued for, which outcomes name. */
  ref?: string | null
  from: string
  to: readonly string[]
  cc?: readonly string[]
  bcc?: readonly string[]
  replyTo?: readonly string[]
  subject: string
  text?: string | null
  html?: string | null
  headers?: Readonly<Record<string, string>>
  attachments?: readonly MailAttachment[]
  signing?: MailSigning | null
  /** Envelope sender, instead of the signed return path or the address of `from`. */
  returnPath?: string | null
  tracking?: { opens: boolean; clicks: boolean }
}

/** The part of a mail that is stored sealed, as JSON, until the mail has ended. */
export type MailContent = Pick<NewMail, 'text' | 'html' | 'headers' | 'attachments' | 'signing' | 'tracking'>

/** The purpose of a mail of Quayside that contains a code: whoever has the code has shown that they read the mail of its address. */
export const codePurpose = 'confirmation_code'

export const contentIdentity = (id: string): string => `mail:${id}:content`
export const outboxIdentity = (id: string): string => `outbox_mail:${id}:content`

/**
 * What became of a mail for one recipient:
 * - `sent`: the SMTP server accepted it, or it was kept in the local outbox.
 * - `delivered`: the receiving server accepted it. Known by a delivery report; if none can arrive, by the acceptance of the SMTP server.
 * - `deferred`: refused temporarily or not sent. Another attempt follows at `nextAttemptAt`, or by the SMTP server if that is null.
 * - `bounced`: the address was refused. `complained`: the recipient reported the mail as spam.
 * - `failed`: the mail was refused, could not be sent in time, or the address is suppressed.
 * - `opened`, `clicked`: once for each mail and for each of its links. `recipient` is null if the mail has several.
 */
export type MailOutcome = {
  mailId: string
  purpose: string
  ref: string | null
  organizationId: string | null
  recipient: string | null
  outcome: 'sent' | 'delivered' | 'deferred' | 'bounced' | 'complained' | 'failed' | 'opened' | 'clicked'
  /** SMTP reply code such as `550`, or status code such as `5.1.1`. */
  code: string | null
  text: string | null
  permanent: boolean
  /** Number of attempts so far. */
  attemptCount: number
  nextAttemptAt: Date | null
  /** The link, for `clicked`. */
  url?: string
}

/**
 * Records outcomes of mails with a purpose, in the transaction that records them for the mails. `emits` are the event types that it publishes.
 */
export type MailOutcomeReader = {
  purpose: string
  emits: readonly EventDefinition[]
  record(work: Work, outcomes: readonly MailOutcome[]): Promise<void>
}

/** Later concepts add a reader of the outcomes of the mails that they queue. */
export const mailOutcomes = defineExtensionPoint<MailOutcomeReader>('mail outcomes')
