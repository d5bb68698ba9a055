import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const organizationEvent = (type: string, description: string) =>
  defineEvent({
    type,
    version: 1,
    description,
    subject: 'Organization',
    schema: z.object({
      organizationId: z.string().describe('ID of the organization.'),
      name: z.string().describe('Name of the organization.'),
      slug: z.string().describe('Slug of the organization.'),
    }),
    sample: { organizationId: 'org_01h455vb4pex5vsknk084sn02q', name: 'Acme', slug: 'acme' },
  })

export const organizationCreated = organizationEvent('organization.created', 'An organization was created.')
export const organizationUpdated = organizationEvent('organization.updated', 'The name or slug of an organization was changed.')
