import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

export const organizationCreated = defineEvent({
  type: 'organization.created',
  version: 1,
  description: 'An organization was made.',
  subject: 'Organization',
  schema: z.object({
    organizationId: z.string().describe('The organization.'),
    name: z.string().describe('Its name.'),
    slug: z.string().describe('Its slug.'),
  }),
  sample: { organizationId: 'org_01h455vb4pex5vsknk084sn02q', name: 'Acme', slug: 'acme' },
})
