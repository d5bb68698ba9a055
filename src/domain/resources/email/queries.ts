import { z } from 'zod'
import type { EmailApiKey, EmailMessage, EmailService, SandboxRecipient, SendingDomain } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { countQuery, defineListing, findQuery, type Listing, listQuery, type Reader, sliceQuery } from '../../../platform/listing.ts'
import { type Slice, sliceInput } from '../../../platform/page.ts'
import { countConnectedByProject } from '../resource-binding/index.ts'

const common = { permission: 'view:email', order: 'oldest_first', visible: (caller: Caller) => ofOrganization(caller, sql`t`) } as const
const ofService = {
  filter: { emailServiceId: z.string().nullish() },
  ids: { emailServiceId: 'EmailService' as const },
  where: ({ emailServiceId }: { emailServiceId?: string | null | undefined }) =>
    emailServiceId ? [sql`t.email_service_id = ${emailServiceId}::uuid`] : [],
}

/** A caller that is limited to projects sees the services that are connected to their web services. */
export const emailServiceListing = defineListing({
  ...{ ...common, type: 'EmailService', noun: 'email service', audited: ['name', 'mode', 'trackOpens', 'trackClicks'] },
  visible: (caller) => sql`t.organization_id = ${caller.organizationId}::uuid and (${caller.projectIds === null}
    or exists (select 1 from resource_binding b where b.resource_id = t.id and b.project_id = any(${caller.projectIds}::uuid[])))`,
})
export const listEmailServices = listQuery(emailServiceListing)
export const countEmailServices = countQuery(emailServiceListing)
export const sliceEmailServices = sliceQuery(emailServiceListing)
export const findEmailService = findQuery(emailServiceListing)
export const countEmailServicesByProject = countConnectedByProject({
  ...{ type: 'EmailService', name: 'emailServiceCountByProject', noun: 'email service', permission: 'view:email' },
})

type OfService = { emailServiceId: z.ZodOptional<z.ZodNullable<z.ZodString>> }

/** A slice of the rows of a service, as a query. */
function sliceOfService<Row>(name: string, listing: Listing<Row, OfService>) {
  return defineQuery({
    name,
    description: `Each ${listing.noun} of an email service by offset, with their total number. Fails with \`not_found\` if the service does not exist.`,
    permission: 'view:email',
    ids: { emailServiceId: 'EmailService' },
    input: z.object({ emailServiceId: z.string(), ...sliceInput }),
    async run(read, { emailServiceId, ...slice }): Promise<Slice<Row>> {
      const service = await emailServiceListing.findOne({ ...read, columns: ['id'] }, sql`t.id = ${emailServiceId}::uuid`)
      if (!service) throw errors.not_found({ field: 'emailServiceId' })
      return listing.slice(read, { emailServiceId }, slice)
    },
  })
}

/** A row without its sealed key, as results contain it. */
export type SendingDomainRow = Omit<SendingDomain, 'privateKey'>
export const shownDomain = ({ privateKey, ...domain }: SendingDomain): SendingDomainRow => domain

export const sendingDomainListing = defineListing({
  ...{
    ...common,
    ...ofService,
    type: 'SendingDomain',
    noun: 'sending domain',
    nameColumn: 'domain',
    audited: ['emailServiceId', 'domain', 'selector', 'status', 'verifiedAt'],
    omit: ['privateKey'],
  },
})
export const sliceSendingDomains = sliceOfService('sendingDomainSlice', sendingDomainListing)

export const sandboxRecipientListing = defineListing({
  ...{
    ...common,
    type: 'SandboxRecipient',
    noun: 'sandbox recipient',
    nameColumn: 'email',
    audited: ['emailServiceId', 'email', 'verifiedAt', 'expiresAt'],
    omit: ['codeMac'],
  },
})

export type EmailApiKeyRow = Omit<EmailApiKey, 'hash' | 'sealed' | 'fingerprint'>
export const shownKey = ({ hash, sealed, fingerprint, ...key }: EmailApiKey): EmailApiKeyRow => key

export const emailApiKeyListing = defineListing({
  ...{
    ...common,
    ...ofService,
    type: 'EmailApiKey',
    noun: 'API key of an email service',
    audited: ['emailServiceId', 'name', 'prefix', 'resourceBindingId', 'revokedAt'],
    omit: ['hash', 'sealed', 'fingerprint'],
  },
})
export const sliceEmailApiKeys = sliceOfService('emailApiKeySlice', emailApiKeyListing)

const statuses = ['QUEUED', 'SENT', 'DELIVERED', 'BOUNCED', 'COMPLAINED', 'FAILED'] as const

export const emailMessageListing = defineListing({
  ...{
    ...common,
    type: 'EmailMessage',
    noun: 'email message',
    nameColumn: 'subject',
    audited: ['emailServiceId', 'sender', 'toAddresses', 'subject', 'mode'],
    order: 'newest_first',
  },
  filter: { status: z.array(z.enum(statuses)).nullish() },
  where: ({ status }) => (status ? [sql`t.status::text = any(${status}::text[])`] : []),
})

const byService = { parent: 'emailServiceId', orderBy: sql`t.id` }

/** Rows of many services in one statement each, oldest first. Their numbers are limited, except that of revoked keys. */
export const domainsByService = (reader: Reader, parentIds: readonly string[]): Promise<SendingDomain[][]> =>
  sendingDomainListing.readBelow(reader, { ...byService, parentIds })
export const recipientsByService = (reader: Reader, parentIds: readonly string[]): Promise<SandboxRecipient[][]> =>
  sandboxRecipientListing.readBelow(reader, { ...byService, parentIds })
export const keysByService = (reader: Reader, parentIds: readonly string[]): Promise<EmailApiKey[][]> =>
  emailApiKeyListing.readBelow(reader, { ...byService, parentIds, limit: 100 })

export type EmailServiceRow = EmailService
export type EmailMessageRow = EmailMessage
