import type { Environment, WebService } from '../../../generated/prisma/client.ts'
import type { Permission } from '../../../platform/access.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { startOperation } from '../../access/operation/index.ts'
import { webServiceRestarted, webServiceStarted, webServiceStopped } from '../../apps/web-service/index.ts'
import { deploymentEvents } from '../deployment/index.ts'
import { unfinishedStatuses } from '../instance/index.ts'
import { deployAgain, deployable, deployNewest, stepsPerDeployment, withModules } from './deploying.ts'
import { environmentActionErrors } from './errors.ts'
import { type ActionInput, actionInput, type EnvironmentAction, operationName, type StoredInput } from './model.ts'
import { change, type RunAction, startable } from './running.ts'

/** What an action does to the services of an environment. */
type Plan = {
  permission: Permission
  steps: number
  /** The services that it concerns. Throws if there are none. */
  choose(work: Work, services: readonly WebService[]): WebService[] | Promise<WebService[]>
  /** Begins the part of a service. */
  begin(work: Work, service: WebService, operationId: string, input: ActionInput): Promise<unknown>
}

const deploying = (begin: Plan['begin'], choose: Plan['choose'] = ({ app }, services) => deployable(app, services)): Plan => ({
  permission: 'deploy:web_services',
  steps: stepsPerDeployment,
  choose,
  begin,
})

const running = (action: RunAction, choose: Plan['choose']): Plan => ({
  permission: 'manage:web_services',
  steps: 1,
  choose,
  begin: (work, service) => change(work, service, action),
})

const plans: Record<EnvironmentAction, Plan> = {
  DEPLOY: deploying(deployNewest),
  REDEPLOY: deploying(deployAgain),
  START: running('START', startable),
  STOP: running('STOP', (_work, services) => [...services]),
  RESTART: running('RESTART', startable),
  UPDATE_MODULES: deploying(deployNewest, (_work, services) => withModules(services)),
}

export const runEnvironmentAction = defineCommand({
  name: operationName,
  description:
    'Runs an action on all web services of an environment, as one operation. Returns immediately. Use `operationUpdated` to follow the operation, which is complete when all deployments are live, or all services are observed running or stopped. It fails if the part of one service fails. Fails with `task_in_progress` if another action or a deployment is in progress in the environment, and with `no_web_service` if the environment has no web service. Starting, stopping and restarting also require the permission `manage:web_services`.',
  permission: 'deploy:web_services',
  ids: { environmentId: 'Environment' },
  targetType: 'Environment',
  // The lock makes actions on one environment wait for each other.
  target: ({ tx, caller }, { environmentId }) =>
    row<Environment>(
      tx,
      sql`select e.* from environment e where e.id = ${environmentId}::uuid and ${visible(caller, sql`e`)} and e.deleting_at is null
          for no key update`,
    ),
  input: actionInput,
  emits: [deploymentEvents.queued, deploymentEvents.skipped, webServiceStarted, webServiceStopped, webServiceRestarted],
  async run(work, input, { id: environmentId, projectId }: Environment) {
    const { action } = input
    const plan = plans[action]
    demand(work.caller, plan.permission)
    const services = await rows<WebService>(
      work.tx,
      sql`select * from web_service where environment_id = ${environmentId}::uuid and desired_state <> 'DELETED' order by id for update`,
    )
    if (services.length === 0 && action !== 'UPDATE_MODULES') throw environmentActionErrors.no_web_service({ field: 'environmentId' })
    await demandIdle(work, environmentId)
    const chosen = await plan.choose(work, services)
    const stored: StoredInput = { action, services: chosen.map(({ id, name }) => ({ id, name })) }
    const totalSteps = chosen.length * plan.steps
    const operation = await startOperation(work, { type: operationName, projectId, subjectId: environmentId, input: stored, totalSteps })
    for (const service of chosen) await plan.begin(work, service, operation.id, input)
    return { operation }
  },
  audited: ({ action }, { operation }) => ({ action, operationId: encodeId('Operation', operation.id) }),
})

/** Throws `task_in_progress`, which names the unfinished operation of the environment or, if there is none, a deployment. */
async function demandIdle(work: Work, environmentId: string): Promise<void> {
  const found = await row<{ operationId: string | null; deploymentId: string | null }>(
    work.tx,
    sql`select o.id as operation_id, null::uuid as deployment_id from operation o
        where o.subject_id = ${environmentId}::uuid and o.type = ${operationName} and o.status in ('PENDING', 'QUEUED', 'RUNNING')
        union all
        select d.operation_id, d.id from deployment d join web_service s on s.id = d.web_service_id
        where s.environment_id = ${environmentId}::uuid and d.status in ${unfinishedStatuses.list}
        order by deployment_id nulls first limit 1`,
  )
  if (!found) return
  const { operationId, deploymentId } = found
  throw environmentActionErrors.task_in_progress({
    field: 'environmentId',
    details: {
      taskId: encodeId('Task', (operationId ?? deploymentId)!),
      ...(operationId ? { operationId: encodeId('Operation', operationId) } : { deploymentId: encodeId('Deployment', deploymentId!) }),
    },
  })
}
