import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  projectId: z.string().describe('The project.'),
  name: z.string().describe('Its name.'),
  slug: z.string().describe('Its slug.'),
})
const sample = { projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'Shop', slug: 'shop' }

export const projectCreated = defineEvent({
  type: 'project.created',
  version: 1,
  description: 'A project was made, with its production environment.',
  subject: 'Project',
  schema: payload,
  sample,
})

export const projectUpdated = defineEvent({
  type: 'project.updated',
  version: 1,
  description: "A project's name or description changed.",
  subject: 'Project',
  schema: payload,
  sample,
})

export const projectDeleted = defineEvent({
  type: 'project.deleted',
  version: 1,
  description: 'A project was deleted. With `cascade` what is inside is being removed.',
  subject: 'Project',
  schema: payload.extend({ cascade: z.boolean().describe('Whether its content goes with it.') }),
  sample: { ...sample, cascade: false },
})
