/** Organizations: the tenants of an installation. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationCreated } from './events.ts'
import { currentOrganization, organizationListing } from './queries.ts'

export { bootstrapOrganization } from './commands.ts'
export { organizationCreated } from './events.ts'
export { currentOrganization } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Organization: 'org'
  }
}

export const organization = defineConcept({
  name: 'organization',
  idPrefixes: { Organization: 'org' },
  nodes: [organizationListing],
  queries: [currentOrganization],
  events: [organizationCreated],
  constraints: stamped('organization'),
})
