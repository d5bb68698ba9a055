/** Events of email services in the body of the e-mail contract. Pure. */
import { decodeId } from '../../../platform/id.ts'

type EmailEvent = { type: string; timestamp: string; data: unknown }
type EmailData = Record<string, unknown> & { emailMessageId: string; emailServiceId: string; to: string; from: string; subject: string }

/** An event of another type, which an endpoint receives if its event types were changed, is sent as it is. */
export function emailBody(event: EmailEvent): string {
  if (!event.type.startsWith('email.')) return JSON.stringify(event)
  const { emailMessageId, emailServiceId, to, from, subject, ...data } = event.data as EmailData
  return JSON.stringify({
    event: event.type.slice('email.'.length),
    email_id: decodeId('EmailMessage', emailMessageId),
    service_id: decodeId('EmailService', emailServiceId),
    ...{ to, from, subject, timestamp: event.timestamp, data },
  })
}
