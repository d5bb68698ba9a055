import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { decodeId } from '../../../platform/id.ts'
import {
  webServiceCreated,
  webServiceDeleted,
  webServiceRestarted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { secretUpdated } from '../../configuration/secret/index.ts'
import { secretBindingCreated } from '../../configuration/secret-binding/index.ts'
import { diskEvents } from '../disk/index.ts'
import { holdForReplacement } from './aside.ts'
import { secrecyTopic } from './redaction.ts'

/** Creates the runtime row of a new service, so that every service has a status. */
const createRuntime = onEvent(webServiceCreated, async (work, event) => {
  await run(
    work.tx,
    sql`insert into service_runtime (web_service_id, organization_id, status)
        values (${event.subjectId}::uuid, ${work.caller.organizationId}::uuid, 'STOPPED')`,
  )
})

/** Notifies the routers of a change immediately, instead of at their next poll. */
const updateRoutes = onEvent(
  [webServiceCreated, webServiceUpdated, webServiceStarted, webServiceStopped, webServiceDeleted],
  async (work) => work.wake('routes'),
)

/** Updates the redactors, because a variable of a running deployment may have become secret. */
const wakeRedactors = onEvent([envVarChanged, secretUpdated, secretBindingCreated], async (work) => work.wake(secrecyTopic))

/** Requests wait while the only instance of a service is restarted. */
const holdForRestart = [
  onEvent(webServiceRestarted, async (work, { subjectId }) => {
    await holdForReplacement(work, subjectId)
  }),
  onEvent(diskEvents.deleted, async (work, { data }) => {
    await holdForReplacement(work, decodeId('WebService', data.webServiceId))
  }),
]

export const reactions: Reaction[] = [createRuntime, updateRoutes, wakeRedactors, ...holdForRestart]
