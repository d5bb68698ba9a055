/** The tenant. */
export { bootstrapOrganization, type FirstOwner } from './commands.ts'
export { organizationCreated } from './events.ts'
export { currentOrganization } from './queries.ts'
