import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  environmentId: z.string().describe('ID of the environment.'),
  projectId: z.string().describe('ID of the project.'),
  name: z.string().describe('Name of the environment.'),
  type: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).describe('Type of the environment.'),
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
  description: 'An environment was created.',
  subject: 'Environment',
  schema: payload,
  sample,
})

export const environmentDeleted = defineEvent({
  type: 'environment.deleted',
  version: 1,
  description: 'An environment was deleted. With `cascade`, its services are being deleted.',
  subject: 'Environment',
  schema: payload.extend({ cascade: z.boolean().describe('Whether the services of the environment are deleted with it.') }),
  sample: { ...sample, cascade: false },
})

const statuses = ['PENDING', 'DEPLOYING', 'RUNNING', 'DEGRADED', 'STOPPED', 'FAILED', 'DELETING'] as const

export const environmentStatusChanged = defineEvent({
  type: 'environment.status_changed',
  version: 1,
  description: 'The status of an environment changed.',
  subject: 'Environment',
  schema: payload.extend({
    status: z.enum(statuses).describe('New status of the environment.'),
    formerStatus: z.enum(statuses).describe('Previously reported status of the environment.'),
  }),
  sample: { ...sample, status: 'RUNNING', formerStatus: 'DEPLOYING' },
})
