/** Members: users of an organization, each with a role and, optionally, limited to certain projects. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { reactions } from './reactions.ts'

export { type Membership, membershipColumns, memberships, rightsOf, withinProject } from './membership.ts'

export const member = defineConcept({
  name: 'member',
  reactions,
  constraints: stamped('member'),
})
