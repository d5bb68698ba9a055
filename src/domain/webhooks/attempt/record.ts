/** Rows of attempts. */
import type { WebhookAttempt } from '../../../generated/prisma/client.ts'
import { defer, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { LoadedDelivery } from './load.ts'

/** Wakes the subscriptions to attempts. */
export const attemptsTopic = 'webhook attempts'

/** What an attempt found out. Everything else of its row is the delivery's. */
type Finding = Pick<WebhookAttempt, 'url' | 'durationMs' | 'errorClass'> & {
  requestHeaders: Record<string, string> | null
  responseStatus?: number
  responseHeaders?: Record<string, string>
  responseBody?: string | null
}

type Context = Pick<
  WebhookAttempt,
  'id' | 'organizationId' | 'messageId' | 'endpointId' | 'number' | 'trigger' | 'dueAt' | 'startedAt' | 'worker'
>

export type AttemptRow = Context & Finding

/** The attempt that a claim of a delivery has made. */
export const attemptOf = (delivery: LoadedDelivery, finding: Finding): AttemptRow => ({
  id: newId(),
  organizationId: delivery.organizationId,
  messageId: delivery.messageId,
  endpointId: delivery.endpointId,
  number: delivery.attemptCount + 1,
  trigger: delivery.trigger,
  dueAt: delivery.nextAttemptAt,
  startedAt: delivery.message.now,
  worker: delivery.leaseOwner,
  ...finding,
})

/**
 * Inserts attempts, together with the next statement. The response body is left out if the message has been expunged meanwhile. One JSON
 * text holds all rows: with a parameter for each column of each row, encoding took longer than the database.
 */
export const insertAttempts = (tx: Tx, attempts: readonly (AttemptRow & { nextAttemptAt: Date | null })[]): void =>
  defer(
    tx,
    sql`insert into webhook_attempt (id, organization_id, message_id, endpoint_id, number, trigger, url, due_at, started_at, duration_ms,
                                     request_headers, response_status, error_class, response_headers, response_body, worker, next_attempt_at)
        select a."id", a."organizationId", a."messageId", a."endpointId", a."number", a."trigger"::webhook_attempt_trigger, a."url", a."dueAt",
               a."startedAt", a."durationMs", nullif(a."requestHeaders"::text, 'null')::json, a."responseStatus", a."errorClass"::webhook_error_class,
               nullif(a."responseHeaders"::text, 'null')::json,
               case when a."responseBody" = '' or exists (select 1 from webhook_message m where m.id = a."messageId" and m.body is not null)
                    then a."responseBody" end,
               a."worker", a."nextAttemptAt"
        from json_to_recordset(${JSON.stringify(attempts)}::json) as a(
          "id" uuid, "organizationId" uuid, "messageId" uuid, "endpointId" uuid, "number" int, "trigger" text, "url" text,
          "dueAt" timestamptz, "startedAt" timestamptz, "durationMs" int, "requestHeaders" json, "responseStatus" int, "errorClass" text,
          "responseHeaders" json, "responseBody" text, "worker" text, "nextAttemptAt" timestamptz)`,
  )
