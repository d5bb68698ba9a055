import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  idField,
  loadRows,
  Node,
  nestedConnection,
  rootConnection,
  timestamps,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { demand, parseInput } from '../../../platform/command.ts'
import { DnsCheckStatus, DnsRecordType } from '../../apps/custom-domain/graphql.ts'
import { ResourceBinding } from '../resource-binding/graphql.ts'
import { bindingsByResource } from '../resource-binding/index.ts'
import { recordsOf, spfMechanism } from './dns-record.ts'
import { maxDomains, maxKeys, maxRecipients } from './model.ts'
import {
  countEmailServices,
  domainsByService,
  emailMessageListing,
  emailServiceListing,
  findEmailService,
  keysByService,
  listEmailServices,
  recipientsByService,
} from './queries.ts'
import { emailTenant, type EmailStats as Stats, statsOf, type EmailTenant as Tenant, windowSchema } from './stats.ts'

export const EmailMode = enumType('EmailMode', 'Mode of an email service.', {
  SANDBOX: 'Mail can be sent to verified recipients only.',
  PRODUCTION: 'Mail can be sent to anyone, from the verified domains of the service.',
})

const EmailStatus = enumType(
  'EmailStatus',
  'Status of a message, over all of its recipients: the worst outcome, else the one furthest behind.',
  {
    QUEUED: 'Waiting to be sent, or to be sent again to some recipients. See `nextAttemptAt`.',
    SENT: 'Accepted by the SMTP server, or kept in the local outbox.',
    DELIVERED: 'Accepted by the mail servers of all recipients.',
    BOUNCED: 'Refused by the mail server of a recipient. See `error`.',
    COMPLAINED: 'Reported as spam by a recipient.',
    FAILED: 'Not sent to a recipient, because it was refused, could not be sent in time, or the address is suppressed. See `error`.',
  },
)

export const SendingDomain = builder.prismaObject('SendingDomain', {
  description: 'A domain that an email service sends from.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('SendingDomain')),
    domain: t.exposeString('domain', { description: 'Name of the domain, in lower case and ASCII.' }),
    status: t.expose('status', {
      type: DnsCheckStatus,
      description:
        'Whether the service can send from the domain. A verified domain whose records are no longer found remains `VERIFIED` for 72 hours (setting EMAIL_DOMAIN_GRACE_MS) and then becomes `FAILED`.',
    }),
    records: t.field({
      type: [DnsRecordType],
      extensions: { rows: 3 },
      description: 'DNS records to publish, each with the result of the last check.',
      select: { domain: true, selector: true, publicKey: true, checks: true },
      resolve: (domain, _args, context) => recordsOf(domain, spfMechanism(context.app.settings)),
    }),
    checkError: t.exposeString('checkError', {
      nullable: true,
      description: 'Why the last automatic check had no result, for example because the DNS did not answer. Null otherwise.',
    }),
    checkedAt: t.expose('checkedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the last check with a result. Null before.',
    }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: 'Time since when the records of a verified domain are not found. Null otherwise.',
    }),
    verifiedAt: t.expose('verifiedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the domain was verified for the first time. Null before that.',
    }),
    ...versionFields(t),
  }),
})

export const SandboxRecipient = builder.prismaObject('SandboxRecipient', {
  description: 'An address that an email service in the sandbox can send to, once it is verified.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('SandboxRecipient')),
    email: t.exposeString('email', { description: 'Address of the recipient, in lower case.' }),
    verifiedAt: t.expose('verifiedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the recipient was verified. Null before that.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Expiry time of the current code. Null for a verified recipient.',
    }),
    ...versionFields(t),
  }),
})

export const EmailApiKey = builder.prismaObject('EmailApiKey', {
  description: 'Credential that can only send mail with its email service, by the REST API.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('EmailApiKey')),
    name: t.exposeString('name', { description: 'Name of the key. That of a connection has the name of its web service.' }),
    prefix: t.exposeString('prefix', { description: 'First characters of the key, to recognize it by.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of last use, accurate to the minute. Null if the key has never been used.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the key was revoked. Null if the key has not been revoked.',
    }),
    ...versionFields(t),
  }),
})

export const EmailMessage = builder.prismaObject('EmailMessage', {
  description: 'A mail that was sent or is queued.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('EmailMessage')),
    from: t.string({ description: 'Sender, as in the header.', select: { sender: true }, resolve: ({ sender }) => sender }),
    to: t.stringList({
      description: 'Recipients in the header `To`.',
      select: { toAddresses: true },
      resolve: ({ toAddresses }) => toAddresses,
    }),
    subject: t.exposeString('subject', { description: 'Subject.' }),
    mode: t.expose('mode', { type: EmailMode, description: 'Mode of the service when the message was queued.' }),
    status: t.expose('status', { type: EmailStatus, description: 'What became of the message.' }),
    attemptCount: t.exposeInt('attemptCount', { description: 'Number of attempts to send it so far.' }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the next attempt. Null if none follows.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Last answer or report that was no success. Null if there is none.' }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when it was delivered to all recipients. Null before that.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

const EmailStats = builder.objectRef<Stats>('EmailStats').implement({
  description: 'Numbers of the mail of an email service. Recipients are counted, except for opened and clicked messages.',
  fields: (t) => ({
    sent: t.exposeInt('sent', { description: 'Accepted by the SMTP server, or kept in the local outbox.' }),
    delivered: t.exposeInt('delivered', { description: 'Accepted by the mail server of the recipient.' }),
    bounced: t.exposeInt('bounced', { description: 'Refused by the mail server of the recipient.' }),
    complained: t.exposeInt('complained', { description: 'Reported as spam.' }),
    opened: t.exposeInt('opened', { description: 'Messages that were opened.' }),
    clicked: t.exposeInt('clicked', { description: 'Links that were followed, each once for each message.' }),
    failed: t.exposeInt('failed', { description: 'Not sent.' }),
  }),
})

export const EmailService = builder.prismaObject('EmailService', {
  description: 'A service that sends mail. It belongs to the organization, not to an environment.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('EmailService')),
    name: t.exposeString('name', { description: 'Name of the service.' }),
    mode: t.expose('mode', { type: EmailMode, description: 'Mode of the service. The first verified domain switches it to `PRODUCTION`.' }),
    trackOpens: t.exposeBoolean('trackOpens', {
      description: 'Whether an image is added to HTML mail, by which opened messages are reported.',
    }),
    trackClicks: t.exposeBoolean('trackClicks', {
      description: 'Whether links in HTML mail lead through Quayside, so that clicks are reported.',
    }),
    domains: t.field({
      type: [SendingDomain],
      extensions: { rows: maxDomains },
      description: `Domains that the service sends from, oldest first, at most ${maxDomains}.`,
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'EmailService.domains', id, columnsOf(info, 'SendingDomain'), domainsByService),
    }),
    sandboxRecipients: t.field({
      type: [SandboxRecipient],
      extensions: { rows: maxRecipients },
      description: `Recipients that the service can send to in the sandbox, oldest first, at most ${maxRecipients}.`,
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'EmailService.sandboxRecipients', id, columnsOf(info, 'SandboxRecipient'), recipientsByService),
    }),
    apiKeys: t.field({
      type: [EmailApiKey],
      extensions: { rows: maxKeys },
      description: 'API keys of the service, those of its connections and revoked ones included, oldest first, at most 100.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'EmailService.apiKeys', id, columnsOf(info, 'EmailApiKey'), keysByService),
    }),
    stats: t.field({
      type: EmailStats,
      description: 'Numbers of the mail of the service in a window of whole hours. Without a window: of the last 400 days.',
      args: {
        since: t.arg({ type: 'DateTime', description: 'Start of the window. The whole hour is counted.' }),
        until: t.arg({ type: 'DateTime', description: 'End of the window, exclusive. The hour that it is in is counted if it has begun.' }),
      },
      select: { id: true },
      resolve: ({ id }, args, context) => {
        const window = parseInput(windowSchema, args)
        return context.load(`EmailService.stats:${JSON.stringify(window)}`, id, (ids: readonly string[]) =>
          statsOf(context.app.db, ids, window),
        )
      },
    }),
    resourceBindings: t.field({
      type: [ResourceBinding],
      extensions: { rows: 20 },
      description: 'Connections of the service to web services, oldest first.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) => {
        demand(context.caller, 'view:databases')
        return loadRows(context, 'EmailService.resourceBindings', id, columnsOf(info, 'ResourceBinding'), bindingsByResource)
      },
    }),
    ...versionFields(t),
  }),
})

const services = connectionOf(EmailService, emailServiceListing)
rootConnection(services, { list: listEmailServices, count: countEmailServices })

builder.queryField('emailService', (t) =>
  t.field({
    type: EmailService,
    nullable: true,
    description: 'Email service with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the email service.' }) },
    resolve: (_root, args, context, info) => context.call(findEmailService, args, columnsOf(info, 'EmailService')),
  }),
)

nestedConnection(EmailService, 'messages', connectionOf(EmailMessage, emailMessageListing), {
  by: 'emailServiceId',
  description: 'Messages of the service, newest first.',
  args: builder.args((t) => ({
    status: t.field({ type: [EmailStatus], description: 'Return only messages with one of these statuses.' }),
  })),
})

const EmailTenant = builder.objectRef<Tenant>('EmailTenant').implement({
  description: 'Email of the organization.',
  fields: (t) => ({
    serviceCount: t.exposeInt('serviceCount', { description: 'Number of email services.' }),
    domainCount: t.exposeInt('domainCount', { description: 'Number of sending domains of all services.' }),
    sentToday: t.exposeInt('sentToday', { description: 'Number of recipients that mail was sent or queued to today (UTC).' }),
    dailyLimit: t.exposeInt('dailyLimit', { description: 'Maximum number of recipients a day (UTC).' }),
    sentThisMonth: t.exposeInt('sentThisMonth', { description: 'Number of recipients that mail was sent or queued to this month (UTC).' }),
  }),
})

builder.queryField('emailTenant', (t) =>
  t.field({
    type: EmailTenant,
    description: 'Email of the organization: its numbers and its limit.',
    resolve: (_root, _args, context) => context.call(emailTenant, {}),
  }),
)
