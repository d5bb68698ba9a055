import { run, sql } from '../../../platform/db/index.ts'
import { onEvent } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
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
onEvent(webServiceCreated, async (work, event) => {
  await run(
    work.tx,
    sql`insert into service_runtime (web_service_id, organization_id, status)
        values (${event.subjectId}::uuid, ${work.caller.organizationId}::uuid, 'STOPPED')`,
  )
})

/** The router hears of a service at once, not at its next round. */
for (const event of [webServiceCreated, webServiceUpdated, webServiceStarted, webServiceStopped, webServiceDeleted]) {
  onEvent(event, async (work) => work.wake('routes'))
}

/** A variable of a running deployment may have become secret. */
const wakeRedactors = async (work: Work) => work.wake(secrecyTopic)
onEvent(envVarChanged, wakeRedactors)
onEvent(secretUpdated, wakeRedactors)
onEvent(secretBindingCreated, wakeRedactors)
