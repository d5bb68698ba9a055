import { countEnvironmentsByProject } from '../../../domain/apps/environment/index.ts'
import { createProject, deleteProject, findProject, listProjects, updateProject } from '../../../domain/apps/project/index.ts'
import { countOdooInstancesByProject } from '../../../domain/odoo/odoo-instance/index.ts'
import { commandRow, queryRow, type Route, trueOrFalse, type View } from '../../core/index.ts'
import { done } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { type ProjectRow, projectBody, projectSchemas as schemas } from '../project-bodies.ts'

const tag = 'Projects'
const params = { projectId: 'id' }

async function bodiesOf(rows: readonly ProjectRow[], { ask }: View) {
  const projectIds = rows.map(({ id }) => id)
  const [environments, instances] = [
    await ask(countEnvironmentsByProject, { projectIds }),
    await ask(countOdooInstancesByProject, { projectIds }),
  ]
  return rows.map((row, index) => projectBody(row, { environmentCount: environments[index]!, instanceCount: instances[index]! }))
}

const oneProject = async (row: ProjectRow, view: View) => (await bodiesOf([row], view))[0]!

/** Response of a command that returns the project. */
const theProject = {
  schema: schemas.project,
  reply: ({ project }: { project: ProjectRow }, view: View) => oneProject(project, view),
  version: ({ project }: { project: { version: number } }) => project.version,
}

export const projectRoutes: Route[] = [
  queryRow({
    id: 'listProjects',
    method: 'GET',
    path: '/projects',
    tag,
    summary: 'List projects',
    read: listProjects,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.projectList,
    reply: async (page, view) => pageOf(page, await bodiesOf(page.rows, view)),
  }),
  commandRow({
    id: 'createProject',
    method: 'POST',
    path: '/projects',
    tag,
    summary: 'Create a project',
    description: 'The project has a production environment. Without a slug, one is made from the name.',
    command: createProject,
    body: { name: 'name', slug: 'slug', description: 'description' },
    status: 201,
    ...theProject,
  }),
  queryRow({
    id: 'getProject',
    method: 'GET',
    path: '/projects/{projectId}',
    tag,
    summary: 'Retrieve a project',
    read: findProject,
    params,
    status: 200,
    schema: schemas.project,
    reply: oneProject,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateProject',
    method: 'PATCH',
    path: '/projects/{projectId}',
    tag,
    summary: 'Update a project',
    description: 'Omitted fields keep their value.',
    command: updateProject,
    params,
    body: { name: 'name', description: 'description' },
    status: 200,
    ...theProject,
  }),
  commandRow({
    id: 'deleteProject',
    method: 'DELETE',
    path: '/projects/{projectId}',
    tag,
    summary: 'Delete a project',
    description: 'Revokes its API keys and deletes its webhook endpoints. A project that contains services or secrets answers 409.',
    command: deleteProject,
    params,
    query: {
      cascade: { to: 'cascade', read: trueOrFalse, description: 'Whether to delete the services and secrets of the project too.' },
    },
    ...done('Project deleted. With cascade, its services are removed in the background.'),
  }),
]
