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
  deleted: customDomainEvent('deleted', 'A custom domain was removed, alone or with its web service.', 'VERIFIED'),
}

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
