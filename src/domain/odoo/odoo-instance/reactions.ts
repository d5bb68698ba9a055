import type { OdooInstance, WebService } from '../../../generated/prisma/client.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { type EventDefinition, onEvent, publish, type Reaction } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { webServiceDeleted, webServiceRestarted, webServiceStarted, webServiceStopped } from '../../apps/web-service/index.ts'
import { repinExtra } from '../../deploys/deployment/index.ts'
import { webServiceCrashed } from '../../deploys/instance/index.ts'
import { markDeleted } from '../../resources/resource/index.ts'
import { disconnectAll, resourceBindingDeleted } from '../../resources/resource-binding/index.ts'
import { eventOf, type OdooInstanceEvent, odooInstanceEvents } from './events.ts'

type Found = OdooInstance & Pick<WebService, 'name' | 'slug' | 'kind'>

/** The instance of a service. Null for a service of another kind. */
const instanceOf = (work: Work, serviceId: string): Promise<Found | null> =>
  row<Found>(
    work.tx,
    sql`select o.*, s.name, s.slug, s.kind from odoo_instance o join web_service s on s.id = o.id where o.id = ${serviceId}::uuid`,
  )

/** What happens to the service of an instance is told of the instance, too. */
const tell = (to: EventDefinition<unknown>, event: OdooInstanceEvent): Reaction =>
  onEvent(
    to,
    async (work, { subjectId }) => {
      const instance = await instanceOf(work, subjectId)
      if (instance) await publish(work, event, eventOf(instance))
    },
    { emits: [event] },
  )

/** A restart applies the settings that instances have from their start on. */
const applySettings = onEvent([webServiceStarted, webServiceRestarted], async (work, { subjectId }) => {
  const instance = await instanceOf(work, subjectId)
  if (instance) await repinExtra(work, instance)
})

/** The database belongs to the instance alone, as the disk belongs to the service. */
const deleteDatabase = onEvent(
  webServiceDeleted,
  async (work, { subjectId }) => {
    const { databaseId } = (await instanceOf(work, subjectId)) ?? {}
    if (!databaseId) return
    await disconnectAll(work, databaseId, { force: true })
    await markDeleted(work, 'database', databaseId)
  },
  { emits: [resourceBindingDeleted] },
)

export const reactions: Reaction[] = [
  tell(webServiceStarted, odooInstanceEvents.started),
  tell(webServiceStopped, odooInstanceEvents.stopped),
  tell(webServiceDeleted, odooInstanceEvents.deleted),
  tell(webServiceCrashed, odooInstanceEvents.failed),
  applySettings,
  deleteDatabase,
]
