import { z } from 'zod'
import { builder, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import { encodeId, isIdType } from '../../../platform/id.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { matchesPatterns } from './pattern.ts'
import { beginEvents, listEventTypes } from './queries.ts'

type EventRow = {
  id: string
  type: string
  createdAt: Date
  position: bigint
  subjectType: string
  subjectId: string
  projectId: string | null
  sequence: number
  schemaVersion: number
  data: unknown
  /** Also the `id` of its server-sent event. */
  cursor: string
}

const cursorOf = (position: bigint) => Buffer.from(`event:${position}`).toString('base64url')

export const Event = builder.objectRef<EventRow>('Event').implement({
  description: 'An event, which records a change of an object.',
  fields: (t) => ({
    id: t.id({
      description: 'ID of the event, a TypeID. It is the `webhook-id` of its deliveries.',
      resolve: (event) => encodeId('WebhookMessage', event.id),
    }),
    type: t.exposeString('type', { description: 'Type of the event, such as `deployment.succeeded`.' }),
    timestamp: t.expose('createdAt', { type: 'DateTime', description: 'Time when the event occurred.' }),
    cursor: t.exposeString('cursor', { description: 'Cursor of the event. Pass it as `after` to continue with the next event.' }),
    subjectId: t.id({
      description: 'ID of the object that changed.',
      resolve: (event) => (isIdType(event.subjectType) ? encodeId(event.subjectType, event.subjectId) : event.subjectId),
    }),
    projectId: t.id({
      nullable: true,
      description: 'ID of the project that the object belongs to. Null for objects of the organization.',
      resolve: (event) => event.projectId && encodeId('Project', event.projectId),
    }),
    sequence: t.exposeInt('sequence', { description: 'Number of the event, starting at 1 for each subject.' }),
    schemaVersion: t.exposeInt('schemaVersion', { description: 'Version of the event type.' }),
    data: t.expose('data', { type: 'JSON', description: 'Data of the event. See `WebhookEventType.schema` for its schema.' }),
  }),
})

const batch = 200
const pollMs = 2_000

async function* followEvents(context: GraphqlContext, args: Record<string, unknown>): AsyncGenerator<EventRow, void, void> {
  const { projectId, types, position: start } = await context.call(beginEvents, args)
  const { app, caller, signal } = context
  let position = start
  while (!signal.aborted) {
    const more = app.wake.next('events', pollMs, signal)
    const after = position
    const read = () =>
      rows<Omit<EventRow, 'cursor'>>(
        app.db,
        sql`select * from event e where e.position > ${after} and ${visible(caller, sql`e`)}
            ${projectId ? sql`and e.project_id = ${projectId}::uuid` : sql``} and ${matchesPatterns(sql`e.type`, sql`${types}::text[]`)}
            order by e.position limit ${batch}`,
      )
    const found = await throughOutages(app, read, signal)
    for (const event of found) {
      if (signal.aborted) return
      yield { ...event, cursor: cursorOf(event.position) }
      position = event.position
    }
    if (found.length < batch) await more
  }
}

builder.subscriptionField('events', (t) =>
  t.field({
    type: Event,
    description: 'Events as they occur, in order. With `after`, the events after that cursor are sent first.',
    args: {
      projectId: t.arg.id({ description: 'Return only events of this project.' }),
      types: t.arg.stringList({
        description: 'Return only events of these types, at most 50. A type that ends in `.*`, such as `deployment.*`, matches by prefix.',
      }),
      after: t.arg.string({ description: 'Cursor of an event. The events after it are sent first.' }),
    },
    subscribe: (_root, args, context) => followEvents(context, args),
    resolve: (event: EventRow) => event,
  }),
)

const jsonSchemas = new WeakMap<z.ZodType, object>()

/** Made once: a list of all types would else take longer than others should wait. */
function jsonSchemaOf(schema: z.ZodType): object {
  const known = jsonSchemas.get(schema) ?? z.toJSONSchema(schema)
  jsonSchemas.set(schema, known)
  return known
}

const WebhookEventType = builder.objectRef<EventDefinition>('WebhookEventType').implement({
  description: 'An event type: the meaning of the event and the schema of its data.',
  fields: (t) => ({
    name: t.exposeString('type', { description: 'Name of the event type, such as `deployment.succeeded`.' }),
    description: t.exposeString('description', { description: 'Meaning of the event.' }),
    version: t.exposeInt('version', {
      description:
        'Newest version of the event type. A field is removed or narrowed only in a new version. Endpoints pinned to an older version keep receiving that version.',
    }),
    schema: t.field({
      type: 'JSON',
      description: 'JSON Schema of `data`, draft 2020-12.',
      resolve: ({ schema }) => jsonSchemaOf(schema),
    }),
    sample: t.expose('sample', { type: 'JSON', description: 'Sample of `data`.' }),
    deprecatedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Time when the event type was deprecated. Null if it is not deprecated. Deprecated types are still sent.',
      resolve: ({ deprecatedAt }) => (deprecatedAt ? new Date(deprecatedAt) : null),
    }),
  }),
})

builder.queryField('webhookEventTypes', (t) =>
  t.field({
    type: [WebhookEventType],
    extensions: { rows: 50 },
    description: 'All event types, sorted by name.',
    resolve: (_root, _args, context) => context.call(listEventTypes, {}),
  }),
)
