/** Members: users of an organization, each with a role and, optionally, limited to certain projects. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { memberErrors } from './errors.ts'
import { countOrganizations, listOrganizations, switchOrganization } from './organizations.ts'
import { reactions } from './reactions.ts'

export { type Membership, membershipColumns, memberships, rightsOf, withinProject } from './membership.ts'
export { activeOrganization, setActiveOrganization, switchOrganization } from './organizations.ts'

export const member = defineConcept({
  name: 'member',
  commands: [switchOrganization],
  queries: [listOrganizations, countOrganizations],
  errors: [memberErrors],
  reactions,
  constraints: stamped('member'),
})
