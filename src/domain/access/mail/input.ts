/** The rules for mails that callers submit, for the concepts that take such input. */
import { z } from 'zod'
import { formatMailbox, parseMailbox } from './address.ts'

/** Maximum number of recipients of a mail: to, cc and bcc together. */
export const maxRecipients = 50
/** Maximum size of all attachments of a mail together, decoded. */
export const maxAttachmentBytes = 10 * 1024 * 1024

const noControl = /^\P{Cc}*$/u

/** One address, with or without a name: `ada@example.com`, `Ada <ada@example.com>`. The result is normalized. */
export const mailboxSchema = z.string().transform((text, context) => {
  const mailbox = parseMailbox(text)
  if (mailbox) return formatMailbox(mailbox)
  context.addIssue({ code: 'custom', message: 'must be one email address, such as ada@example.com or Ada <ada@example.com>' })
  return z.NEVER
})

/** A bare address in lower case. */
export const addressSchema = z.string().transform((text, context) => {
  const mailbox = parseMailbox(text)
  if (mailbox && mailbox.name === '') return mailbox.address.toLowerCase()
  context.addIssue({ code: 'custom', message: 'must be an email address, such as ada@example.com' })
  return z.NEVER
})

/** Subject of a mail. */
export const subjectSchema = z
  .string()
  .min(1, { error: 'must not be empty' })
  .max(500, { error: 'must be at most 500 characters' })
  .regex(noControl, { error: 'must not contain line breaks or control characters' })

/** Headers that a caller may set, in lower case. All others are set by Quayside. */
const allowedHeaders: readonly string[] = [
  'auto-submitted',
  'feedback-id',
  'importance',
  'in-reply-to',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'precedence',
  'priority',
  'references',
]
const isAllowedHeader = (name: string) => allowedHeaders.includes(name.toLowerCase()) || /^x-(?!quayside-)[a-z0-9-]{1,60}$/i.test(name)

/** Additional headers of a mail, by name. */
export const mailHeadersSchema = z
  .record(
    z.string(),
    z
      .string()
      .max(998, { error: 'must be at most 998 characters' })
      .regex(noControl, { error: 'must not contain line breaks or control characters' }),
  )
  .superRefine((headers, context) => {
    const names = Object.keys(headers)
    if (names.length > 50) context.addIssue({ code: 'custom', message: 'must be at most 50 headers' })
    const refused = names.find((name) => !isAllowedHeader(name))
    if (refused !== undefined)
      context.addIssue({
        code: 'custom',
        message: `may contain only these headers, and those that begin with X-: ${allowedHeaders.join(', ')}`,
      })
  })

/** Whether a text is standard base64 with padding. By decoding, because a regular expression overflows the stack or takes long for 10 MB. */
const isBase64 = (text: string): boolean => Buffer.from(text, 'base64').toString('base64') === text

/** Size of the decoded content, of a valid base64 text. */
export const decodedBytes = (text: string): number => (text.length / 4) * 3 - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)

const attachmentSchema = z.object({
  filename: z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(255, { error: 'must be at most 255 characters' })
    .regex(/^[^\p{Cc}/\\]*$/u, { error: 'must not contain slashes or control characters' }),
  contentType: z
    .string()
    .max(127)
    .regex(/^(?!multipart\/|message\/)[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/i, { error: 'must be a media type such as application/pdf' })
    .nullish(),
  contentBase64: z.string().refine(isBase64, { error: 'must be base64 with padding' }),
})

/** Attachments of a mail. */
export const attachmentsSchema = z
  .array(attachmentSchema)
  .max(100, { error: 'must be at most 100 attachments' })
  .refine((attachments) => attachments.reduce((sum, { contentBase64 }) => sum + decodedBytes(contentBase64), 0) <= maxAttachmentBytes, {
    error: `must be at most ${maxAttachmentBytes} bytes in all`,
  })
