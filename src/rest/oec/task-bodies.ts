/** Schemas of the bodies about actions and tasks, and how rows become bodies. */
import { z } from 'zod'
import { progressPercent } from '../../domain/access/operation/index.ts'
import type { EnvironmentOverview } from '../../domain/deploys/deployment/index.ts'
import type { EnvironmentHealth, EnvironmentTask, TaskDeployment } from '../../domain/deploys/environment-action/index.ts'
import type { LogLine } from '../../domain/deploys/log/index.ts'
import { encodeId } from '../../platform/id.ts'
import type { Named } from '../core/index.ts'
import { idOf, idOrNull, listOf, prefix, time, timeOf, timeOrNull, words } from './field.ts'
import { deploymentStatuses, environmentStatuses, environmentWordOf, taskStatuses, taskTypes } from './vocabulary.ts'

const action = z
  .object({
    task_id: idOf('task'),
    status: z.enum(['queued']),
    environment_id: idOf('env'),
    poll_url: z.string().describe('Path at which the task is retrieved.'),
  })
  .describe('An action that has begun.')

const deployment = z
  .object({
    id: idOf('dep').describe('ID of the deployment in GraphQL.'),
    service_id: idOf('svc'),
    service: z.string().describe('Name of the service.'),
    status: words(deploymentStatuses),
    branch: z.string().nullable(),
    commit: z.string().nullable().describe('Hash of the commit. Null until it is known.'),
    error_message: z.string().nullable(),
  })
  .describe('The part of a task that deploys one service.')

const task = z
  .object({
    id: idOf('task'),
    type: words(taskTypes),
    status: words(taskStatuses),
    environment_id: idOf('env'),
    progress_percent: z.int().min(0).max(100),
    current_step: z.string().nullable().describe('What the task is doing. Null if it has not started or has ended.'),
    steps_completed: z.int().min(0),
    total_steps: z.int().min(0).nullable(),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable().describe('Time when the task ended, however it did.'),
    duration_seconds: z.int().min(0).nullable().describe('Time since the task started, or from its start to its end. Null before.'),
    error_message: z.string().nullable().describe('Reason for the failure. Null unless the task failed.'),
    operation_id: idOf('op')
      .nullable()
      .describe('ID of the operation in GraphQL. Null for a deployment that no action on the environment began.'),
    deployments: z.array(deployment),
  })
  .describe('An action on an environment, or a deployment of one of its services.')

const health = z
  .object({
    status: z.enum(environmentStatuses),
    url: z.string().nullable().describe('URL of the oldest web service. Null without one.'),
    container_running: z.boolean().describe('Whether at least one service is running.'),
    db_ready: z.boolean().describe('Whether all databases that should run are running.'),
    http_ok: z.boolean().describe('Whether a service that answers over HTTP should run, and all of those pass their health checks.'),
    last_deploy: time.nullable().describe('Time when a deployment last went live.'),
  })
  .describe('Observed state of an environment.')

const log = z
  .object({
    task_id: idOf('task').nullable().describe('Task that the log belongs to. Null if nothing was deployed yet.'),
    log: z
      .string()
      .describe(
        'Log lines as `<ISO 8601 timestamp> <message>`, each followed by a line feed. If the task deploys several services, `[<service>]` precedes the message.',
      ),
    lines: z.int().min(0).describe('Number of lines in `log`.'),
    truncated: z.boolean().describe('Whether earlier lines are left out.'),
  })
  .describe('Last part of the log of a task.')

export const taskSchemas = {
  action,
  task,
  taskList: listOf(task).describe('A page of tasks, newest first.'),
  health,
  log,
}

export const taskBodies: Named[] = [
  { id: 'Action', schema: action },
  { id: 'Task', schema: task },
  { id: 'TaskList', schema: taskSchemas.taskList },
  { id: 'EnvironmentHealth', schema: health },
  { id: 'TaskLog', schema: log },
]

export const actionBody = (operation: { id: string; subjectId: string | null }): z.output<typeof action> => {
  const id = encodeId('Task', operation.id)
  return {
    task_id: id,
    status: 'queued',
    environment_id: encodeId('Environment', operation.subjectId!),
    poll_url: `${prefix}/deployments/${id}`,
  }
}

const deploymentBody = (row: TaskDeployment): z.output<typeof deployment> => ({
  id: encodeId('Deployment', row.id),
  service_id: encodeId('WebService', row.webServiceId),
  service: row.serviceName,
  status: deploymentStatuses[row.status],
  branch: row.branch,
  commit: row.commitHash,
  error_message: row.failureMessage,
})

export const taskBody = (row: EnvironmentTask, deployments: readonly TaskDeployment[], now: Date): z.output<typeof task> => ({
  id: encodeId('Task', row.id),
  type: taskTypes[row.type],
  status: taskStatuses[row.status],
  environment_id: encodeId('Environment', row.environmentId),
  progress_percent: progressPercent(row) ?? 0,
  current_step: row.currentStep,
  steps_completed: row.stepsCompleted,
  total_steps: row.totalSteps,
  created_at: timeOf(row.createdAt),
  started_at: timeOrNull(row.startedAt),
  completed_at: timeOrNull(row.finishedAt),
  duration_seconds: row.startedAt && Math.max(0, Math.round(((row.finishedAt ?? now).getTime() - row.startedAt.getTime()) / 1000)),
  error_message: row.error,
  operation_id: idOrNull('Operation', row.operationId),
  deployments: deployments.map(deploymentBody),
})

export const healthBody = (
  { answers, lastLiveAt }: EnvironmentHealth,
  seen: EnvironmentOverview,
  databases: readonly { desiredState: string; status: string }[],
): z.output<typeof health> => ({
  status: environmentWordOf(seen),
  url: seen.url,
  container_running: seen.isRunning,
  db_ready: databases.every(({ desiredState, status }) => desiredState !== 'RUNNING' || status === 'RUNNING'),
  http_ok: answers,
  last_deploy: timeOrNull(lastLiveAt),
})

/** `logs`: the last lines of the deployments of a task, by the name of the service. */
export function logBody(taskId: string | null, logs: readonly { service: string; lines: readonly LogLine[] }[]): z.output<typeof log> {
  const isOne = logs.length === 1
  const lines = logs.flatMap(({ service, lines }) =>
    lines.map(({ at, message }) => `${at.toISOString()} ${isOne ? '' : `[${service}] `}${message}\n`),
  )
  return {
    task_id: idOrNull('Task', taskId),
    log: lines.join(''),
    lines: lines.length,
    truncated: logs.some(({ lines }) => (lines[0]?.seq ?? 1) > 1),
  }
}
