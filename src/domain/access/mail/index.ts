/**
 * Mails: queued in the transaction of a change, sent by workers, and followed until their outcome is known. Every mail of Quayside goes through
 * here. What a mail says, and who may send it, is the business of the concept that queues it.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { jobSources } from '../job/index.ts'
import { organizationContents } from '../organization/index.ts'
import { mailJobs } from './job.ts'
import { expireMails, mailQueue } from './jobs.ts'
import { countOutbox, listOutbox, outboxListing } from './outbox.ts'
import { apiEndpoint, dnsResolver, mailTransport } from './ports.ts'
import { mailsOfOrganization } from './removal.ts'
import { countSuppressions, listSuppressions, removeSuppression, suppressionListing } from './suppression.ts'

export { addressOf, domainOf, formatMailbox, type Mailbox, parseMailbox } from './address.ts'
export { inboundMail } from './inbound.ts'
export {
  addressSchema,
  attachmentsSchema,
  decodedBytes,
  mailboxSchema,
  mailHeadersSchema,
  maxAttachmentBytes,
  maxRecipients,
  subjectSchema,
} from './input.ts'
export { mailConcurrency } from './jobs.ts'
export {
  codePurpose,
  type MailAttachment,
  type MailOutcome,
  type MailOutcomeReader,
  type MailSigning,
  mailOutcomes,
  type NewMail,
} from './model.ts'
export { apiEndpoint, dnsResolver, mailTransport } from './ports.ts'
export { queueMail } from './queue.ts'
export { inboundDomain } from './return-path.ts'
export { countSuppressions, listSuppressions, removeSuppression, suppressedAmong, suppressionListing } from './suppression.ts'
export { type MailBody, type PlatformMail, queuePlatformMail } from './template.ts'
export { canTrack, readTrackingToken, recordTracked, type Tracked, type TrackingKind } from './tracking.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    MailSuppression: 'supp'
    OutboxMail: 'mail'
  }
}

export const mail = defineConcept({
  name: 'mail',
  idPrefixes: { MailSuppression: 'supp', OutboxMail: 'mail' },
  nodes: [suppressionListing, outboxListing],
  commands: [removeSuppression],
  queries: [listSuppressions, countSuppressions, listOutbox, countOutbox],
  queues: [mailQueue],
  chores: [expireMails],
  ports: [mailTransport, dnsResolver, apiEndpoint],
  extensions: [jobSources.with(mailJobs), organizationContents.with(mailsOfOrganization)],
  constraints: stamped('mail', 'mail_recipient', 'mail_suppression', 'outbox_mail'),
})
