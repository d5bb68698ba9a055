import { z } from 'zod'
import type { Role } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { permissionsOf } from './model.ts'

const schema = z.object({
  roleId: z.string().describe('ID of the role.'),
  name: z.string().describe('Name of the role.'),
  permissions: z.array(z.string()).describe('Permissions of the role, each as `<verb>:<resource>`.'),
})
const sample = { roleId: 'role_01h455vb4pex5vsknk084sn02q', name: 'Deployer', permissions: ['view:web_services', 'deploy:web_services'] }

const define = (name: string, description: string) =>
  defineEvent({ type: `role.${name}`, version: 1, description, subject: 'Role', schema, sample })

export const roleCreated = define('created', 'A custom role was created.')
export const roleUpdated = define('updated', 'The name, description or permissions of a custom role changed.')
export const roleDeleted = define('deleted', 'A custom role was deleted.')

export const eventOf = (role: Role) => ({
  subjectId: role.id,
  projectId: null,
  data: { roleId: encodeId('Role', role.id), name: role.name, permissions: [...permissionsOf(role)] },
})
