import { ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { projectIdsOf } from './model.ts'

export const invitationListing = defineListing({
  type: 'Invitation',
  noun: 'invitation',
  permission: 'view:members',
  order: 'newest_first',
  nameColumn: 'email',
  audited: ['email', 'roleId', 'projectIds', 'expiresAt', 'acceptedAt', 'revokedAt'],
  omit: ['tokenHash'],
  computed: { projectIds: () => projectIdsOf },
  visible: (caller) => ofOrganization(caller, sql`t`),
})

export const listInvitations = listQuery(invitationListing)
export const countInvitations = countQuery(invitationListing)
