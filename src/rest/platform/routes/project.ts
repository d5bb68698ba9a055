import { createProject, findProject, sliceProjects } from '../../../domain/apps/project/index.ts'
import { countWebServicesByProject, sliceWebServices } from '../../../domain/apps/web-service/index.ts'
import { countDatabasesByProject, sliceDatabases } from '../../../domain/resources/database/index.ts'
import { countEmailServicesByProject } from '../../../domain/resources/email/index.ts'
import { countRedisInstancesByProject, sliceRedisInstances } from '../../../domain/resources/redis/index.ts'
import { countBucketsByProject } from '../../../domain/resources/storage/index.ts'
import { commandRow, queryRow, type Route } from '../../core/index.ts'
import { projectBody, projectDetailBody, schemas } from '../bodies.ts'
import { listedDatabases, listedRedisInstances } from '../database-bodies.ts'
import { webServiceBodies } from '../serialize.ts'

const tag = 'Projects'

export const projectRoutes: Route[] = [
  queryRow({
    id: 'listProjects',
    method: 'GET',
    path: '/projects',
    tag,
    summary: 'List projects',
    read: sliceProjects,
    page: { size: null },
    status: 200,
    schema: schemas.projectList,
    async reply({ rows, total }, { ask }) {
      const projectIds = rows.map(({ id }) => id)
      const webServices = await ask(countWebServicesByProject, { projectIds })
      const databases = await ask(countDatabasesByProject, { projectIds })
      const redis = await ask(countRedisInstancesByProject, { projectIds })
      const buckets = await ask(countBucketsByProject, { projectIds })
      const emailServices = await ask(countEmailServicesByProject, { projectIds })
      const countsOf = (index: number) => ({
        ...{ webServices: webServices[index]!, databases: databases[index]! },
        ...{ redis: redis[index]!, buckets: buckets[index]!, emailServices: emailServices[index]! },
      })
      return { projects: rows.map((row, index) => projectBody(row, countsOf(index))), total }
    },
  }),
  commandRow({
    id: 'createProject',
    method: 'POST',
    path: '/projects',
    tag,
    summary: 'Create a project',
    command: createProject,
    body: { name: 'name', description: 'description' },
    status: 201,
    schema: schemas.project,
    reply: ({ project }) => projectBody(project, { webServices: 0, databases: 0, redis: 0, buckets: 0, emailServices: 0 }),
    version: ({ project }) => project.version,
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
    schema: schemas.projectDetail,
    async reply(project, view) {
      const { rows } = await view.ask(sliceWebServices, { projectId: project.id })
      const databases = await view.ask(sliceDatabases, { projectId: project.id })
      const redis = await view.ask(sliceRedisInstances, { projectId: project.id })
      const [buckets] = await view.ask(countBucketsByProject, { projectIds: [project.id] })
      const [emailServices] = await view.ask(countEmailServicesByProject, { projectIds: [project.id] })
      const services = await webServiceBodies(rows, view)
      const [databasesList, redisList] = [await listedDatabases(databases.rows, view), await listedRedisInstances(redis.rows, view)]
      return projectDetailBody(project, services, databasesList, redisList, buckets!, emailServices!)
    },
    version: (project) => project.version,
  }),
]
