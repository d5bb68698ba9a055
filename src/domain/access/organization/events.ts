import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

export const organizationCreated = defineEvent({
  type: 'organization.created',
  version: 1,
  description: 'An organization was created.',
  subject: 'Organization',
  schema: z.object({
    organizationId: z.string().describe('ID of the organization.'),
    name: z.string().describe('Name of the organization.'),
    slug: z.string().describe('Slug of the organization.'),
  }),
  sample: { organizationId: 'org_01h455vb4pex5vsknk084sn02q', name: 'Acme', slug: 'acme' },
})
