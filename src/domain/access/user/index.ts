/** Users: the members of an organization. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { userListing } from './queries.ts'

export { ownerAddresses, userListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    User: 'usr'
  }
}

export const user = defineConcept({
  name: 'user',
  idPrefixes: { User: 'usr' },
  nodes: [userListing],
  constraints: stamped('user_account'),
})
