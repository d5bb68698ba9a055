/** Members: users of an organization, each with a role and, optionally, limited to certain projects. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { leaveOrganization, removeMember, transferOwnership, updateMember } from './commands.ts'
import { memberErrors } from './errors.ts'
import { memberJoined, memberLeft, memberRemoved, memberUpdated } from './events.ts'
import { countOrganizations, listOrganizations, switchOrganization } from './organizations.ts'
import { countMembers, countMembersByRole, listMembers, memberListing, memberOverviews } from './queries.ts'
import { reactions } from './reactions.ts'

export { type Authority, authorityOfUser, demandAuthority, isOver, lockMembers } from './authority.ts'
export { leaveOrganization, projectIdsSchema, removeMember, transferOwnership, updateMember } from './commands.ts'
export { memberJoined, memberLeft, memberRemoved } from './events.ts'
export { activeFirst, type Membership, membershipColumns, memberships, rightsOf, withinProject } from './membership.ts'
export type { MemberRow } from './model.ts'
export { setActiveOrganization, switchOrganization } from './organizations.ts'
export { addMember, demandProjects, demandRole } from './placement.ts'
export { countMembersByRole, listMembers, type MemberOverview, memberOverviews } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Member: 'mem'
  }
}

export const member = defineConcept({
  name: 'member',
  idPrefixes: { Member: 'mem' },
  nodes: [memberListing],
  commands: [updateMember, removeMember, leaveOrganization, transferOwnership, switchOrganization],
  queries: [listMembers, countMembers, memberOverviews, countMembersByRole, listOrganizations, countOrganizations],
  events: [memberJoined, memberUpdated, memberRemoved, memberLeft],
  errors: [memberErrors],
  reactions,
  extensions: [organizationContents.with(rowsOfAccess('members', ['member_project', 'member']))],
  constraints: stamped('member'),
})
