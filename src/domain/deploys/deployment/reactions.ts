import { onEvent } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentDeleted } from '../../apps/environment/index.ts'
import { webServiceDeleted, webServiceStarted, webServiceStopped } from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { cancelAll, deployConfiguration } from './commands.ts'

/** Deleting a service cancels its active deployment and those that wait. */
onEvent(webServiceDeleted, (work, event) => cancelAll(work, event.subjectId))

/** An environment's status counts what its services should be, and says that it is going. */
const lookAtEnvironments = async (work: Work) => work.wake('environments')
onEvent(environmentDeleted, lookAtEnvironments)
for (const event of [webServiceStarted, webServiceStopped, webServiceDeleted]) onEvent(event, lookAtEnvironments)

/** A change of variables is followed by one deployment where that was asked for. */
onEvent(envVarChanged, async (work, event) => {
  if (event.data.deploy) return { deployment: await deployConfiguration(work, event.subjectId) }
})
