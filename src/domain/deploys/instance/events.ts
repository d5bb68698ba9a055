import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  webServiceId: z.string().describe('The service.'),
  projectId: z.string().describe('Its project.'),
  name: z.string().describe('Its name.'),
  slug: z.string().describe('Its slug.'),
})
const sample = { webServiceId: 'svc_01h455vb4pex5vsknk084sn02q', projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'Shop', slug: 'shop' }

export const webServiceCrashed = defineEvent({
  type: 'web_service.crashed',
  version: 1,
  description: 'No instance of a running service is healthy any more, and one has ended by itself. It is being started again.',
  subject: 'WebService',
  schema: payload,
  sample,
})

export const webServiceRecovered = defineEvent({
  type: 'web_service.recovered',
  version: 1,
  description: 'A crashed service runs again.',
  subject: 'WebService',
  schema: payload,
  sample,
})
