import { z } from 'zod'
import type { WebhookAttempt } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery } from '../../../platform/command.ts'
import { join, row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { parseTypeId } from '../../../platform/id.ts'
import { countOf, type Listing, pageOf, pageSchema } from '../../../platform/page.ts'
import { demandEndpoint } from '../delivery/index.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'

/** With the request that brought the event about. */
export type Attempt = WebhookAttempt & { requestId?: string | null }

/** Attempts below messages that the caller may see. */
export const attemptListing = (caller: Caller, endpointId: string | null): Listing => ({
  type: 'WebhookAttempt',
  select: sql`t.* from webhook_attempt t`,
  where: sql`${visibleByEndpoint(caller, sql`t.endpoint_id`)} and ${endpointId === null ? sql`true` : sql`t.endpoint_id = ${endpointId}::uuid`}`,
  order: 'newest_first',
})

export const errorClasses = ['DNS', 'REFUSED', 'TIMEOUT', 'TLS', 'RESET', 'HTTP', 'BLOCKED', 'UNKNOWN'] as const

const filterInput = {
  endpointId: z.string().nullish(),
  messageId: z.string().nullish(),
  eventType: z.string().nullish(),
  errorClass: z.enum(errorClasses).nullish(),
  statusClass: z
    .number()
    .int()
    .min(1, { error: 'must be from 1 to 5, such as 4 for 400 to 499' })
    .max(5, { error: 'must be from 1 to 5' })
    .nullish(),
  since: z.date().nullish(),
  until: z.date().nullish(),
}
const filterSchema = z.object(filterInput)
type Filter = z.infer<typeof filterSchema>

const ids = { endpointId: 'WebhookEndpoint', messageId: 'WebhookMessage' } as const

function listing(caller: Caller, filter: Filter): Listing {
  const ofMessage = [
    ...(caller.projectId ? [sql`m.project_id = ${caller.projectId}::uuid`] : []),
    ...(filter.eventType ? [sql`m.event_type = ${filter.eventType}`] : []),
  ]
  const conditions = [
    sql`t.organization_id = ${caller.organizationId}::uuid`,
    visibleByEndpoint(caller, sql`t.endpoint_id`),
    ...(ofMessage.length > 0
      ? [sql`exists (select 1 from webhook_message m where m.id = t.message_id and ${join(ofMessage, ' and ')})`]
      : []),
    ...(filter.endpointId ? [sql`t.endpoint_id = ${filter.endpointId}::uuid`] : []),
    ...(filter.messageId ? [sql`t.message_id = ${filter.messageId}::uuid`] : []),
    ...(filter.errorClass ? [sql`t.error_class = ${filter.errorClass}::webhook_error_class`] : []),
    ...(filter.statusClass ? [sql`t.response_status / 100 = ${filter.statusClass}`] : []),
    ...(filter.since ? [sql`t.started_at >= ${filter.since}`] : []),
    ...(filter.until ? [sql`t.started_at < ${filter.until}`] : []),
  ]
  return { type: 'WebhookAttempt', select: sql`t.* from webhook_attempt t`, where: join(conditions, ' and '), order: 'newest_first' }
}

export const listWebhookAttempts = defineQuery({
  name: 'webhookAttempts',
  description: 'Delivery attempts visible to the caller, newest first.',
  permission: 'view:webhooks',
  ids,
  input: z.object(filterInput).and(pageSchema),
  run: (read, input) => pageOf<Attempt>(read.tx, listing(read.caller, input), input),
})

export const countWebhookAttempts = defineQuery({
  name: 'webhookAttemptCount',
  description: 'Number of delivery attempts visible to the caller.',
  permission: 'view:webhooks',
  ids,
  input: filterSchema,
  run: (read, filter) => countOf(read.tx, listing(read.caller, filter)),
})

/** Where a live view of attempts begins. */
export const beginWebhookAttempts = defineQuery({
  name: 'webhookAttemptsLive',
  description: 'Delivery attempts as they are recorded.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: z.object({ endpointId: z.string().nullish(), after: z.string().nullish() }),
  async run(read, { endpointId, after }) {
    if (endpointId) await demandEndpoint(read, endpointId)
    return { endpointId: endpointId ?? null, ordinal: after ? await ordinalOf(read.tx, read.caller, after) : await lastOrdinal(read.tx) }
  },
})

async function ordinalOf(tx: Tx, caller: Caller, after: string): Promise<bigint> {
  const parsed = parseTypeId(after)
  const attempt =
    parsed?.type === 'WebhookAttempt'
      ? await row<{ ordinal: bigint }>(
          tx,
          sql`select t.ordinal from webhook_attempt t where t.id = ${parsed.uuid}::uuid and ${listing(caller, {}).where}`,
        )
      : null
  if (!attempt) throw errors.invalid_input({ field: 'after', text: 'after: must be the id of an attempt' })
  return attempt.ordinal
}

async function lastOrdinal(tx: Tx): Promise<bigint> {
  const last = await row<{ ordinal: bigint | null }>(tx, sql`select max(ordinal) as ordinal from webhook_attempt`)
  return last?.ordinal ?? 0n
}

/** Attempts behind an ordinal but for known ones, at most so many, in the order in which they were recorded. */
export const attemptsAfter = (
  tx: Tx,
  caller: Caller,
  endpointId: string | null,
  ordinal: bigint,
  known: readonly bigint[],
  limit: number,
): Promise<Attempt[]> => {
  const { where } = listing(caller, { endpointId })
  return rows<Attempt>(
    tx,
    sql`select t.* from webhook_attempt t where t.ordinal > ${ordinal} and t.ordinal <> all(${known}::bigint[]) and ${where} order by t.ordinal limit ${limit}`,
  )
}
