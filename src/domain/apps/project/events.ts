import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  projectId: z.string().describe('ID of the project.'),
  name: z.string().describe('Name of the project.'),
  slug: z.string().describe('Slug of the project.'),
})
const sample = { projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'Shop', slug: 'shop' }

export const projectCreated = defineEvent({
  type: 'project.created',
  version: 1,
  description: 'A project was created, together with its production environment.',
  subject: 'Project',
  schema: payload,
  sample,
})

export const projectUpdated = defineEvent({
  type: 'project.updated',
  version: 1,
  description: 'The name, description or secret fallback of a project changed.',
  subject: 'Project',
  schema: payload,
  sample,
})

export const projectDeleted = defineEvent({
  type: 'project.deleted',
  version: 1,
  description: 'A project was deleted. With `cascade`, its environments and services are being deleted.',
  subject: 'Project',
  schema: payload.extend({ cascade: z.boolean().describe('Whether the contents of the project are deleted with it.') }),
  sample: { ...sample, cascade: false },
})
