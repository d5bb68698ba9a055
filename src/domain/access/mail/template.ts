/** The mails that Quayside itself sends: plain text and simple HTML with the same content. */
import type { Work } from '../../../platform/work.ts'
import type { codePurpose, NewMail } from './model.ts'
import { queueMail } from './queue.ts'

/** What a mail says. Texts are plain; the templates escape them. */
export type MailBody = {
  paragraphs: readonly string[]
  /** A code to type, shown by itself. The subject must not contain it, because subjects are stored as plain text. */
  code?: string
}

/** A mail with a code has the purpose that decides who can read it in the local outbox. */
export type PlatformMail = Pick<NewMail, 'organizationId' | 'ownerId' | 'ref' | 'to' | 'subject'> &
  ({ purpose: string; body: MailBody & { code?: never } } | { purpose: typeof codePurpose; body: MailBody })

/** Queues a mail of Quayside itself, from MAIL_FROM, in the transaction of the change that it is about. */
export const queuePlatformMail = (work: Work, { body, ...mail }: PlatformMail): Promise<{ id: string; messageId: string }> =>
  queueMail(work, {
    ...mail,
    from: work.app.settings.MAIL_FROM,
    text: textOf(body),
    html: htmlOf(mail.subject, body),
    // So that no one answers it automatically.
    headers: { 'Auto-Submitted': 'auto-generated' },
  })

const textOf = ({ paragraphs, code }: MailBody): string => `${[...paragraphs, ...(code ? [`    ${code}`] : [])].join('\n\n')}\n`

function htmlOf(title: string, { paragraphs, code }: MailBody): string {
  const parts = [
    ...paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`),
    ...(code ? [`<p style="font-size:24px;letter-spacing:4px;font-family:monospace">${escapeHtml(code)}</p>`] : []),
  ]
  const style = 'font-family:sans-serif;font-size:15px;line-height:1.5;max-width:600px'
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head><body style="${style}">\n${parts.join('\n')}\n</body></html>\n`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string) => text.replaceAll(/[&<>"']/g, (char) => entities[char]!)
