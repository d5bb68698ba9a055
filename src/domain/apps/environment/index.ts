/** A stage of a project: production, staging or development. */
import './reactions.ts'

export { createEnvironment, deleteEnvironment, insertEnvironment, updateEnvironment } from './commands.ts'
export { environmentCreated, environmentDeleted, environmentStatusChanged } from './events.ts'
export { countEnvironments, environmentListing, findEnvironment, listEnvironments } from './queries.ts'
