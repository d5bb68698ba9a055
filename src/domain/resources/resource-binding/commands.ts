import { z } from 'zod'
import type { ResourceBinding, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { errors } from '../../../platform/errors.ts'
import { decodeId } from '../../../platform/id.ts'
import { keySchema, lockService, lockUnder } from '../../configuration/variable/index.ts'
import { resourceBindingCreated, resourceBindingDeleted } from './events.ts'
import { bindableKinds } from './model.ts'
import { connectResource, removeBindings } from './store.ts'

export const connectToService = defineCommand({
  name: 'connectToService',
  description:
    'Connects a resource of any kind to a service of the same environment, which receives its address and credentials as variables from the next deployment on. Fails with `key_taken` if another connected resource already gives the service a variable of the same name.',
  permission: 'manage:databases',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ type: z.string(), resourceId: z.string(), alias: keySchema.nullish() }),
  emits: [resourceBindingCreated],
  async run(work, { type, resourceId, alias }, service: WebService) {
    const kind = bindableKinds.of(work.app).find((one) => one.type === type)
    if (!kind) throw errors.invalid_input({ field: 'type', text: 'type: must be a kind of resource that can be connected' })
    const resource = await kind.lock(work, decodeId(kind.type, resourceId))
    if (!resource) throw errors.not_found({ field: 'resourceId' })
    return connectResource(work, { kind, resource, webServiceId: service.id, alias: alias ?? null })
  },
  audited: (_input, { resourceBinding }) => ({ resourceId: resourceBinding.resourceId, variables: resourceBinding.variables }),
})

export const disconnectResource = defineCommand({
  name: 'disconnectResource',
  description: 'Disconnects a resource from a service. Running instances keep the variables until the next deployment.',
  permission: 'manage:web_services',
  ids: { id: 'ResourceBinding' },
  targetType: 'ResourceBinding',
  target: lockUnder<ResourceBinding>('web_service', 'resource_binding'),
  input: z.object({}),
  emits: [resourceBindingDeleted],
  async run(work, _input, target: ResourceBinding) {
    await removeBindings(work, [target])
    return { deletedId: target.id, variables: target.variables }
  },
  audited: (_input, { variables }) => ({ variables }),
})
