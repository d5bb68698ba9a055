/**
 * Email: services that send mail, with the domains they send from, the recipients they may send to in the sandbox, the keys for it, and the
 * messages. The mails themselves belong to the concept `mail`, which queues and sends them, and reports what becomes of them.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { mailOutcomes } from '../../access/mail/index.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { bindableKinds } from '../resource-binding/index.ts'
import { bindableEmailService } from './bound-value.ts'
import { addSendingDomain, deleteSendingDomain, verifySendingDomain } from './domain.ts'
import { checkSendingDomains } from './domain-check.ts'
import { emailErrors } from './errors.ts'
import { emailApiKeyEvents, emailServiceEvents, sandboxRecipientEvents, sendingDomainEvents } from './events.ts'
import { createEmailApiKey, revokeEmailApiKey } from './key.ts'
import { emailEvents } from './message-events.ts'
import { keyIdentity, privateKeyIdentity } from './model.ts'
import { emailOutcomes } from './outcome.ts'
import {
  countEmailServices,
  countEmailServicesByProject,
  emailApiKeyListing,
  emailMessageListing,
  emailServiceListing,
  findEmailService,
  listEmailServices,
  sandboxRecipientListing,
  sendingDomainListing,
  sliceEmailApiKeys,
  sliceEmailServices,
  sliceSendingDomains,
} from './queries.ts'
import { addSandboxRecipient, deleteSandboxRecipient, verifySandboxRecipient } from './recipient.ts'
import { expireEmailMessages } from './retention.ts'
import { sendEmail } from './send.ts'
import { connectEmailService, createEmailService, deleteEmailService, emailOfOrganization, updateEmailService } from './service.ts'
import { emailStats, emailTenant } from './stats.ts'

export { type DnsRecord, recordsOf, spfMechanism } from './dns-record.ts'
export { addSendingDomain, deleteSendingDomain, verifySendingDomain } from './domain.ts'
export { emailServiceEvents } from './events.ts'
export { callerOfEmailKey, createEmailApiKey, revokeEmailApiKey } from './key.ts'
export { emailEvents, emailEventWords } from './message-events.ts'
export { lockEmailService } from './model.ts'
export {
  countEmailServicesByProject,
  type EmailApiKeyRow,
  type EmailMessageRow,
  type EmailServiceRow,
  findEmailService,
  type SendingDomainRow,
  sliceEmailApiKeys,
  sliceEmailServices,
  sliceSendingDomains,
} from './queries.ts'
export { addSandboxRecipient, type SandboxRecipientRow, verifySandboxRecipient } from './recipient.ts'
export { sendEmail } from './send.ts'
export { connectEmailService, createEmailService, deleteEmailService, updateEmailService } from './service.ts'
export { type EmailStats, type EmailTenant, emailStats, emailTenant } from './stats.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    EmailService: 'eml'
    SendingDomain: 'sdom'
    SandboxRecipient: 'srec'
    EmailApiKey: 'ekey'
    EmailMessage: 'emsg'
  }
}

export const email = defineConcept({
  name: 'email',
  idPrefixes: { EmailService: 'eml', SendingDomain: 'sdom', SandboxRecipient: 'srec', EmailApiKey: 'ekey', EmailMessage: 'emsg' },
  nodes: [emailServiceListing, sendingDomainListing, sandboxRecipientListing, emailApiKeyListing, emailMessageListing],
  commands: [
    ...[createEmailService, updateEmailService, deleteEmailService, connectEmailService],
    ...[createEmailApiKey, revokeEmailApiKey],
    ...[addSendingDomain, verifySendingDomain, deleteSendingDomain],
    ...[addSandboxRecipient, verifySandboxRecipient, deleteSandboxRecipient],
    sendEmail,
  ],
  queries: [
    ...[listEmailServices, countEmailServices, countEmailServicesByProject, sliceEmailServices, findEmailService],
    ...[sliceSendingDomains, sliceEmailApiKeys, emailStats, emailTenant],
  ],
  events: [emailServiceEvents, sendingDomainEvents, sandboxRecipientEvents, emailApiKeyEvents, emailEvents].flatMap((events) =>
    Object.values(events),
  ),
  errors: [emailErrors],
  chores: [checkSendingDomains, expireEmailMessages],
  extensions: [organizationContents.with(emailOfOrganization), bindableKinds.with(bindableEmailService), mailOutcomes.with(emailOutcomes)],
  sealed: [
    { table: 'sending_domain', key: 'id', column: 'private_key', identity: privateKeyIdentity },
    { table: 'email_api_key', key: 'id', column: 'sealed', identity: keyIdentity },
  ],
  constraints: [
    ...stamped('email_service', 'sending_domain', 'sandbox_recipient', 'email_message'),
    check('sandbox_recipient', 'code', '(verified_at IS NULL) = (code_mac IS NOT NULL)'),
    check('email_api_key', 'sealed', '(resource_binding_id IS NOT NULL) = (sealed IS NOT NULL)'),
  ],
})
