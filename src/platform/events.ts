/**
 * Event types, reactions to them, and the one way to publish: a row in the transaction of the change, and the reactions in that same
 * transaction. Positions, deliveries and subscriptions come after the commit and read the rows.
 */

import { Counter } from 'prom-client'
import { validate } from 'uuid'
import { z } from 'zod'
import { row, run, sql, type Tx } from './db/index.ts'
import { lock } from './db/lock.ts'
import { DomainError, defineErrors, errors } from './errors.ts'
import { encodeId, type IdType, newId } from './id.ts'
import { demandQuota } from './quota.ts'
import type { Work } from './work.ts'

export type EventDefinition<Data = unknown> = {
  type: string
  /** Raised when a field is removed or narrowed; the version before is then declared in `former`. */
  version: number
  description: string
  subject: IdType
  schema: z.ZodType<Data>
  sample: Data
  /** Versions that are still sent to those who are pinned to them, newest first. */
  former?: readonly FormerVersion[]
  /** Since when the type is on its way out, as an ISO date; it is sent all the same. */
  deprecatedAt?: string
}

export type FormerVersion = {
  version: number
  schema: z.ZodType
  sample: unknown
  /** Makes this version's data of the next newer version's. Pure. */
  from(newer: never): unknown
}

export type Published<Data> = {
  subjectId: string
  projectId: string | null
  data: Data
  /** The event's own id where the publisher must be able to say it twice; a UUID. */
  id?: string
  channels?: string[]
}

/** The event types of all concepts. */
export type EventTypes = {
  /** Sorted by type. */
  all: readonly EventDefinition[]
  get(type: string): EventDefinition | undefined
}

/** A later concept's part in an earlier one's change, made by `onEvent` or `onEvents` and listed by its concept. */
export type Reaction = {
  to: readonly EventDefinition[]
  /** The event types that it publishes itself. */
  emits: readonly EventDefinition[]
  /** Receives all events of one `publish` or `publishAll` together. What it returns is added to the command's result. */
  run(work: Work, events: readonly Published<never>[]): Promise<Record<string, unknown> | void>
}

/** Declares an event type: checked at publish, printed into the catalogue. */
export const defineEvent = <Data>(definition: EventDefinition<Data>): EventDefinition<Data> => definition

/** One event type, or several; of several a reaction reads the subject. */
// biome-ignore lint/suspicious/noExplicitAny: types with different data
type ReactsTo<Data> = EventDefinition<Data> | readonly EventDefinition<any>[]

/** Reacts to each event for itself. */
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

/** The largest data of an event. What is sent has some 500 bytes around it and stays below 256 KiB. */
export const maxEventBytes = 255 * 1024
const maxChannels = 10

/** Events of this process that broke their schema and were sent all the same. */
export const flaggedEvents = new Counter({
  name: 'quayside_events_flagged_total',
  help: 'Events that broke the schema of their type and were sent all the same (EVENT_SCHEMA=lenient).',
  labelNames: ['type'],
  registers: [],
})

/**
 * Writes the event and runs its reactions, all inside `work.tx`. Data that breaks the type's schema (but for EVENT_SCHEMA=lenient,
 * which flags it), is over the size limit (`payload_too_large`) or over the organization's quota (`rate_limited`) throws, and the
 * change it belongs to is not made. An id that was published before is the same event when its content is the same: nothing is
 * written, no reaction runs; with other content it is an `event_id_conflict`. One subject's events are numbered without a gap: the
 * counter's row lock holds until commit.
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

/** Publishes one event of each of some subjects, in order, by one statement. Throws as `publish` does; ids are not looked for. */
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

type Stored = { id: string; subjectId: string; projectId: string | null; data: string; channels: string }

async function write<Data>(
  work: Work,
  event: EventDefinition<Data>,
  published: readonly Published<Data>[],
  rows: readonly Stored[],
): Promise<Record<string, unknown>> {
  demandEmits(work, event)
  await demandQuota(work, rows.length)
  await run(
    work.tx,
    sql`with given as (
          select * from unnest(${rows.map(({ id }) => id)}::uuid[], ${rows.map(({ subjectId }) => subjectId)}::uuid[],
            ${rows.map(({ projectId }) => projectId)}::uuid[], ${rows.map(({ data }) => data)}::text[], ${rows.map(({ channels }) => channels)}::text[])
            with ordinality as g(id, subject_id, project_id, data, channels, n)),
        counter as (
          insert into event_subject (subject_id, sequence) select subject_id, 1 from given order by subject_id
          on conflict (subject_id) do update set sequence = event_subject.sequence + 1
          returning subject_id, sequence)
        insert into event (id, organization_id, project_id, type, schema_version, subject_type, subject_id, sequence, data, channels, request_id)
        select g.id, ${work.caller.organizationId}::uuid, g.project_id, ${event.type}, ${event.version}, ${event.subject}, g.subject_id,
               c.sequence, g.data::json, array(select json_array_elements_text(g.channels::json)), ${work.requestId}
        from given g join counter c using (subject_id) order by g.n`,
  )
  work.wake('outbox')
  const added: Record<string, unknown> = {}
  for (const reaction of work.app.domain.reactions.get(event.type) ?? []) {
    // Published under the event's own type, which the reaction named.
    Object.assign(added, await reaction.run({ ...work, emits: reaction.emits }, published as Published<never>[]))
  }
  return added
}

/** Work publishes what it declares: otherwise the catalogue, the OpenAPI documents and the permissions of subscribers are wrong. */
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

/** What is stored of an event: its data as its schema names it. */
function storedOf<Data>(work: Work, event: EventDefinition<Data>, published: Published<Data>): Stored {
  const { id = newId(), subjectId, projectId, channels = [] } = published
  const data = JSON.stringify(checkedData(work, event, id, published.data))
  if (Buffer.byteLength(data) > maxEventBytes) {
    throw new DomainError('payload_too_large', 'invalid', `An event of type ${event.type} must not exceed ${maxEventBytes} bytes.`)
  }
  checkChannels(channels)
  return { id, subjectId, projectId, data, channels: JSON.stringify(channels) }
}

/** What the schema names of the data; of data that breaks it, the fields at the top that it names, as they are. */
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

/** Names of channels: 1 to 100 characters of `A-Z a-z 0-9 _ . : -`. */
export const isChannel = (text: string): boolean => /^[\w.:-]{1,100}$/.test(text)

function checkChannels(channels: readonly string[]): void {
  if (channels.length > maxChannels)
    throw errors.invalid_input({ field: 'channels', text: `channels: must have at most ${maxChannels} items` })
  const wrong = channels.find((channel) => !isChannel(channel))
  if (wrong !== undefined)
    throw errors.invalid_input({ field: 'channels', text: 'channels: must contain only letters, digits and _ . : -' })
}

/** The id becomes a header and a part of what is signed, with dots as separators: nothing but a UUID is taken. */
async function isRepeated<Data>(
  work: Work,
  event: EventDefinition<Data>,
  id: string,
  { subjectId, projectId, channels = [] }: Published<Data>,
  data: string,
): Promise<boolean> {
  if (!validate(id)) throw errors.invalid_input({ field: 'id', text: 'id: must be a UUID' })
  // Two publishers of one id at once: the second waits for the first one's commit and then sees its row.
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

/** Empties what events say, by age or on demand; that they happened stays. */
export const forgetEventData = (tx: Tx, eventIds: readonly string[]): Promise<number> =>
  run(tx, sql`update event set data = '{}' where id = any(${eventIds}::uuid[])`)
