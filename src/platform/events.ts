/**
 * Event types, reactions to them, and publishing: `publish` writes a row and runs the reactions in the transaction of the change. Positions,
 * deliveries and subscriptions follow after the commit and read the rows.
 */

import { Counter } from 'prom-client'
import { validate } from 'uuid'
import { z } from 'zod'
import { defer, row, run, type Sql, sql, type Tx } from './db/index.ts'
import { lock } from './db/lock.ts'
import { DomainError, defineErrors, errors } from './errors.ts'
import { encodeId, type IdType, newId } from './id.ts'
import { demandQuota } from './quota.ts'
import type { Work } from './work.ts'

export type EventDefinition<Data = unknown> = {
  type: string
  /** Incremented when a field is removed or narrowed; the previous version is then declared in `former`. */
  version: number
  description: string
  subject: IdType
  schema: z.ZodType<Data>
  sample: Data
  /** Earlier versions that are still sent to endpoints pinned to them, newest first. */
  former?: readonly FormerVersion[]
  /** Date since which the type is deprecated, in ISO format. It is still sent. */
  deprecatedAt?: string
}

export type FormerVersion = {
  version: number
  schema: z.ZodType
  sample: unknown
  /** Converts the data of the next newer version to this version. Pure. */
  from(newer: never): unknown
}

export type Published<Data> = {
  subjectId: string
  projectId: string | null
  data: Data
  /** The event's id, a UUID, if the publisher must be able to publish the same event again without an effect. */
  id?: string
  channels?: string[]
}

/** The event types of all concepts. */
export type EventTypes = {
  /** Sorted by type. */
  all: readonly EventDefinition[]
  get(type: string): EventDefinition | undefined
}

/** A later concept's part in the change of an earlier one. Created by `onEvent` or `onEvents`, and listed by its concept. */
export type Reaction = {
  to: readonly EventDefinition[]
  /** The event types that the reaction publishes itself. */
  emits: readonly EventDefinition[]
  /** Receives all events of one `publish` or `publishAll` together. What it returns is added to the command's result. */
  run(work: Work, events: readonly Published<never>[]): Promise<Record<string, unknown> | void>
}

/** Declares an event type. Its data is validated when an event is published, and its schema is printed in the catalogue. */
export const defineEvent = <Data>(definition: EventDefinition<Data>): EventDefinition<Data> => definition

/** One event type or several. A reaction to several types can only use the subject. */
// biome-ignore lint/suspicious/noExplicitAny: types with different data
type ReactsTo<Data> = EventDefinition<Data> | readonly EventDefinition<any>[]

/** Reacts to each event separately. */
export const onEvent = <Data>(
  to: ReactsTo<Data>,
  react: (work: Work, event: Published<Data>) => Promise<Record<string, unknown> | void>,
  options: { emits?: readonly EventDefinition[] } = {},
): Reaction =>
  onEvents<Data>(
    to,
    async (work, events) => {
      const added = {}
      for (const event of events) Object.assign(added, await react(work, event))
      return added
    },
    options,
  )

/** Reacts to all events of one change together. */
export const onEvents = <Data>(
  to: ReactsTo<Data>,
  react: (work: Work, events: readonly Published<Data>[]) => Promise<Record<string, unknown> | void>,
  { emits = [] }: { emits?: readonly EventDefinition[] } = {},
): Reaction => ({ to: Array.isArray(to) ? to : [to as EventDefinition<Data>], emits, run: react })

/** Maximum size of an event's data. The payload adds about 500 bytes and must stay below 256 KiB. */
export const maxEventBytes = 255 * 1024
const maxChannels = 10

/** Events of this process that didn't match their schema and were sent anyway. */
export const flaggedEvents = new Counter({
  name: 'quayside_events_flagged_total',
  help: 'Number of events that did not match the schema of their type and were sent anyway (EVENT_SCHEMA=lenient), by type.',
  labelNames: ['type'],
  registers: [],
})

/**
 * Writes the event and runs its reactions within `work.tx`. Throws, so that the change is rolled back, if the data doesn't match the type's
 * schema (with EVENT_SCHEMA=lenient it is flagged instead), exceeds the size limit (`payload_too_large`) or the organization's quota
 * (`rate_limited`). An id that was published before with the same content is the same event: nothing is written, and no reaction runs. With
 * other content it fails with `event_id_conflict`. The events of a subject are numbered without gaps, because the row lock of its counter is
 * held until the commit.
 */
export async function publish<Data>(
  work: Work,
  event: EventDefinition<Data>,
  published: Published<Data>,
): Promise<Record<string, unknown>> {
  const stored = storedOf(work, event, published)
  if (published.id !== undefined && (await isRepeated(work, event, published.id, published, stored.data))) return {}
  return write(work, event, [published], [stored])
}

/** Publishes one event for each of several subjects, in order, with one statement. Throws as `publish` does; ids are not checked for repetition. */
export async function publishAll<Data>(
  work: Work,
  event: EventDefinition<Data>,
  published: readonly Published<Data>[],
): Promise<Record<string, unknown>> {
  if (published.length === 0) return {}
  return write(
    work,
    event,
    published,
    published.map((one) => storedOf(work, event, one)),
  )
}

type Stored = { id: string; subjectId: string; projectId: string | null; data: string; channels: readonly string[] }

async function write<Data>(
  work: Work,
  event: EventDefinition<Data>,
  published: readonly Published<Data>[],
  rows: readonly Stored[],
): Promise<Record<string, unknown>> {
  demandEmits(work, event)
  await demandQuota(work, rows.length)
  defer(work.tx, rows.length === 1 ? insertOne(work, event, rows[0]!) : insertMany(work, event, rows))
  work.wake('outbox')
  const added: Record<string, unknown> = {}
  for (const reaction of work.app.domain.reactions.get(event.type) ?? []) {
    // Published under the event's own type, which the reaction named.
    Object.assign(added, await reaction.run({ ...work, emits: reaction.emits }, published as Published<never>[]))
  }
  return added
}

const eventColumns = sql`id, organization_id, project_id, type, schema_version, subject_type, subject_id, sequence, data, channels, request_id`

/** PostgreSQL plans a statement with arrays anew each time, so this takes a third of the time of `insertMany`. */
const insertOne = (
  { caller, requestId }: Work,
  { type, version, subject }: EventDefinition,
  { id, subjectId, projectId, data, channels }: Stored,
): Sql =>
  sql`with counter as (
        insert into event_subject as s (subject_id, sequence) values (${subjectId}::uuid, 1)
        on conflict (subject_id) do update set sequence = s.sequence + 1 returning sequence)
      insert into event (${eventColumns})
      select ${id}::uuid, ${caller.organizationId}::uuid, ${projectId}::uuid, ${type}, ${version}, ${subject}, ${subjectId}::uuid, sequence,
             ${data}::json, ${channels}::text[], ${requestId} from counter`

const insertMany = ({ caller, requestId }: Work, { type, version, subject }: EventDefinition, rows: readonly Stored[]): Sql =>
  sql`with given as (
        select * from unnest(${rows.map(({ id }) => id)}::uuid[], ${rows.map(({ subjectId }) => subjectId)}::uuid[],
          ${rows.map(({ projectId }) => projectId)}::uuid[], ${rows.map(({ data }) => data)}::text[],
          ${rows.map(({ channels }) => JSON.stringify(channels))}::text[]) with ordinality as g(id, subject_id, project_id, data, channels, n)),
      counter as (
        insert into event_subject as s (subject_id, sequence) select subject_id, 1 from given order by subject_id
        on conflict (subject_id) do update set sequence = s.sequence + 1 returning subject_id, sequence)
      insert into event (${eventColumns})
      select g.id, ${caller.organizationId}::uuid, g.project_id, ${type}, ${version}, ${subject}, g.subject_id, c.sequence, g.data::json,
             array(select json_array_elements_text(g.channels::json)), ${requestId}
      from given g join counter c using (subject_id) order by g.n`

/** Work may only publish declared types: otherwise the catalogue, the OpenAPI documents and the permissions of subscribers would be wrong. */
function demandEmits({ app, emits }: Work, event: EventDefinition): void {
  const text =
    app.domain.eventTypes.get(event.type) !== event
      ? 'is not declared by any concept'
      : !emits.includes(event)
        ? 'is not declared by the work that publishes it'
        : null
  if (text === null) return
  if (!app.settings.production) throw new Error(`event type ${event.type} ${text}`)
  app.log.error({ type: event.type }, `an event was published although its type ${text}`)
}

/** The row of an event, with the data as parsed by its schema. */
function storedOf<Data>(work: Work, event: EventDefinition<Data>, published: Published<Data>): Stored {
  const { id = newId(), subjectId, projectId, channels = [] } = published
  const data = JSON.stringify(checkedData(work, event, id, published.data))
  if (Buffer.byteLength(data) > maxEventBytes) {
    throw new DomainError('payload_too_large', 'invalid', `An event of type ${event.type} must not exceed ${maxEventBytes} bytes.`)
  }
  checkChannels(channels)
  return { id, subjectId, projectId, data, channels }
}

/** The data as parsed by the schema. If it doesn't match, those of its top-level fields that the schema names, unchanged. */
function checkedData<Data>({ app }: Work, { type, schema }: EventDefinition<Data>, id: string, data: Data): unknown {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  if (app.settings.EVENT_SCHEMA === 'strict') throw parsed.error
  const issues = parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }))
  app.log.error({ event: encodeId('WebhookMessage', id), type, issues }, 'an event does not match its schema and is sent anyway')
  flaggedEvents.inc({ type })
  const named = schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
  return Object.fromEntries(Object.entries(data ?? {}).filter(([name]) => named.includes(name)))
}

export const eventErrors = defineErrors({
  event_id_conflict: { kind: 'conflict', text: 'This event id was already used with different content.' },
})

/** Whether a channel name is valid: 1 to 100 characters of `A-Z a-z 0-9 _ . : -`. */
export const isChannel = (text: string): boolean => /^[\w.:-]{1,100}$/.test(text)

function checkChannels(channels: readonly string[]): void {
  if (channels.length > maxChannels)
    throw errors.invalid_input({ field: 'channels', text: `channels: must have at most ${maxChannels} items` })
  const wrong = channels.find((channel) => !isChannel(channel))
  if (wrong !== undefined)
    throw errors.invalid_input({ field: 'channels', text: 'channels: must contain only letters, digits and _ . : -' })
}

/** Only a UUID is accepted, because the id becomes a header and part of the signed content, which is separated by dots. */
async function isRepeated<Data>(
  work: Work,
  event: EventDefinition<Data>,
  id: string,
  { subjectId, projectId, channels = [] }: Published<Data>,
  data: string,
): Promise<boolean> {
  if (!validate(id)) throw errors.invalid_input({ field: 'id', text: 'id: must be a UUID' })
  // Of two concurrent publishers of one id, the second waits for the first one's commit and then sees its row.
  await lock(work.tx, `event:${id}`)
  const known = await row<{ same: boolean }>(
    work.tx,
    sql`select (organization_id = ${work.caller.organizationId}::uuid and type = ${event.type} and subject_id = ${subjectId}::uuid
                and project_id is not distinct from ${projectId}::uuid and data::text = ${data} and channels = ${channels}::text[]) as same
        from event where id = ${id}::uuid`,
  )
  if (known && !known.same) throw eventErrors.event_id_conflict({ field: 'id' })
  return known !== null
}

/** Removes the data of events, by age or on demand. The events themselves remain. */
export const forgetEventData = (tx: Tx, eventIds: readonly string[]): Promise<number> =>
  run(tx, sql`update event set data = '{}' where id = any(${eventIds}::uuid[])`)
