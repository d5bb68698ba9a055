/** Custom domains: host names of a team's own at which a service is served, once their owner has proven them by the DNS. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { checkCustomDomains } from './check.ts'
import { addCustomDomain, deleteCustomDomain, setPrimaryCustomDomain, verifyCustomDomain } from './commands.ts'
import { customDomainErrors } from './errors.ts'
import { customDomainEvents, customDomainFailed } from './events.ts'
import {
  countCustomDomains,
  customDomainListing,
  findCustomDomain,
  findCustomDomainOfService,
  listCustomDomains,
  listServiceHosts,
} from './queries.ts'
import { reactions } from './reactions.ts'

export { addCustomDomain, deleteCustomDomain, setPrimaryCustomDomain, verifyCustomDomain } from './commands.ts'
export { customDomainEvents, customDomainFailed } from './events.ts'
export {
  customDomainListing,
  findCustomDomain,
  findCustomDomainOfService,
  listCustomDomains,
  listServiceHosts,
  type ServiceHost,
} from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    CustomDomain: 'dom'
  }
}

export const customDomain = defineConcept({
  name: 'custom-domain',
  idPrefixes: { CustomDomain: 'dom' },
  nodes: [customDomainListing],
  commands: [addCustomDomain, verifyCustomDomain, setPrimaryCustomDomain, deleteCustomDomain],
  queries: [findCustomDomain, findCustomDomainOfService, listCustomDomains, countCustomDomains, listServiceHosts],
  events: [...Object.values(customDomainEvents), customDomainFailed],
  errors: [customDomainErrors],
  reactions,
  chores: [checkCustomDomains],
  constraints: [...stamped('custom_domain'), check('custom_domain', 'primary', 'NOT is_primary OR verified_at IS NOT NULL')],
})
