/** Actions that change whether services run: each service gets a desired state, and is done when it is observed in it. */
import type { Operation, RuntimeStatus, WebService } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { restartWebService, startWebService, stopWebService } from '../../apps/web-service/index.ts'
import { environmentActionErrors } from './errors.ts'
import type { ConcernedService, Part } from './model.ts'

export type RunAction = 'START' | 'STOP' | 'RESTART'

const commands = { START: startWebService, STOP: stopWebService, RESTART: restartWebService }

/** Gives a locked service its desired state. */
export const change = (work: Work, service: WebService, action: RunAction): Promise<unknown> =>
  commands[action].run(work, {}, service, undefined)

/** The services that have a live release. */
export async function startable(work: Work, services: readonly WebService[]): Promise<WebService[]> {
  const live = await rows<{ id: string }>(
    work.tx,
    sql`select web_service_id as id from deployment where web_service_id = any(${services.map(({ id }) => id)}::uuid[]) and status = 'LIVE'`,
  )
  const found = services.filter(({ id }) => live.some((service) => service.id === id))
  if (found.length === 0) throw environmentActionErrors.nothing_to_start({ field: 'environmentId' })
  return found
}

type Observed = {
  desiredState: WebService['desiredState'] | null
  runtimeStatus: RuntimeStatus
  /** An instance from before the restart is not being replaced yet. */
  isRestarting: boolean
  /** An instance that was started for the action has crashed. */
  hasCrashed: boolean
  isLate: boolean
}

const goals: Record<RunAction, { desired: WebService['desiredState']; status: RuntimeStatus; verb: string }> = {
  START: { desired: 'RUNNING', status: 'RUNNING', verb: 'Starting' },
  STOP: { desired: 'STOPPED', status: 'STOPPED', verb: 'Stopping' },
  RESTART: { desired: 'RUNNING', status: 'RUNNING', verb: 'Restarting' },
}

export async function observeServices(
  work: Work,
  { id, createdAt }: Operation,
  action: RunAction,
  services: readonly ConcernedService[],
): Promise<Part[]> {
  const timeoutMs = work.app.settings.ACTION_TIMEOUT_MS
  const observed = await rows<Observed>(
    work.tx,
    sql`select s.desired_state, rt.status as runtime_status,
          exists (select 1 from instance i join deployment d on d.id = i.deployment_id
                  where i.web_service_id = s.id and d.status = 'LIVE' and i.generation < s.generation and i.draining_since is null) as is_restarting,
          exists (select 1 from instance i where i.web_service_id = s.id and i.created_at >= ${createdAt}::timestamptz and i.crashes > 0) as has_crashed,
          (select o.created_at < app_now() - ${timeoutMs} * interval '1 millisecond' from operation o where o.id = ${id}::uuid) as is_late
        from unnest(${services.map((service) => service.id)}::uuid[]) with ordinality as x(id, n)
          left join web_service s on s.id = x.id left join service_runtime rt on rt.web_service_id = s.id order by x.n`,
  )
  return observed.map((service, index) => partOf(service, action, services[index]!.name, timeoutMs))
}

function partOf(service: Observed, action: RunAction, name: string, timeoutMs: number): Part {
  const { desired, status, verb } = goals[action]
  const failed = (reason: string): Part => ({ state: 'failed', stepsCompleted: 0, reason })
  if (service.desiredState === null || service.desiredState === 'DELETED') return failed('The service was deleted.')
  if (service.desiredState !== desired) return failed(`Another request changed the desired state to ${service.desiredState}.`)
  if (service.runtimeStatus === status && !service.isRestarting) return { state: 'done', stepsCompleted: 1 }
  if (desired === 'RUNNING' && service.hasCrashed) return failed('An instance crashed. See the log of the service.')
  if (service.isLate) return failed(`The service was not observed as ${status} within ${timeoutMs / 1000} s.`)
  return { state: 'open', stepsCompleted: 0, doing: `${verb} ${name}` }
}
