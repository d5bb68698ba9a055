import { countEnvironmentsByProject, sliceEnvironments } from '../../../domain/apps/environment/index.ts'
import { findProject, sliceProjects } from '../../../domain/apps/project/index.ts'
import { queryRow, type Route } from '../../core/index.ts'
import { projectBody, projectDetailBody, schemas } from '../bodies.ts'
import { defaultPageSize, pageOf } from '../field.ts'
import { environmentBodies, withOverviews } from '../serialize.ts'

const tag = 'Projects'

export const projectRoutes: Route[] = [
  queryRow({
    id: 'listProjects',
    method: 'GET',
    path: '/projects',
    tag,
    summary: 'List projects',
    read: sliceProjects,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.projectList,
    async reply(slice, { ask }) {
      const counts = await ask(countEnvironmentsByProject, { projectIds: slice.rows.map(({ id }) => id) })
      return pageOf(
        slice,
        slice.rows.map((row, index) => projectBody(row, counts[index]!)),
      )
    },
  }),
  queryRow({
    id: 'getProject',
    method: 'GET',
    path: '/projects/{project_id}',
    tag,
    summary: 'Retrieve a project',
    read: findProject,
    params: { project_id: 'id' },
    status: 200,
    schema: schemas.project,
    async reply(project, view) {
      const { rows } = await view.ask(sliceEnvironments, { projectId: project.id })
      const environments = await withOverviews(rows, view)
      return projectDetailBody(
        project,
        environments.map(({ seen }) => seen),
      )
    },
    version: ({ version }) => version,
  }),
  queryRow({
    id: 'listEnvironments',
    method: 'GET',
    path: '/projects/{project_id}/environments',
    tag: 'Environments',
    summary: 'List environments of a project',
    read: sliceEnvironments,
    params: { project_id: 'projectId' },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.environmentList,
    reply: async (slice, view) => pageOf(slice, await environmentBodies(slice.rows, view)),
  }),
]
