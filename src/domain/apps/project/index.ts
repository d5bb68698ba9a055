/** A group of environments that belong together. */
export { createProject, defaultProject, deleteProject, updateProject } from './commands.ts'
export { projectErrors } from './errors.ts'
export { projectCreated, projectDeleted, projectUpdated } from './events.ts'
export {
  defaultFallback,
  type FallbackMode,
  fallbackOf,
  isHigher,
  type ScopeFallback,
  type SecretFallback,
  scopeSchema,
  scopes,
} from './fallback.ts'
export { countProjects, findProject, idOrSlug, listProjects, projectListing, sliceProjects } from './queries.ts'
