import { z } from 'zod'
import type { EmailApiKey, EmailService, SandboxRecipient, SendingDomain } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const emailServiceId = z.string().describe('ID of the email service.')
const serviceSample = 'eml_01h455vb4pex5vsknk084sn02q'

const servicePayload = z.object({
  emailServiceId,
  name: z.string().describe('Name of the email service.'),
  mode: z.enum(['SANDBOX', 'PRODUCTION']).describe('Mode of the email service.'),
})

const serviceEvent = (name: string, description: string) =>
  defineEvent({
    ...{ type: `email_service.${name}`, version: 1, description, subject: 'EmailService', schema: servicePayload },
    sample: { emailServiceId: serviceSample, name: 'Receipts', mode: 'SANDBOX' as const },
  })

export const emailServiceEvents = {
  created: serviceEvent('created', 'An email service was created.'),
  updated: serviceEvent('updated', 'The name, the mode or the settings of an email service changed.'),
  deleted: serviceEvent('deleted', 'An email service was deleted with its domains, keys and messages.'),
}

export const serviceEventOf = (service: EmailService) => ({
  subjectId: service.id,
  projectId: null,
  data: { emailServiceId: encodeId('EmailService', service.id), name: service.name, mode: service.mode },
})

const domainPayload = z.object({
  sendingDomainId: z.string().describe('ID of the sending domain.'),
  emailServiceId,
  domain: z.string().describe('Name of the domain.'),
  status: z.enum(['PENDING', 'VERIFIED', 'FAILED']).describe('Status of the domain.'),
})

const domainEvent = (name: string, description: string, status: 'PENDING' | 'VERIFIED' | 'FAILED') =>
  defineEvent({
    ...{ type: `sending_domain.${name}`, version: 1, description, subject: 'SendingDomain', schema: domainPayload },
    sample: {
      ...{ sendingDomainId: 'sdom_01h455vb4pex5vsknk084sn02q', emailServiceId: serviceSample, domain: 'mail.example.com', status },
    },
  })

export const sendingDomainEvents = {
  created: domainEvent('created', 'A sending domain was added to an email service.', 'PENDING'),
  verified: domainEvent('verified', 'The DNS records of a sending domain were found, so that it can be sent from.', 'VERIFIED'),
  failed: domainEvent('failed', 'The DNS records of a sending domain are wrong, so that it cannot be sent from.', 'FAILED'),
  deleted: domainEvent('deleted', 'A sending domain was removed from its email service.', 'VERIFIED'),
}

export const domainEventOf = ({ id, emailServiceId, domain, status }: SendingDomain) => ({
  subjectId: id,
  projectId: null,
  data: {
    ...{ sendingDomainId: encodeId('SendingDomain', id), emailServiceId: encodeId('EmailService', emailServiceId), domain, status },
  },
})

const recipientPayload = z.object({
  sandboxRecipientId: z.string().describe('ID of the sandbox recipient.'),
  emailServiceId,
  email: z.string().describe('Address of the recipient.'),
})

const recipientEvent = (name: string, description: string) =>
  defineEvent({
    ...{ type: `sandbox_recipient.${name}`, version: 1, description, subject: 'SandboxRecipient', schema: recipientPayload },
    sample: { sandboxRecipientId: 'srec_01h455vb4pex5vsknk084sn02q', emailServiceId: serviceSample, email: 'ada@example.com' },
  })

export const sandboxRecipientEvents = {
  created: recipientEvent('created', 'A recipient was added to the sandbox of an email service.'),
  verified: recipientEvent('verified', 'A sandbox recipient was verified by its code.'),
  deleted: recipientEvent('deleted', 'A sandbox recipient was deleted.'),
}

export const recipientEventOf = ({ id, emailServiceId, email }: SandboxRecipient) => ({
  subjectId: id,
  projectId: null,
  data: { sandboxRecipientId: encodeId('SandboxRecipient', id), emailServiceId: encodeId('EmailService', emailServiceId), email },
})

const keyPayload = z.object({
  emailApiKeyId: z.string().describe('ID of the API key.'),
  emailServiceId,
  name: z.string().describe('Name of the API key.'),
})

const keyEvent = (name: string, description: string) =>
  defineEvent({
    ...{ type: `email_api_key.${name}`, version: 1, description, subject: 'EmailApiKey', schema: keyPayload },
    sample: { emailApiKeyId: 'ekey_01h455vb4pex5vsknk084sn02q', emailServiceId: serviceSample, name: 'Shop' },
  })

export const emailApiKeyEvents = {
  created: keyEvent('created', 'An API key of an email service was created.'),
  revoked: keyEvent('revoked', 'An API key of an email service was revoked and no longer works.'),
}

export const keyEventOf = ({ id, emailServiceId, name }: EmailApiKey) => ({
  subjectId: id,
  projectId: null,
  data: { emailApiKeyId: encodeId('EmailApiKey', id), emailServiceId: encodeId('EmailService', emailServiceId), name },
})
