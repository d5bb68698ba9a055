import { z } from 'zod'
import type { Role } from '../../../generated/prisma/client.ts'
import { type Permission, permissions } from '../../../platform/access.ts'
import { changes, defineCommand, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql, violated } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema, optionalText } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { roleErrors } from './errors.ts'
import { eventOf, roleCreated, roleDeleted, roleUpdated } from './events.ts'
import { demandGrantable, permissionsOf } from './model.ts'

/** Each permission once, in the order of platform/access. */
const permissionsSchema = z
  .array(z.string())
  .max(permissions.length, { error: `must have at most ${permissions.length} items` })
  .transform((names, context): Permission[] => {
    const known: ReadonlySet<string> = new Set(permissions)
    const unknown = names.find((name) => !known.has(name))
    if (unknown === undefined) return permissions.filter((name) => names.includes(name))
    context.addIssue({ code: 'custom', message: 'must contain only permissions that exist' })
    return z.NEVER
  })
const descriptionSchema = optionalText(500)

export const createRole = defineCommand({
  name: 'createRole',
  description:
    'Creates a custom role. Fails with `forbidden` if the role has a permission that the caller does not have, and with `name_taken` if the organization has a role with this name, regardless of case.',
  permission: 'manage:roles',
  ids: {},
  targetType: 'Role',
  input: z.object({ name: nameSchema, description: descriptionSchema.nullish(), permissions: permissionsSchema }),
  emits: [roleCreated],
  async run(work, { name, description, permissions }) {
    demandOrganization(work.caller, 'manage roles')
    demandGrantable(work.caller.permissions, permissions, 'permissions')
    const fields = { id: newId(), organizationId: work.caller.organizationId, name, description: description ?? null, permissions }
    const role = await unlessTaken(row<Role>(work.tx, sql`insert into role ${newRow(fields)} returning *`))
    await publish(work, roleCreated, eventOf(role!))
    return { role: role! }
  },
})

export const updateRole = defineCommand({
  name: 'updateRole',
  description:
    'Updates a custom role. Its members, and their API keys, have the new permissions at once. Fails with `system_role` for a system role, and with `forbidden` if the role has or is to have a permission that the caller does not have.',
  permission: 'manage:roles',
  ids: { id: 'Role' },
  targetType: 'Role',
  target: lockRole,
  input: z.object({ name: nameSchema.optional(), description: descriptionSchema.nullish(), permissions: permissionsSchema.optional() }),
  emits: [roleUpdated],
  async run(work, input, target: Role) {
    demandCustom(work, target)
    demandGrantable(work.caller.permissions, input.permissions ?? [], 'permissions')
    if (!changes(target, input)) return { role: target }
    const role = await unlessTaken(
      row<Role>(work.tx, sql`update role set ${assignments(input)}, version = version + 1 where id = ${target.id}::uuid returning *`),
    )
    await publish(work, roleUpdated, eventOf(role!))
    work.wake('credentials')
    return { role: role! }
  },
})

export const deleteRole = defineCommand({
  name: 'deleteRole',
  description:
    'Deletes a custom role. Fails with `system_role` for a system role, and with `role_in_use` while members or pending invitations have the role. Invitations with this role that were accepted or revoked or have expired are deleted with it.',
  permission: 'delete:roles',
  ids: { id: 'Role' },
  targetType: 'Role',
  target: lockRole,
  input: z.object({}),
  emits: [roleDeleted],
  async run(work, _input, target: Role) {
    demandCustom(work, target)
    await publish(work, roleDeleted, eventOf(target))
    try {
      await run(work.tx, sql`delete from role where id = ${target.id}::uuid`)
    } catch (error) {
      if (violated(error)?.kind === 'foreign_key') throw roleErrors.role_in_use({ field: 'id', cause: error })
      throw error
    }
    return { deletedId: target.id }
  },
})

function lockRole(work: Work, { id }: Record<string, string>): Promise<Role | null> {
  return row<Role>(work.tx, sql`select t.* from role t where t.id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)} for update`)
}

/** Throws unless the caller may change a role. */
function demandCustom({ caller }: Work, role: Role): void {
  if (role.system) throw roleErrors.system_role({ field: 'id' })
  demandGrantable(caller.permissions, permissionsOf(role), 'id')
}

async function unlessTaken<Value>(write: Promise<Value>): Promise<Value> {
  try {
    return await write
  } catch (error) {
    if (violated(error)?.constraint === 'role_name_key') throw roleErrors.name_taken({ field: 'name', cause: error })
    throw error
  }
}
