/** Bodies of email: services, their domains, recipients, keys and messages. A plaintext key is only in the body of its creation. */
import { z } from 'zod'
import {
  type EmailApiKeyRow,
  type EmailMessageRow,
  type EmailServiceRow,
  type EmailTenant,
  recordsOf,
  type SandboxRecipientRow,
  type SendingDomainRow,
  spfMechanism,
} from '../../domain/resources/email/index.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, total, words } from './field.ts'
import { dnsStatuses, emailModes, emailStatuses } from './vocabulary.ts'

const count = z.int().min(0)

const emailTenant = z
  .object({
    service_count: count,
    domain_count: count,
    sent_today: count.describe('Number of recipients today (UTC).'),
    daily_limit: count.describe('Maximum number of recipients a day (UTC).'),
    sent_this_month: count.describe('Number of recipients this month (UTC).'),
  })
  .describe('Email of the organization.')

const emailService = z
  .object({ id, name: z.string(), mode: words(emailModes), created_at: time, updated_at: time })
  .describe('A service that sends mail.')
const emailServiceList = z.object({ services: z.array(emailService), total }).describe('List of email services, oldest first.')

const emailApiKey = z
  .object({
    id,
    name: z.string(),
    key_prefix: z.string().describe('First characters of the key.'),
    last_used_at: time.nullable(),
    revoked_at: time.nullable(),
    created_at: time,
  })
  .describe('An API key that can only send mail with its email service.')
const createdEmailApiKey = emailApiKey
  .extend({
    plaintext_key: z.string().nullable().describe('Returned only once. Null if a request is repeated with the same idempotency key.'),
  })
  .describe('A created API key of an email service.')
const emailApiKeyList = z.object({ api_keys: z.array(emailApiKey), total }).describe('List of API keys of an email service, oldest first.')

const dnsRecord = z.object({
  purpose: z.string().describe('SPF, DKIM or DMARC. DMARC is optional.'),
  type: z.string(),
  name: z.string(),
  value: z.string(),
  status: words(dnsStatuses),
  found: z.array(z.string()).describe('Texts that the last check found at this name.'),
})
const sendingDomain = z
  .object({
    id,
    domain: z.string(),
    status: words(dnsStatuses),
    records: z.array(dnsRecord),
    verified_at: time.nullable(),
    created_at: time,
  })
  .describe('A domain that an email service sends from.')
const sendingDomainList = z.object({ domains: z.array(sendingDomain), total }).describe('List of sending domains, oldest first.')

const recipientStatuses = { pending: 'pending', verified: 'verified' } as const
const sandboxRecipient = z
  .object({
    id,
    email: z.string(),
    status: words(recipientStatuses),
    expires_at: time.nullable().describe('Expiry time of the code. Null for a verified recipient.'),
  })
  .describe('An address that an email service in the sandbox can send to, once it is verified.')

const sentEmail = z
  .object({
    id,
    status: words(emailStatuses),
    mode: words(emailModes),
    from: z.string(),
    to: z.array(z.string()),
    message: z.string().describe('What happens next, as a sentence.'),
  })
  .describe('A queued mail.')

const emailWebhook = z
  .object({
    id,
    url: z.string(),
    events: z.array(z.string()),
    secret: z
      .string()
      .nullable()
      .describe('Signing secret, returned only once. Null if a request is repeated with the same idempotency key.'),
    is_active: z.boolean(),
    created_at: time,
  })
  .describe('A webhook endpoint that receives events of an email service.')

const emailStats = z
  .object({ sent: count, delivered: count, bounced: count, complained: count, opened: count, clicked: count, failed: count })
  .describe('Numbers of the mail of an email service.')

export const emailSchemas = {
  ...{ emailTenant, emailService, emailServiceList, emailApiKey, createdEmailApiKey, emailApiKeyList },
  ...{ sendingDomain, sendingDomainList, sandboxRecipient, sentEmail, emailStats, emailWebhook },
}

export const emailBodies: Named[] = Object.entries(emailSchemas).map(([name, schema]) => ({
  id: name[0]!.toUpperCase() + name.slice(1),
  schema,
}))

type Body<Name extends keyof typeof emailSchemas> = z.infer<(typeof emailSchemas)[Name]>

export const emailTenantBody = (tenant: EmailTenant): Body<'emailTenant'> => ({
  service_count: tenant.serviceCount,
  domain_count: tenant.domainCount,
  sent_today: tenant.sentToday,
  daily_limit: tenant.dailyLimit,
  sent_this_month: tenant.sentThisMonth,
})

export const emailServiceBody = ({ id, name, mode, createdAt, updatedAt }: EmailServiceRow): Body<'emailService'> => ({
  ...{ id, name, mode: emailModes[mode], created_at: timeOf(createdAt), updated_at: timeOf(updatedAt) },
})

export const emailApiKeyBody = ({ id, name, prefix, lastUsedAt, revokedAt, createdAt }: EmailApiKeyRow): Body<'emailApiKey'> => ({
  ...{ id, name, key_prefix: prefix },
  ...{ last_used_at: timeOrNull(lastUsedAt), revoked_at: timeOrNull(revokedAt), created_at: timeOf(createdAt) },
})

export const sendingDomainBody = (domain: SendingDomainRow, { app }: Pick<View, 'app'>): Body<'sendingDomain'> => ({
  ...{ id: domain.id, domain: domain.domain, status: dnsStatuses[domain.status] },
  records: recordsOf(domain, spfMechanism(app.settings)).map((record) => ({ ...record, status: dnsStatuses[record.status] })),
  ...{ verified_at: timeOrNull(domain.verifiedAt), created_at: timeOf(domain.createdAt) },
})

export const sandboxRecipientBody = ({ id, email, verifiedAt, expiresAt }: SandboxRecipientRow): Body<'sandboxRecipient'> => ({
  ...{ id, email, status: verifiedAt ? 'verified' : 'pending', expires_at: timeOrNull(expiresAt) },
})

type Webhook = { id: string; url: string; eventTypes: string[]; disabledAt: Date | null; createdAt: Date }

export const emailWebhookBody = (endpoint: Webhook, secret: string | null): Body<'emailWebhook'> => ({
  ...{ id: endpoint.id, url: endpoint.url, events: endpoint.eventTypes.map((type) => type.replace(/^email\./, '')), secret },
  ...{ is_active: endpoint.disabledAt === null, created_at: timeOf(endpoint.createdAt) },
})

export const sentEmailBody = ({ id, status, mode, sender, toAddresses }: EmailMessageRow): Body<'sentEmail'> => ({
  ...{ id, status: emailStatuses[status], mode: emailModes[mode], from: sender, to: toAddresses },
  message: 'The mail is queued and will be sent shortly.',
})
