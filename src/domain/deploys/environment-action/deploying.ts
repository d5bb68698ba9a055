/** Actions that deploy: each service gets a deployment that is part of the operation. */
import type { DeploymentPhase, DeploymentStatus, WebService } from '../../../generated/prisma/client.ts'
import { rows, type Sql, sql } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'
import { hasSource, type NewDeployment, phases, queueDeployment, sameCommit } from '../deployment/index.ts'
import { environmentActionErrors } from './errors.ts'
import type { ActionInput, ConcernedService, ModuleUpdateRequest, Part } from './model.ts'

export const stepsPerDeployment = phases.length

/** Number of phases that a deployment `d` has completed, or passed because they were not required. Those that it never reached do not count. */
export const stepsCompleted: Sql = sql`(select count(*)::int from deployment_step p where p.deployment_id = d.id
    and (p.status = 'SUCCEEDED' or (p.status = 'SKIPPED' and p.started_at is not null)))`

/** The services that have something to deploy. */
export function deployable(app: App, services: readonly WebService[]): WebService[] {
  const found = services.filter((service) => hasSource(app, service))
  if (found.length === 0) throw environmentActionErrors.nothing_to_deploy({ field: 'environmentId' })
  return found
}

/** The services that have modules. */
export function withModules(services: readonly WebService[]): WebService[] {
  const found = services.filter(({ kind }) => kind === 'ODOO')
  if (found.length === 0) throw environmentActionErrors.no_odoo_service({ field: 'environmentId' })
  return found
}

export const deployNewest = (work: Work, service: WebService, operationId: string, input: ActionInput): Promise<unknown> => {
  const { branch, commit } = input
  const wanted = { kind: 'DEPLOY', branch: branch ?? service.branch, requestedCommit: commit ?? null } as const
  return queue(work, service, operationId, { ...wanted, ...requestTo(service, input) })
}

export const deployAgain = async (work: Work, service: WebService, operationId: string, input: ActionInput): Promise<unknown> =>
  queue(work, service, operationId, { ...(await sameCommit(work, service, 'NEWEST')), ...requestTo(service, input) })

function requestTo({ kind }: WebService, { mode, modules, updateModules }: ActionInput): { request?: ModuleUpdateRequest } {
  if (kind !== 'ODOO') return {}
  if (mode) return { request: { mode, modules: modules ?? [] } }
  return updateModules === true ? { request: { mode: 'UPDATE_ALL', modules: [] } } : {}
}

/** Nothing of the environment is in progress, so the policy of the service does not matter. */
const queue = (work: Work, service: WebService, operationId: string, wanted: NewDeployment) =>
  queueDeployment(work, service, service.queuePolicy, { ...wanted, operationId })

type Observed = { status: DeploymentStatus | null; phase: DeploymentPhase | null; failureMessage: string | null; steps: number }

const verbs: Record<DeploymentPhase, string> = {
  PREPARE: 'Preparing',
  BUILD: 'Building',
  RELEASE: 'Running the release command of',
  START: 'Starting',
  VERIFY: 'Checking the health of',
  SWITCH: 'Switching traffic to',
}

/** What an unfinished deployment is doing. Null for one that has ended. */
export function stepOf(status: DeploymentStatus, phase: DeploymentPhase | null, name: string): string | null {
  if (status === 'QUEUED') return `Waiting to deploy ${name}`
  if (status === 'CANCELLING') return `Cancelling the deployment of ${name}`
  return status === 'RUNNING' ? `${verbs[phase ?? 'PREPARE']} ${name}` : null
}

/** The deployments of an operation, in the order of the services. */
export async function observeDeployments(work: Work, operationId: string, services: readonly ConcernedService[]): Promise<Part[]> {
  const observed = await rows<Observed>(
    work.tx,
    sql`select d.status, d.phase, d.failure_message, ${stepsCompleted} as steps
        from unnest(${services.map(({ id }) => id)}::uuid[]) with ordinality as x(id, n)
          left join deployment d on d.operation_id = ${operationId}::uuid and d.web_service_id = x.id order by x.n`,
  )
  return observed.map((deployment, index) => partOf(deployment, services[index]!.name))
}

function partOf({ status, phase, failureMessage, steps }: Observed, name: string): Part {
  if (status === null) return { state: 'failed', stepsCompleted: 0, reason: 'The service was deleted.' }
  const doing = stepOf(status, phase, name)
  if (doing !== null) return { state: 'open', stepsCompleted: steps, doing }
  if (status === 'LIVE' || status === 'SUPERSEDED') return { state: 'done', stepsCompleted: stepsPerDeployment }
  if (status === 'FAILED') return { state: 'failed', stepsCompleted: steps, reason: failureMessage ?? 'The deployment failed.' }
  return { state: 'cancelled', stepsCompleted: 0 }
}
