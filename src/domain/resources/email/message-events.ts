/** What is told of the mails of a service: one event for each recipient and outcome. */
import { z } from 'zod'
import type { EmailMessage } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const base = {
  emailMessageId: z.string().describe('ID of the message.'),
  emailServiceId: z.string().describe('ID of the email service.'),
  to: z
    .string()
    .describe('Address of the recipient. If a message with several recipients was opened or clicked, all its addresses, with commas.'),
  from: z.string().describe('Sender of the message.'),
  subject: z.string().describe('Subject of the message.'),
}
const sample = {
  emailMessageId: 'emsg_01h455vb4pex5vsknk084sn02q',
  emailServiceId: 'eml_01h455vb4pex5vsknk084sn02q',
  to: 'ada@example.com',
  from: 'Shop <hello@mail.example.com>',
  subject: 'Your receipt',
}

const messageEvent = <Shape extends z.ZodRawShape>(name: string, description: string, shape: Shape, more: z.infer<z.ZodObject<Shape>>) =>
  defineEvent({
    ...{ type: `email.${name}`, version: 1, description, subject: 'EmailMessage' as const },
    schema: z.object({ ...base, ...shape }),
    sample: { ...sample, ...more } as never,
  })

export const emailEvents = {
  delivered: messageEvent('delivered', 'A mail server of the recipient accepted a message.', {}, {}),
  bounced: messageEvent(
    'bounced',
    'A message could not be delivered to a recipient.',
    {
      code: z.string().nullable().describe('SMTP reply code such as `550`, or status code such as `5.1.1`. Null if unknown.'),
      reason: z.string().nullable().describe('Text of the answer or report. Null if there is none.'),
      permanent: z.boolean().describe('Whether the address is suppressed from now on.'),
    },
    { code: '550', reason: '5.1.1 The mailbox does not exist.', permanent: true },
  ),
  complained: messageEvent('complained', 'A recipient reported a message as spam. The address is suppressed from now on.', {}, {}),
  opened: messageEvent('opened', 'A message was opened. Reported once for each message, if the service tracks opened messages.', {}, {}),
  clicked: messageEvent(
    'clicked',
    'A link of a message was followed. Reported once for each link, if the service tracks clicks.',
    { url: z.string().describe('Target of the link.') },
    { url: 'https://shop.example.com/orders/1' },
  ),
}

/** The words of `email.<word>`. */
export const emailEventWords = Object.keys(emailEvents) as (keyof typeof emailEvents)[]

export const messageEventOf = <More extends object>(message: EmailMessage, to: string, more: More) => ({
  subjectId: message.id,
  projectId: null,
  data: {
    emailMessageId: encodeId('EmailMessage', message.id),
    emailServiceId: encodeId('EmailService', message.emailServiceId),
    ...{ to, from: message.sender, subject: message.subject },
    ...more,
  },
})
