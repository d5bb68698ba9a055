import { z } from 'zod'
import type { SecretBinding } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  secretBindingId: z.string().describe('ID of the secret binding.'),
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  secretId: z.string().describe('ID of the bound secret.'),
  alias: z.string().describe('Name of the variable that the service receives.'),
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
  description: 'A secret was bound to a service, or an existing alias was bound to another secret.',
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

/** An event about a binding. */
export const eventOf = (binding: SecretBinding) => ({
  subjectId: binding.id,
  projectId: binding.projectId,
  data: {
    secretBindingId: encodeId('SecretBinding', binding.id),
    webServiceId: encodeId('WebService', binding.webServiceId),
    projectId: encodeId('Project', binding.projectId),
    secretId: encodeId('Secret', binding.secretId),
    alias: binding.alias,
  },
})
