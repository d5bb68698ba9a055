import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const place = {
  webServiceId: z.string().describe('The service.'),
  projectId: z.string().describe("The service's project."),
}
const samplePlace = { webServiceId: 'svc_01h455vb4pex5vsknk084sn02q', projectId: 'proj_01h455vb4pex5vsknk084sn02q' }

export const envVarChanged = defineEvent({
  type: 'env_var.changed',
  version: 1,
  description: "A service's env vars were written; one event for a whole bulk. Values are never told.",
  subject: 'WebService',
  schema: z.object({
    ...place,
    created: z.array(z.string()).describe('Keys that are new.'),
    updated: z.array(z.string()).describe('Keys with another value or other flags.'),
    deleted: z.array(z.string()).describe('Keys that are gone.'),
    deploy: z.boolean().describe('Whether a deployment was asked for with the change.'),
  }),
  sample: { ...samplePlace, created: ['DATABASE_URL'], updated: [], deleted: [], deploy: false },
})

export const envVarRevealed = defineEvent({
  type: 'env_var.revealed',
  version: 1,
  description: 'Secret values of a service were shown to somebody. Values are never told.',
  subject: 'WebService',
  schema: z.object({ ...place, keys: z.array(z.string()).describe('Which ones.'), revealedBy: z.string().describe('To whom.') }),
  sample: { ...samplePlace, keys: ['DATABASE_URL'], revealedBy: 'Ada' },
})
