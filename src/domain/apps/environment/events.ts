import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  environmentId: z.string().describe('The environment.'),
  projectId: z.string().describe('Its project.'),
  name: z.string().describe('Its name.'),
  type: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).describe('Its type.'),
})
const sample = {
  environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  name: 'Production',
  type: 'PRODUCTION' as const,
}

export const environmentCreated = defineEvent({
  type: 'environment.created',
  version: 1,
  description: 'An environment was made.',
  subject: 'Environment',
  schema: payload,
  sample,
})

export const environmentDeleted = defineEvent({
  type: 'environment.deleted',
  version: 1,
  description: 'An environment was deleted. With `cascade` what is inside is being removed.',
  subject: 'Environment',
  schema: payload.extend({ cascade: z.boolean().describe('Whether its content goes with it.') }),
  sample: { ...sample, cascade: false },
})

const statuses = ['PENDING', 'DEPLOYING', 'RUNNING', 'DEGRADED', 'STOPPED', 'FAILED', 'DELETING'] as const

export const environmentStatusChanged = defineEvent({
  type: 'environment.status_changed',
  version: 1,
  description: 'The state of the services of an environment, taken together, changed.',
  subject: 'Environment',
  schema: payload.extend({
    status: z.enum(statuses).describe('What it is now.'),
    formerStatus: z.enum(statuses).describe('What it was when it was told last.'),
  }),
  sample: { ...sample, status: 'RUNNING', formerStatus: 'DEPLOYING' },
})
