/** Organizations: the tenants of an installation. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { createOrganization, updateOrganization } from './commands.ts'
import { organizationContents } from './contents.ts'
import { eventsOfOrganization, restOfOrganization } from './deletion.ts'
import { organizationErrors } from './errors.ts'
import { organizationCreated, organizationUpdated } from './events.ts'
import { currentOrganization, organizationListing } from './queries.ts'

export { bootstrapOrganization, createOrganization, insertOrganization, type NewOrganization, updateOrganization } from './commands.ts'
export { type OrganizationContents, organizationContents, type Removal, type RemovalPhase, rowsOfAccess } from './contents.ts'
export { isLive, lockForRemoval, markOrganizationDeleting, removeOrganization } from './deletion.ts'
export { organizationCreated, organizationUpdated } from './events.ts'
export { currentOrganization, organizationListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Organization: 'org'
  }
}

export const organization = defineConcept({
  name: 'organization',
  idPrefixes: { Organization: 'org' },
  nodes: [organizationListing],
  commands: [createOrganization, updateOrganization],
  queries: [currentOrganization],
  events: [organizationCreated, organizationUpdated],
  errors: [organizationErrors],
  extensions: [organizationContents.with(eventsOfOrganization), organizationContents.with(restOfOrganization)],
  constraints: stamped('organization'),
})
