/**
 * Tasks of an environment, for doors that have one noun for whatever happens to it: the operations of actions, and the deployments of its
 * services that are part of none.
 */
import { z } from 'zod'
import type { DeploymentKind, DeploymentPhase, DeploymentStatus, OperationStatus } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { empty, row, rows, type Sql, sql } from '../../../platform/db/index.ts'
import { type Slice, sliceInput, windowOf } from '../../../platform/page.ts'
import { environmentListing } from '../../apps/environment/index.ts'
import { stepOf, stepsCompleted, stepsPerDeployment } from './deploying.ts'
import { type EnvironmentAction, operationName } from './model.ts'

export type EnvironmentTask = {
  id: string
  environmentId: string
  type: EnvironmentAction | DeploymentKind
  status: OperationStatus
  stepsCompleted: number
  totalSteps: number | null
  currentStep: string | null
  error: string | null
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
  /** The operation of an action. Null for a deployment by itself. */
  operationId: string | null
}

type OperationTask = EnvironmentTask & { deploymentStatus: null }
type DeploymentTask = EnvironmentTask & { deploymentStatus: DeploymentStatus; phase: DeploymentPhase | null; serviceName: string }

/** The statuses of operations for those of deployments. */
const statuses: Record<DeploymentStatus, OperationStatus> = {
  QUEUED: 'QUEUED',
  RUNNING: 'RUNNING',
  CANCELLING: 'RUNNING',
  LIVE: 'COMPLETED',
  SUPERSEDED: 'COMPLETED',
  FAILED: 'FAILED',
  CANCELLED: 'CANCELLED',
  SKIPPED: 'CANCELLED',
}

/** Operations `o` of actions. The columns are those of `deploymentTasks`. */
const operationTasks = (where: Sql, rest = empty): Sql =>
  sql`select o.id, o.subject_id as environment_id, o.input->>'action' as type, o.status::text as status, o.steps_completed, o.total_steps,
        o.current_step, o.error, o.created_at, o.started_at, o.finished_at, o.id as operation_id,
        null::text as deployment_status, null::text as phase, null::text as service_name
      from operation o where o.type = ${operationName} and ${where} ${rest}`

/** Deployments `d` of services `s` that are part of no operation. */
const deploymentTasks = (where: Sql, rest = empty): Sql =>
  sql`select d.id, s.environment_id, d.kind::text, null::text,
        ${stepsCompleted}, ${stepsPerDeployment}::int, null::text, d.failure_message, d.created_at, d.started_at, d.finished_at, null::uuid,
        d.status::text, d.phase::text, s.name
      from web_service s join deployment d on d.web_service_id = s.id where d.operation_id is null and ${where} ${rest}`

function taskOf({ ...found }: OperationTask | DeploymentTask): EnvironmentTask {
  if (found.deploymentStatus === null) return found
  const { deploymentStatus, phase, serviceName, ...task } = found
  return { ...task, status: statuses[deploymentStatus], currentStep: stepOf(deploymentStatus, phase, serviceName) }
}

export const findTask = defineQuery({
  name: 'environmentTask',
  description: 'Operation of an action on an environment, or deployment that is part of none. Null if there is none with this ID.',
  permission: 'view:deployments',
  ids: { id: 'Task' },
  input: z.object({ id: z.string() }),
  async run({ tx, caller }, { id }): Promise<EnvironmentTask | null> {
    const found = await row<OperationTask | DeploymentTask>(
      tx,
      sql`${operationTasks(sql`o.id = ${id}::uuid and ${visible(caller, sql`o`)}`)}
          union all ${deploymentTasks(sql`d.id = ${id}::uuid and ${visible(caller, sql`s`)}`)}`,
    )
    return found && taskOf(found)
  },
})

export const sliceTasks = defineQuery({
  name: 'environmentTaskSlice',
  description: 'Tasks of an environment by offset, newest first, with their total number. Null if the environment does not exist.',
  permission: 'view:deployments',
  ids: { environmentId: 'Environment' },
  input: z.object({ environmentId: z.string(), ...sliceInput }),
  async run(read, { environmentId, ...slice }): Promise<Slice<EnvironmentTask> | null> {
    if (!(await environmentListing.findOne({ ...read, columns: ['id'] }, sql`t.id = ${environmentId}::uuid`))) return null
    const { limit, offset } = windowOf(slice)
    const ofEnvironment = [sql`o.subject_id = ${environmentId}::uuid`, sql`s.environment_id = ${environmentId}::uuid`] as const
    // Neither part needs more rows than the page and those before it.
    const newest = (id: Sql) => (limit === null ? empty : sql`order by ${id} desc limit ${limit + offset}::bigint`)
    const found = await rows<OperationTask | DeploymentTask>(
      read.tx,
      sql`(${operationTasks(ofEnvironment[0], newest(sql`o.id`))}) union all (${deploymentTasks(ofEnvironment[1], newest(sql`d.id`))})
          order by id desc limit ${limit}::bigint offset ${offset}::bigint`,
    )
    const counted = await row<{ n: number }>(
      read.tx,
      sql`select (select count(*) from operation o where o.type = ${operationName} and ${ofEnvironment[0]})::int
            + (select count(*) from web_service s join deployment d on d.web_service_id = s.id where d.operation_id is null and ${ofEnvironment[1]})::int as n`,
    )
    return { rows: found.map(taskOf), total: counted!.n, limit, offset }
  },
})

export type TaskDeployment = {
  taskId: string
  id: string
  webServiceId: string
  serviceName: string
  status: DeploymentStatus
  branch: string | null
  commitHash: string | null
  failureMessage: string | null
}

export const listTaskDeployments = defineQuery({
  name: 'environmentTaskDeployments',
  description: 'Deployments of several tasks, in the order of the services.',
  permission: 'view:deployments',
  ids: { 'taskIds.*': 'Task' },
  input: z.object({ taskIds: z.array(z.string()) }),
  run: ({ tx, caller }, { taskIds }): Promise<TaskDeployment[]> =>
    rows<TaskDeployment>(
      tx,
      sql`select coalesce(d.operation_id, d.id) as task_id, d.id, d.web_service_id, s.name as service_name, d.status, d.branch, d.commit_hash, d.failure_message
          from deployment d join web_service s on s.id = d.web_service_id
          where (d.operation_id = any(${taskIds}::uuid[]) or (d.operation_id is null and d.id = any(${taskIds}::uuid[])))
            and ${visible(caller, sql`s`)} order by s.id`,
    ),
})

export type EnvironmentHealth = {
  environmentId: string
  /** Whether at least one service should answer over HTTP, and all that should were observed to. */
  answers: boolean
  /** When a deployment went live last. */
  lastLiveAt: Date | null
  /** The newest task that deployed, or tried to. */
  deployTaskId: string | null
}

export const findEnvironmentHealth = defineQuery({
  name: 'environmentHealth',
  description: 'Whether the services of an environment answer, and when it was deployed last. Null if the environment does not exist.',
  permission: 'view:environments',
  ids: { id: 'Environment' },
  input: z.object({ id: z.string() }),
  run: ({ tx, caller }, { id }): Promise<EnvironmentHealth | null> =>
    row<EnvironmentHealth>(
      tx,
      sql`select e.id as environment_id, coalesce(f.answers, false) as answers, f.last_live_at,
            (select coalesce(d.operation_id, d.id) from deployment d join web_service s on s.id = d.web_service_id
             where s.environment_id = e.id order by d.id desc limit 1) as deploy_task_id
          from environment e cross join lateral (
            select bool_and(rt.status = 'RUNNING') filter (where s.kind <> 'WORKER' and s.desired_state = 'RUNNING' and live.id is not null) as answers,
              max((select max(d.live_at) from deployment d where d.web_service_id = s.id)) as last_live_at
            from web_service s join service_runtime rt on rt.web_service_id = s.id
              left join deployment live on live.web_service_id = s.id and live.status = 'LIVE'
            where s.environment_id = e.id and s.desired_state <> 'DELETED') f
          where e.id = ${id}::uuid and ${visible(caller, sql`e`)}`,
    ),
})
