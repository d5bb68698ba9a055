import { z } from 'zod'
import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { lockUnder } from '../../configuration/variable/index.ts'
import { resourceBindingDeleted } from './events.ts'
import { removeBindings } from './store.ts'

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
