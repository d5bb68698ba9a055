import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  odooInstanceId: z.string().describe('ID of the Odoo instance.'),
  webServiceId: z.string().describe('ID of its web service.'),
  projectId: z.string().describe('ID of the project.'),
  environmentId: z.string().describe('ID of the environment.'),
  name: z.string().describe('Name of the instance.'),
  slug: z.string().describe('Slug of the instance, the first label of its host name.'),
  odooVersion: z.string().describe('Version of Odoo, such as `17.0`.'),
})
const sample = {
  odooInstanceId: 'odooinst_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  name: 'ERP',
  slug: 'erp',
  odooVersion: '17.0',
}

const instanceEvent = (name: string, description: string) =>
  defineEvent({ type: `odoo_instance.${name}`, version: 1, description, subject: 'OdooInstance', schema: payload, sample })

export const odooInstanceEvents = {
  created: instanceEvent('created', 'An Odoo instance was created. Its first deployment is queued.'),
  updated: instanceEvent('updated', 'The name or the settings of an Odoo instance changed.'),
  started: instanceEvent('started', 'A start of a stopped Odoo instance was requested.'),
  stopped: instanceEvent('stopped', 'A stop of an Odoo instance was requested.'),
  deleted: instanceEvent(
    'deleted',
    'An Odoo instance was deleted. Its server is being stopped, and its database and disk are being removed.',
  ),
  failed: instanceEvent('failed', 'An Odoo instance exited or does not answer. It is restarted.'),
}

export type OdooInstanceEvent = (typeof odooInstanceEvents)[keyof typeof odooInstanceEvents]

type Placed = { id: string; projectId: string; environmentId: string; name: string; slug: string; odooVersion: string }

export const eventOf = ({ id, projectId, environmentId, name, slug, odooVersion }: Placed) => ({
  subjectId: id,
  projectId,
  data: {
    odooInstanceId: encodeId('OdooInstance', id),
    webServiceId: encodeId('WebService', id),
    projectId: encodeId('Project', projectId),
    environmentId: encodeId('Environment', environmentId),
    ...{ name, slug, odooVersion },
  },
})
