import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import {
  webServiceCreated,
  webServiceDeleted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { secretUpdated } from '../../configuration/secret/index.ts'
import { secretBindingCreated } from '../../configuration/secret-binding/index.ts'
import { secrecyTopic } from './redaction.ts'

/** Every service has a runtime row from the start, so that its status is never unknown. */
const createRuntime = onEvent(webServiceCreated, async (work, event) => {
  await run(
    work.tx,
    sql`insert into service_runtime (web_service_id, organization_id, status)
        values (${event.subjectId}::uuid, ${work.caller.organizationId}::uuid, 'STOPPED')`,
  )
})

/** The router learns of a change at once, not at its next round. */
const updateRoutes = onEvent(
  [webServiceCreated, webServiceUpdated, webServiceStarted, webServiceStopped, webServiceDeleted],
  async (work) => work.wake('routes'),
)

/** A variable of a running deployment may have become secret. */
const wakeRedactors = onEvent([envVarChanged, secretUpdated, secretBindingCreated], async (work) => work.wake(secrecyTopic))

export const reactions: Reaction[] = [createRuntime, updateRoutes, wakeRedactors]
