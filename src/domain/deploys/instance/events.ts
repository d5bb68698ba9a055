import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  name: z.string().describe('Name of the web service.'),
  slug: z.string().describe('Slug of the web service.'),
})
const sample = { webServiceId: 'svc_01h455vb4pex5vsknk084sn02q', projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'Shop', slug: 'shop' }

export const webServiceCrashed = defineEvent({
  type: 'web_service.crashed',
  version: 1,
  description: 'A running service crashed: none of its instances is healthy, and at least one exited unexpectedly. It is being restarted.',
  subject: 'WebService',
  schema: payload,
  sample,
})

export const webServiceRecovered = defineEvent({
  type: 'web_service.recovered',
  version: 1,
  description: 'A crashed service is running again.',
  subject: 'WebService',
  schema: payload,
  sample,
})
