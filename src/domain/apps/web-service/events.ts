import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  webServiceId: z.string().describe('The service.'),
  projectId: z.string().describe('Its project.'),
  environmentId: z.string().describe('Its environment.'),
  name: z.string().describe('Its name.'),
  slug: z.string().describe('Its slug, the first label of its host name.'),
  kind: z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO']).describe('What it is.'),
})
const sample = {
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  name: 'Shop',
  slug: 'shop',
  kind: 'WEB' as const,
}

const webServiceEvent = (name: string, description: string) =>
  defineEvent({ type: `web_service.${name}`, version: 1, description, subject: 'WebService', schema: payload, sample })

export type WebServiceEvent = ReturnType<typeof webServiceEvent>

export const webServiceCreated = webServiceEvent('created', 'A service was made; nothing runs yet.')
export const webServiceUpdated = webServiceEvent('updated', "A service's settings changed; they take effect with the next deployment.")
export const webServiceDeleted = webServiceEvent('deleted', 'A service was deleted; its instances are being stopped.')
export const webServiceStarted = webServiceEvent('started', 'A stopped service was told to run.')
export const webServiceStopped = webServiceEvent('stopped', 'A service was told to stop.')
export const webServiceRestarted = webServiceEvent('restarted', 'A service was told to replace its instances.')
