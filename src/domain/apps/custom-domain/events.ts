import { z } from 'zod'
import type { CustomDomain } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  customDomainId: z.string().describe('ID of the custom domain.'),
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  domain: z.string().describe('Name of the domain, in lower case and ASCII.'),
  dnsStatus: z.enum(['PENDING', 'VERIFIED', 'FAILED']).describe('Whether the domain is proven by its TXT record.'),
  isPrimary: z.boolean().describe('Whether the other domains of the service redirect to this one.'),
})

const sample = {
  customDomainId: 'dom_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  domain: 'www.example.com',
  isPrimary: false,
}

const customDomainEvent = (name: string, description: string, dnsStatus: CustomDomain['dnsStatus']) =>
  defineEvent({
    ...{ type: `custom_domain.${name}`, version: 1, description, subject: 'CustomDomain', schema: payload },
    sample: { ...sample, dnsStatus },
  })

export const customDomainEvents = {
  added: customDomainEvent('added', 'A custom domain was added to a web service. It is not served until it is verified.', 'PENDING'),
  verified: customDomainEvent(
    'verified',
    'The TXT record of a custom domain was found. Its web service is served at the domain from now on.',
    'VERIFIED',
  ),
  primaryChanged: customDomainEvent(
    'primary_changed',
    'A custom domain became the primary one of its web service, or is no longer (see `isPrimary`).',
    'VERIFIED',
  ),
  deleted: customDomainEvent('deleted', 'A custom domain was removed, alone or with its web service.', 'VERIFIED'),
}

export const customDomainFailed = defineEvent({
  type: 'custom_domain.failed',
  version: 1,
  description: 'A custom domain is not, or no longer, proven by its TXT record.',
  subject: 'CustomDomain',
  schema: payload.extend({
    reason: z
      .enum(['not_proven', 'record_missing', 'taken_over'])
      .describe(
        '`not_proven`: the TXT record was not published in time. `record_missing`: it has been absent for long; the domain is still served, but another organization can now prove it. `taken_over`: another organization has proven the domain, which is no longer served here.',
      ),
  }),
  sample: { ...sample, dnsStatus: 'FAILED' as const, reason: 'record_missing' as const },
})

export const customDomainEventOf = ({ id, webServiceId, projectId, domain, dnsStatus, isPrimary }: CustomDomain) => ({
  subjectId: id,
  projectId,
  data: {
    customDomainId: encodeId('CustomDomain', id),
    webServiceId: encodeId('WebService', webServiceId),
    projectId: encodeId('Project', projectId),
    ...{ domain, dnsStatus, isPrimary },
  },
})
