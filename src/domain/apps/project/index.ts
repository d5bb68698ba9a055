/** Projects: groups of environments. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { createProject, deleteProject, projectsOfOrganization, updateProject } from './commands.ts'
import { projectErrors } from './errors.ts'
import { projectCreated, projectDeleted, projectUpdated } from './events.ts'
import { purgeProjects } from './jobs.ts'
import { countProjects, findProject, listProjects, projectListing, sliceProjects } from './queries.ts'

export { createProject, defaultProject, deleteProject, updateProject } from './commands.ts'
export { projectErrors } from './errors.ts'
export { projectCreated, projectDeleted, projectUpdated } from './events.ts'
export { defaultFallback, fallbackOf, isHigher, type SecretFallback, scopeSchema, scopes } from './fallback.ts'
export { keptProjects } from './model.ts'
export { findProject, listProjects, projectListing, sliceProjects } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Project: 'proj'
  }
}

export const project = defineConcept({
  name: 'project',
  idPrefixes: { Project: 'proj' },
  nodes: [projectListing],
  commands: [createProject, updateProject, deleteProject],
  queries: [findProject, listProjects, sliceProjects, countProjects],
  events: [projectCreated, projectUpdated, projectDeleted],
  errors: [projectErrors],
  chores: [purgeProjects],
  constraints: stamped('project'),
  extensions: [organizationContents.with(projectsOfOrganization)],
})
