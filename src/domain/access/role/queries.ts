import { z } from 'zod'
import { defineQuery, ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { describedPermissions } from './permission.ts'

export const roleListing = defineListing({
  type: 'Role',
  noun: 'role',
  permission: 'view:roles',
  order: 'oldest_first',
  audited: ['name', 'description', 'permissions'],
  visible: (caller) => ofOrganization(caller, sql`t`),
})

export const listRoles = listQuery(roleListing)
export const countRoles = countQuery(roleListing)

export const listPermissions = defineQuery({
  name: 'permissionList',
  description: 'All permissions that roles can have.',
  permission: 'view:roles',
  ids: {},
  input: z.object({}),
  run: async () => describedPermissions,
})
