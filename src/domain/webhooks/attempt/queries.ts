import { z } from 'zod'
import type { WebhookAttempt } from '../../../generated/prisma/client.ts'
import { defineQuery, type Read } from '../../../platform/command.ts'
import { join, row, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { parseTypeId } from '../../../platform/id.ts'
import { countQuery, defineListing, listQuery, type Reader } from '../../../platform/listing.ts'
import { demandEndpoint } from '../delivery/index.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'

export const errorClasses = ['DNS', 'REFUSED', 'TIMEOUT', 'TLS', 'RESET', 'HTTP', 'BLOCKED', 'UNKNOWN'] as const

export const webhookAttemptListing = defineListing({
  type: 'WebhookAttempt',
  noun: 'delivery attempt',
  permission: 'view:webhooks',
  order: 'newest_first',
  visible: (caller) =>
    join(
      [
        sql`t.organization_id = ${caller.organizationId}::uuid`,
        visibleByEndpoint(caller, sql`t.endpoint_id`),
        ...(caller.projectIds ? [ofMessage(sql`m.project_id = any(${caller.projectIds}::uuid[])`)] : []),
      ],
      ' and ',
    ),
  filter: {
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
  },
  ids: { endpointId: 'WebhookEndpoint', messageId: 'WebhookMessage' },
  parents: ['messageId', 'endpointId'],
  where: ({ eventType, errorClass, statusClass, since, until }) => [
    ...(eventType ? [ofMessage(sql`m.event_type = ${eventType}`)] : []),
    ...(errorClass ? [sql`t.error_class = ${errorClass}::webhook_error_class`] : []),
    ...(statusClass ? [sql`t.response_status / 100 = ${statusClass}`] : []),
    ...(since ? [sql`t.started_at >= ${since}`] : []),
    ...(until ? [sql`t.started_at < ${until}`] : []),
  ],
})

const ofMessage = (condition: Sql): Sql => sql`exists (select 1 from webhook_message m where m.id = t.message_id and ${condition})`

export const listWebhookAttempts = listQuery(webhookAttemptListing)
export const countWebhookAttempts = countQuery(webhookAttemptListing)

/** Determines where a subscription to attempts starts. */
export const beginWebhookAttempts = defineQuery({
  name: 'webhookAttemptsLive',
  description: 'Delivery attempts as they are recorded.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: z.object({ endpointId: z.string().nullish(), after: z.string().nullish() }),
  async run(read, { endpointId, after }) {
    if (endpointId) await demandEndpoint(read, endpointId)
    return { endpointId: endpointId ?? null, ordinal: after ? await ordinalOf(read, after) : await lastOrdinal(read.tx) }
  },
})

async function ordinalOf({ tx, caller }: Read, after: string): Promise<bigint> {
  const parsed = parseTypeId(after)
  const attempt =
    parsed?.type === 'WebhookAttempt'
      ? await webhookAttemptListing.findOne({ tx, caller, columns: ['ordinal'] }, sql`t.id = ${parsed.uuid}::uuid`)
      : null
  if (!attempt) throw errors.invalid_input({ field: 'after', text: 'after: must be the id of an attempt' })
  return attempt.ordinal
}

async function lastOrdinal(tx: Tx): Promise<bigint> {
  const last = await row<{ ordinal: bigint | null }>(tx, sql`select max(ordinal) as ordinal from webhook_attempt`)
  return last?.ordinal ?? 0n
}

/** Returns at most `limit` attempts after an ordinal, except for known ones, in the order in which they were recorded. */
export const attemptsAfter = (
  reader: Reader,
  endpointId: string | null,
  ordinal: bigint,
  known: readonly bigint[],
  limit: number,
): Promise<WebhookAttempt[]> =>
  webhookAttemptListing.read(
    reader,
    sql`t.ordinal > ${ordinal} and t.ordinal <> all(${known}::bigint[]) and ${webhookAttemptListing.scope(reader.caller, { endpointId })}
        order by t.ordinal limit ${limit}`,
  )
