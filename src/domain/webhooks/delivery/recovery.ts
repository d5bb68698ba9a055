/**
 * Recovery of failed messages and replay of missing ones. An operation keeps only a window of deliveries on the queue, so that new
 * messages find room however many it still has to send.
 */
import type { Operation, WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { row, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { DomainError } from '../../../platform/errors.ts'
import { nilId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import type { OperationStep, OperationType } from '../../access/operation/index.ts'
import { endpointErrors, matchesFilter, type PayloadFilter } from '../endpoint/index.ts'
import { isMeantFor } from './fan-out.ts'
import { deliveriesTopic } from './model.ts'

export type RecoveryInput = { endpointId: string; since: string; until: string }

type Progress = { after: string; armed: number; waitMs?: number }
type Candidate = { messageId: string; body: string | null }

/** Maximum number of deliveries of one operation that wait for their first attempt. Refilled when half of them are gone. */
const windowSize = 50
/** Delay until the next look at the queue. Doubled by each look that finds nothing to do, for example behind an open breaker. */
const lookAgainMs = 100
const longestWaitMs = 5_000

const inTime = ({ since, until }: RecoveryInput) =>
  sql`m.timestamp >= ${new Date(since)} and m.timestamp < ${new Date(until)} and m.body is not null and m.position is not null`

/** Attempted, and not delivered. */
const failed = (endpoint: WebhookEndpoint, input: RecoveryInput): Sql => sql`
  from webhook_delivery d join webhook_message m on m.id = d.message_id
  where d.endpoint_id = ${endpoint.id}::uuid and ${inTime(input)}
    and (d.status in ('EXHAUSTED', 'ABORTED') or (d.status = 'SKIPPED' and d.attempt_count > 0))`

/** Never attempted: skipped, or not meant for the endpoint then, because it did not exist or had other filters. */
const missing = (endpoint: WebhookEndpoint, input: RecoveryInput): Sql => sql`
  from webhook_endpoint e join webhook_message m on ${isMeantFor}
  left join webhook_delivery d on d.message_id = m.id and d.endpoint_id = e.id
  where e.id = ${endpoint.id}::uuid and ${inTime(input)}
    and (d.message_id is null or (d.status = 'SKIPPED' and d.attempt_count = 0))`

/** By the name of the command. */
export const recoveries = { recoverWebhookMessages: failed, replayMissingWebhookMessages: missing }
type RecoveryType = keyof typeof recoveries

/** Number of messages to send. Null with a payload filter, which is evaluated later. */
export async function countRecoverable(
  work: Work,
  type: RecoveryType,
  endpoint: WebhookEndpoint,
  input: RecoveryInput,
): Promise<number | null> {
  if (type === 'replayMissingWebhookMessages' && endpoint.filter !== null) return null
  const counted = await row<{ n: number }>(work.tx, sql`select count(*)::int as n ${recoveries[type](endpoint, input)}`)
  return counted?.n ?? 0
}

export const recoveryOperations: OperationType[] = (Object.keys(recoveries) as RecoveryType[]).map((type) => ({
  type,
  run: (work, operation) => recoverSome(work, operation, type),
  retryable: true,
}))

async function recoverSome(work: Work, operation: Operation, type: RecoveryType): Promise<OperationStep> {
  const input = operation.input as RecoveryInput
  const { after, armed, waitMs = lookAgainMs } = (operation.progress as Progress | null) ?? { after: nilId, armed: 0 }
  const endpoint = await row<WebhookEndpoint>(work.tx, sql`select * from webhook_endpoint where id = ${input.endpointId}::uuid`)
  if (!endpoint) throw new DomainError('not_found', 'not_found', 'The endpoint was deleted.')
  if (endpoint.disabledAt) throw endpointErrors.webhook_endpoint_disabled()

  const untried = await countUntried(work.tx, operation.id)
  const room = windowSize - untried
  const at = (step: Progress, left: number, next: OperationStep['next']): OperationStep => ({
    stepsCompleted: step.armed - left,
    totalSteps: next === 'done' ? step.armed : operation.totalSteps === null ? null : Math.max(operation.totalSteps, step.armed),
    progress: step,
    next,
  })
  const laterMs = Math.min(waitMs * 2, longestWaitMs)
  if (room < windowSize / 2) return at({ after, armed, waitMs: laterMs }, untried, laterMs)
  const found = await rows<Candidate>(
    work.tx,
    sql`select m.id as message_id, m.body ${recoveries[type](endpoint, input)} and m.id > ${after}::uuid order by m.id limit ${room}`,
  )
  const last = found.at(-1)
  if (!last) return at({ after, armed, waitMs: laterMs }, untried, untried === 0 ? 'done' : laterMs)
  const chosen = type === 'replayMissingWebhookMessages' ? found.filter(({ body }) => passesFilter(endpoint, body)) : found
  if (chosen.length > 0) await putBack(work, operation, endpoint, chosen)
  return at({ after: last.messageId, armed: armed + chosen.length }, untried + chosen.length, chosen.length === 0 ? 0 : lookAgainMs)
}

/** Deliveries of the operation that wait for their first attempt. */
async function countUntried(tx: Tx, operationId: string): Promise<number> {
  const counted = await row<{ n: number }>(
    tx,
    sql`select count(*)::int as n from webhook_delivery
        where operation_id = ${operationId}::uuid and status = 'PENDING' and attempt_count = schedule_base`,
  )
  return counted?.n ?? 0
}

const passesFilter = ({ filter }: WebhookEndpoint, body: string | null): boolean =>
  filter === null || (body !== null && matchesFilter(filter as PayloadFilter, (JSON.parse(body) as { data: unknown }).data))

/** Puts messages on the queue again. Each starts its retry schedule from the beginning. */
async function putBack(work: Work, operation: Operation, endpoint: WebhookEndpoint, chosen: readonly Candidate[]): Promise<void> {
  await run(
    work.tx,
    sql`insert into webhook_delivery as d (message_id, endpoint_id, organization_id, position, status, trigger, operation_id, next_attempt_at)
        select m.id, ${endpoint.id}::uuid, m.organization_id, m.position, 'PENDING', 'RECOVERY', ${operation.id}::uuid, app_now()
        from webhook_message m where m.id = any(${chosen.map(({ messageId }) => messageId)}::uuid[]) order by m.id
        on conflict (message_id, endpoint_id) do update
        set status = 'PENDING', reason = null, trigger = 'RECOVERY', operation_id = excluded.operation_id, next_attempt_at = app_now(),
            schedule_base = d.attempt_count, in_doubt = false`,
  )
  work.wake(deliveriesTopic)
}
