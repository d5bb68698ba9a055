import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

const payload = z.object({
  secretBindingId: z.string().describe('The binding.'),
  webServiceId: z.string().describe('The service.'),
  projectId: z.string().describe('Their project.'),
  secretId: z.string().describe('The secret by which the key is named.'),
  alias: z.string().describe('The name under which the service gets it.'),
})
const sample = {
  secretBindingId: 'bind_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  secretId: 'sec_01h455vb4pex5vsknk084sn02q',
  alias: 'STRIPE_KEY',
}

export const secretBindingCreated = defineEvent({
  type: 'secret_binding.created',
  version: 1,
  description: 'A secret was bound to a service, or an alias to another secret.',
  subject: 'SecretBinding',
  schema: payload,
  sample,
})

export const secretBindingDeleted = defineEvent({
  type: 'secret_binding.deleted',
  version: 1,
  description: 'A secret was unbound from a service.',
  subject: 'SecretBinding',
  schema: payload,
  sample,
})
