import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  environmentId: z.string().describe('ID of the environment.'),
  name: z.string().describe('Name of the web service.'),
  slug: z.string().describe('Slug of the web service, the first label of its host name.'),
  kind: z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO']).describe('Kind of the web service.'),
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

export const webServiceCreated = webServiceEvent('created', 'A web service was created. Nothing has been deployed yet.')
export const webServiceUpdated = webServiceEvent('updated', 'The settings of a web service changed.')
export const webServiceDeleted = webServiceEvent('deleted', 'A web service was deleted. Its instances are being stopped.')
export const webServiceStarted = webServiceEvent('started', 'A start of a stopped web service was requested.')
export const webServiceStopped = webServiceEvent('stopped', 'A stop of a web service was requested.')
export const webServiceRestarted = webServiceEvent('restarted', 'A restart of a web service was requested.')
