/** A person with access to the organization. */
export { userListing } from './queries.ts'
