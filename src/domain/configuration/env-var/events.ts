import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const place = {
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
}
const samplePlace = { webServiceId: 'svc_01h455vb4pex5vsknk084sn02q', projectId: 'proj_01h455vb4pex5vsknk084sn02q' }

export const envVarChanged = defineEvent({
  type: 'env_var.changed',
  version: 1,
  description:
    'Environment variables of a service were created, updated or deleted. A bulk write causes one event. Values are not included.',
  subject: 'WebService',
  schema: z.object({
    ...place,
    created: z.array(z.string()).describe('Keys of the created variables.'),
    updated: z.array(z.string()).describe('Keys of the variables whose value or flags changed.'),
    deleted: z.array(z.string()).describe('Keys of the deleted variables.'),
    deploy: z.boolean().describe('Whether a deployment was requested together with the change.'),
  }),
  sample: { ...samplePlace, created: ['DATABASE_URL'], updated: [], deleted: [], deploy: false },
})

export const envVarRevealed = defineEvent({
  type: 'env_var.revealed',
  version: 1,
  description: 'Secret values of a service were revealed. Values are not included.',
  subject: 'WebService',
  schema: z.object({
    ...place,
    keys: z.array(z.string()).describe('Keys of the revealed variables.'),
    revealedBy: z.string().describe('Name of the user or API key that revealed them.'),
  }),
  sample: { ...samplePlace, keys: ['DATABASE_URL'], revealedBy: 'Ada' },
})
