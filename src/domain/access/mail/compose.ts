/** Builds the message of RFC 5322 that is sent, signed by DKIM. The libraries are loaded when the first mail is composed. */
import type { MailContent, MailRow, MailSigning } from './model.ts'
import { messageIdOf } from './queue.ts'

type Composed = Pick<MailRow, 'sender' | 'toAddresses' | 'ccAddresses' | 'replyTo' | 'subject' | 'createdAt'>

/** The complete message. `token` is the signed name of the mail, which its Message-ID contains. */
export async function compose(mail: Composed, content: MailContent, token: string): Promise<Buffer> {
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer')
  const { text, html, headers, attachments = [], signing } = content
  const composer = new MailComposer({
    from: mail.sender,
    to: mail.toAddresses,
    cc: mail.ccAddresses,
    replyTo: mail.replyTo,
    subject: mail.subject,
    messageId: messageIdOf(token, mail.sender),
    date: mail.createdAt,
    headers: { ...headers },
    // A mail without a body is valid, but receivers treat it as spam.
    text: text ?? (html ? undefined : ''),
    html: html ?? undefined,
    attachments: attachments.map(({ filename, contentType, contentBase64 }) => ({
      ...{ filename, content: contentBase64, encoding: 'base64' },
      ...(contentType ? { contentType } : {}),
    })),
    disableFileAccess: true,
    disableUrlAccess: true,
    newline: 'win',
  })
  const raw = await composer.compile().build()
  return signing ? sign(raw, signing) : raw
}

async function sign(raw: Buffer, { domain, selector, privateKey }: MailSigning): Promise<Buffer> {
  const { default: DKIM } = await import('nodemailer/lib/dkim')
  const signed = new DKIM({ domainName: domain, keySelector: selector, privateKey }).sign(raw)
  const chunks: Buffer[] = []
  for await (const chunk of signed) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
