/** Tasks: what happens to an environment, whoever began it, and its observed state. */
import { deploymentLogTails, environmentOverviews } from '../../../domain/deploys/deployment/index.ts'
import {
  type EnvironmentTask,
  findEnvironmentHealth,
  findTask,
  listTaskDeployments,
  sliceTasks,
} from '../../../domain/deploys/environment-action/index.ts'
import { sliceDatabases } from '../../../domain/resources/database/index.ts'
import { errors } from '../../../platform/errors.ts'
import { queryRow, type Route, type View } from '../../core/index.ts'
import { defaultPageSize, pageOf } from '../field.ts'
import { healthBody, logBody, taskBody, taskSchemas } from '../task-bodies.ts'

const tag = 'Tasks'

async function taskBodies(tasks: readonly EnvironmentTask[], { app, ask }: View) {
  const deployments = await ask(listTaskDeployments, { taskIds: tasks.map(({ id }) => id) })
  const byTask = Map.groupBy(deployments, ({ taskId }) => taskId)
  return tasks.map((task) => taskBody(task, byTask.get(task.id) ?? [], app.clock.now()))
}

/** Maximum size of a log in a response. */
const logBytes = 256 * 1024

async function logOf(taskId: string | null, { ask }: View) {
  const deployments = taskId === null ? [] : await ask(listTaskDeployments, { taskIds: [taskId] })
  const bytes = Math.floor(logBytes / Math.max(1, deployments.length))
  const tails = await ask(deploymentLogTails, { ids: deployments.map(({ id }) => id), bytes })
  return logBody(
    taskId,
    deployments.map(({ id, serviceName }) => ({ service: serviceName, lines: tails.get(id) ?? [] })),
  )
}

export const taskRoutes: Route[] = [
  queryRow({
    id: 'getTask',
    method: 'GET',
    path: '/deployments/{task_id}',
    tag,
    summary: 'Retrieve a task',
    description: 'Poll this until the status is `completed`, `failed` or `cancelled`.',
    read: findTask,
    params: { task_id: 'id' },
    status: 200,
    schema: taskSchemas.task,
    reply: async (task, view) => (await taskBodies([task], view))[0]!,
  }),
  queryRow({
    id: 'getTaskLogs',
    method: 'GET',
    path: '/deployments/{task_id}/logs',
    tag,
    summary: 'Retrieve the log of a task',
    read: findTask,
    params: { task_id: 'id' },
    status: 200,
    schema: taskSchemas.log,
    reply: ({ id }, view) => logOf(id, view),
  }),
  queryRow({
    id: 'listTasks',
    method: 'GET',
    path: '/environments/{environment_id}/deployments',
    tag,
    summary: 'List tasks of an environment',
    description: 'Includes deployments that were requested through another API.',
    read: sliceTasks,
    params: { environment_id: 'environmentId' },
    page: { size: defaultPageSize },
    status: 200,
    schema: taskSchemas.taskList,
    reply: async (slice, view) => pageOf(slice, await taskBodies(slice.rows, view)),
  }),
  queryRow({
    id: 'getEnvironmentStatus',
    method: 'GET',
    path: '/environments/{environment_id}/status',
    tag,
    summary: 'Retrieve the status of an environment',
    read: findEnvironmentHealth,
    params: { environment_id: 'id' },
    status: 200,
    schema: taskSchemas.health,
    async reply(health, { ask }) {
      const { environmentId } = health
      const overview = (await ask(environmentOverviews, { ids: [environmentId] })).get(environmentId)
      if (!overview) throw errors.not_found()
      const databases = await ask(sliceDatabases, { environmentId })
      return healthBody(health, overview, databases.rows)
    },
  }),
  queryRow({
    id: 'getEnvironmentLogs',
    method: 'GET',
    path: '/environments/{environment_id}/logs',
    tag,
    summary: 'Retrieve the log of the newest deployment',
    read: findEnvironmentHealth,
    params: { environment_id: 'id' },
    status: 200,
    schema: taskSchemas.log,
    reply: ({ deployTaskId }, view) => logOf(deployTaskId, view),
  }),
]
