import { z } from 'zod'
import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId, type IdType } from '../../../platform/id.ts'

const payload = z.object({
  resourceBindingId: z.string().describe('ID of the resource binding.'),
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  resourceId: z.string().describe('ID of the connected resource, such as a database.'),
  variables: z.array(z.string()).describe('Names of the variables that the service receives.'),
})
const sample = {
  resourceBindingId: 'rbind_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  resourceId: 'db_01h455vb4pex5vsknk084sn02q',
  variables: ['DATABASE_URL'],
}

const resourceBindingEvent = (name: string, description: string) =>
  defineEvent({ type: `resource_binding.${name}`, version: 1, description, subject: 'ResourceBinding', schema: payload, sample })

export const resourceBindingCreated = resourceBindingEvent(
  'created',
  'A resource was connected to a service, or an existing connection now refers to another resource.',
)
export const resourceBindingDeleted = resourceBindingEvent('deleted', 'A resource was disconnected from a service.')

/** An event about a binding. */
export const eventOf = (binding: ResourceBinding) => ({
  subjectId: binding.id,
  projectId: binding.projectId,
  data: {
    resourceBindingId: encodeId('ResourceBinding', binding.id),
    webServiceId: encodeId('WebService', binding.webServiceId),
    projectId: encodeId('Project', binding.projectId),
    resourceId: encodeId(binding.resourceType as IdType, binding.resourceId),
    variables: binding.variables,
  },
})
