import { z } from 'zod'
import type { Organization, Role } from '../../../generated/prisma/client.ts'
import { administration } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { addressSchema } from '../mail/index.ts'
import { addMember, lockMembers, memberJoined } from '../member/index.ts'
import { endSessions, inOrganizations, sessionRevoked } from '../session/index.ts'
import {
  type Account,
  createAccount,
  demandAcceptable,
  demandOtherAdministrator,
  hashPassword,
  lockAccount,
  passwordSchema,
  setDeactivated,
} from '../user/index.ts'
import { installationErrors } from './errors.ts'
import { type AdminUserRow, adminUserListing } from './queries.ts'

export const createUser = defineCommand({
  name: 'createUser',
  description:
    'Creates a user with a password, as a member of an organization: as a Viewer, unless `roleId` names another role of the organization. The email address is not verified. Fails with `email_taken` if a user has this address. For administrators of the installation.',
  permission: administration,
  ids: { organizationId: 'Organization', roleId: 'Role' },
  targetType: 'User',
  input: z.object({
    email: addressSchema,
    name: nameSchema,
    password: passwordSchema,
    organizationId: z.string(),
    roleId: z.string().nullish(),
  }),
  emits: [memberJoined],
  prepare: (_request, { password }) => hashPassword(password),
  async run(work, { email, name, password, organizationId, roleId }, _target, passwordHash: string) {
    await demandAcceptable(password, email, 'password')
    const organization = await row<Organization>(
      work.tx,
      sql`select * from organization where id = ${organizationId}::uuid and deleting_at is null for key share`,
    )
    if (!organization) throw errors.not_found({ field: 'organizationId' })
    const account = await createAccount(work.tx, { id: newId(), email, name, passwordHash })
    if (!account) throw installationErrors.email_taken({ field: 'email' })
    await join({ ...work, caller: { ...work.caller, organizationId } }, account, roleId ?? null)
    return { user: await shownUser(work, account) }
  },
})

/** Makes a new user a member of the caller's organization. */
async function join(within: Work, account: Account, roleId: string | null): Promise<void> {
  const { organizationId } = within.caller
  await lockMembers(within)
  const which = roleId === null ? sql`system = 'VIEWER'` : sql`id = ${roleId}::uuid`
  const role = await row<Role>(within.tx, sql`select * from role where organization_id = ${organizationId}::uuid and ${which} for share`)
  if (!role) throw errors.not_found({ field: 'roleId' })
  const member = await addMember(within, account.id, { roleId: role.id, projectIds: null })
  writeAudit(within, { action: createUser.name, target: { type: 'Member', before: null, after: member } })
}

const shownUser = async ({ tx, caller }: Work, { id }: Pick<Account, 'id'>): Promise<AdminUserRow> =>
  (await adminUserListing.read({ tx, caller }, sql`t.id = ${id}::uuid`))[0] as AdminUserRow

const target = (work: Work, { id }: Record<string, string>) => lockAccount(work.tx, id!)

export const deactivateUser = defineCommand({
  name: 'deactivateUser',
  description:
    'Deactivates a user. At once and in all processes, all sessions of the user end, the API keys that the user created stop working, and the user cannot sign in. Nothing is deleted. Deactivating a deactivated user returns it unchanged. Fails with `last_administrator` if no active administrator would remain. For administrators of the installation.',
  permission: administration,
  ids: { id: 'User' },
  targetType: 'User',
  target,
  input: z.object({}),
  emits: [sessionRevoked],
  async run(work, _input, account: Account) {
    if (account.deactivatedAt) return { user: await shownUser(work, account) }
    await demandOtherAdministrator(work.tx, account.id)
    await setDeactivated(work.tx, account.id, true)
    await endSessions(work, account, sql`true`, 'revoked')
    await tellOrganizations(work, account, deactivateUser.name)
    return { user: await shownUser(work, account) }
  },
})

export const reactivateUser = defineCommand({
  name: 'reactivateUser',
  description:
    'Ends the deactivation of a user, who can sign in again. API keys of the user that have neither expired nor been revoked work again. Reactivating an active user returns it unchanged. For administrators of the installation.',
  permission: administration,
  ids: { id: 'User' },
  targetType: 'User',
  target,
  input: z.object({}),
  emits: [],
  async run(work, _input, account: Account) {
    if (!account.deactivatedAt) return { user: await shownUser(work, account) }
    await setDeactivated(work.tx, account.id, false)
    await tellOrganizations(work, account, reactivateUser.name)
    return { user: await shownUser(work, account) }
  },
})

/** The audit log of each organization of the user shows what an administrator did to their account. */
async function tellOrganizations(work: Work, account: Account, action: string): Promise<void> {
  work.wake('credentials')
  await inOrganizations(work, account, (own) => writeAudit(own, { action, target: { type: 'User', id: account.id, name: account.email } }))
}
