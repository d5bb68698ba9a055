/** Environments of a project: production, staging or development. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { sql } from '../../../platform/db/index.ts'
import { keptProjects } from '../project/index.ts'
import { createEnvironment, deleteEnvironment, updateEnvironment } from './commands.ts'
import { environmentErrors } from './errors.ts'
import { environmentCreated, environmentDeleted, environmentStatusChanged } from './events.ts'
import { purgeEnvironments } from './jobs.ts'
import {
  countEnvironments,
  countEnvironmentsByProject,
  environmentListing,
  findEnvironment,
  listEnvironments,
  sliceEnvironments,
} from './queries.ts'
import { reactions } from './reactions.ts'

export { createEnvironment, deleteEnvironment, insertEnvironment, updateEnvironment } from './commands.ts'
export { environmentCreated, environmentDeleted, environmentStatusChanged } from './events.ts'
export { keptEnvironments } from './model.ts'
export { type Place, placeFor } from './place.ts'
export { countEnvironmentsByProject, environmentListing, findEnvironment, listEnvironments, sliceEnvironments } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Environment: 'env'
  }
}

export const environment = defineConcept({
  name: 'environment',
  idPrefixes: { Environment: 'env' },
  nodes: [environmentListing],
  commands: [createEnvironment, updateEnvironment, deleteEnvironment],
  queries: [findEnvironment, listEnvironments, countEnvironments, sliceEnvironments, countEnvironmentsByProject],
  events: [environmentCreated, environmentDeleted, environmentStatusChanged],
  errors: [environmentErrors],
  reactions,
  chores: [purgeEnvironments],
  extensions: [keptProjects.with(sql`exists (select 1 from environment e where e.project_id = p.id)`)],
  constraints: stamped('environment'),
})
