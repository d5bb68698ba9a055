import { z } from 'zod'
import { builder, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type EventDefinition, eventTypes } from '../../../platform/events.ts'
import { encodeId, type IdType, prefixes } from '../../../platform/id.ts'
import { problemOfPattern } from './model.ts'

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

function positionOf(cursor: string): bigint {
  const match = /^event:(\d{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!match) throw errors.invalid_input({ field: 'after', text: 'after: not a cursor of events' })
  return BigInt(match[1]!)
}

export const Event = builder.objectRef<EventRow>('Event').implement({
  description: 'Something that changed.',
  fields: (t) => ({
    id: t.id({ description: 'TypeID; the `webhook-id` of its deliveries.', resolve: (event) => encodeId('WebhookMessage', event.id) }),
    type: t.exposeString('type', { description: 'Such as `deployment.succeeded`.' }),
    timestamp: t.expose('createdAt', { type: 'DateTime', description: 'When it happened.' }),
    cursor: t.exposeString('cursor', { description: 'Give it as `after` to go on behind this event.' }),
    subjectId: t.id({
      description: 'What changed.',
      resolve: (event) => (event.subjectType in prefixes ? encodeId(event.subjectType as IdType, event.subjectId) : event.subjectId),
    }),
    projectId: t.id({
      nullable: true,
      description: 'The project that it belongs to; null for what belongs to the organization.',
      resolve: (event) => event.projectId && encodeId('Project', event.projectId),
    }),
    sequence: t.exposeInt('sequence', { description: "Counts the subject's events from 1." }),
    schemaVersion: t.exposeInt('schemaVersion', { description: 'Version of the type.' }),
    data: t.expose('data', { type: 'JSON', description: 'What happened; its shape is the type’s.' }),
  }),
})

const beginEvents = defineQuery({
  name: 'events',
  description: 'Events as they happen.',
  permission: 'view:webhooks',
  ids: { projectId: 'Project' },
  input: z.object({ projectId: z.string().nullish(), types: z.array(z.string()).max(50).nullish(), after: z.string().nullish() }),
  async run(read, { projectId, types, after }) {
    for (const [index, pattern] of (types ?? []).entries()) {
      const problem = problemOfPattern(pattern)
      if (problem) throw errors.invalid_input({ field: `types.${index}`, text: `types: ${problem}` })
    }
    if (projectId) {
      const project = await row(
        read.tx,
        sql`select 1 as found from project p where p.id = ${projectId}::uuid and ${visible(read.caller, sql`p`, sql`id`)}`,
      )
      if (!project) throw errors.not_found({ field: 'projectId' })
    }
    const last = await row<{ eventPosition: bigint }>(read.tx, sql`select event_position from sequencer where id = 1`)
    return { projectId, types: types?.length ? types : null, position: after ? positionOf(after) : (last?.eventPosition ?? 0n) }
  },
})

const listEventTypes = defineQuery({
  name: 'webhookEventTypes',
  description: 'Every type of events, by name.',
  permission: 'view:webhooks',
  ids: {},
  input: z.object({}),
  run: async () => eventTypes(),
})

const batch = 200
const pollMs = 2_000

async function* followEvents(context: GraphqlContext, args: Record<string, unknown>): AsyncGenerator<EventRow, void, void> {
  const { projectId, types, position: start } = await context.call(beginEvents, args)
  const { app, caller, signal } = context
  const patterns = types?.map((type) =>
    type.endsWith('*') ? `${type.slice(0, -1).replaceAll(/[\\%_]/g, '\\$&')}%` : type.replaceAll(/[\\%_]/g, '\\$&'),
  )
  let position = start
  while (!signal.aborted) {
    const more = app.wake.next('events', pollMs, signal)
    const found = await rows<Omit<EventRow, 'cursor'>>(
      app.db.prisma,
      sql`select * from event e where e.position > ${position} and ${visible(caller, sql`e`)}
          ${projectId ? sql`and e.project_id = ${projectId}::uuid` : sql``} ${patterns ? sql`and e.type like any(${patterns}::text[])` : sql``}
          order by e.position limit ${batch}`,
    )
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
    description: 'Events as they happen, in the order of their positions; with `after` those behind a cursor first.',
    args: {
      projectId: t.arg.id({ description: 'Only of this project.' }),
      types: t.arg.stringList({ description: 'Only of these types; `deployment.*` matches by prefix.' }),
      after: t.arg.string({ description: 'A cursor of an event.' }),
    },
    subscribe: (_root, args, context) => followEvents(context, args),
    resolve: (event: EventRow) => event,
  }),
)

const WebhookEventType = builder.objectRef<EventDefinition>('WebhookEventType').implement({
  description: 'A type of events: what `data` holds, and when it is sent.',
  fields: (t) => ({
    name: t.exposeString('type', { description: 'Such as `deployment.succeeded`.' }),
    description: t.exposeString('description', { description: 'What has happened.' }),
    version: t.exposeInt('version', { description: 'Raised when a field is removed or narrowed; endpoints that are pinned keep theirs.' }),
    schema: t.field({
      type: 'JSON',
      description: 'JSON Schema of `data`, draft 2020-12.',
      resolve: ({ schema }) => z.toJSONSchema(schema),
    }),
    sample: t.expose('sample', { type: 'JSON', description: 'Such data.' }),
    deprecatedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Since when it is on its way out; it is sent all the same.',
      resolve: ({ deprecatedAt }) => (deprecatedAt ? new Date(deprecatedAt) : null),
    }),
  }),
})

builder.queryField('webhookEventTypes', (t) =>
  t.field({
    type: [WebhookEventType],
    description: 'Every type of events, by name.',
    resolve: (_root, _args, context) => context.call(listEventTypes, {}),
  }),
)
