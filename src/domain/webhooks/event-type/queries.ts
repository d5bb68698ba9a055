import { z } from 'zod'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { demandPatterns } from './pattern.ts'

export const beginEvents = defineQuery({
  name: 'events',
  description: 'Events as they occur.',
  permission: 'view:webhooks',
  ids: { projectId: 'Project' },
  input: z.object({ projectId: z.string().nullish(), types: z.array(z.string()).max(50).nullish(), after: z.string().nullish() }),
  async run(read, { projectId, types, after }) {
    demandPatterns(read.app.domain.eventTypes, types ?? [], 'types')
    if (projectId) {
      const project = await row(
        read.tx,
        sql`select 1 as found from project p where p.id = ${projectId}::uuid and ${visible(read.caller, sql`p`, sql`id`)}`,
      )
      if (!project) throw errors.not_found({ field: 'projectId' })
    }
    const last = await row<{ eventPosition: bigint }>(read.tx, sql`select event_position from sequencer where id = 1`)
    return { projectId, types: types ?? [], position: after ? positionOf(after) : (last?.eventPosition ?? 0n) }
  },
})

export const listEventTypes = defineQuery({
  name: 'webhookEventTypes',
  description: 'All event types, sorted by name.',
  permission: 'view:webhooks',
  ids: {},
  input: z.object({}),
  run: async ({ app }) => app.domain.eventTypes.all,
})

function positionOf(cursor: string): bigint {
  const match = /^event:(\d{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!match) throw errors.invalid_input({ field: 'after', text: 'after: must be a cursor of events' })
  return BigInt(match[1]!)
}
