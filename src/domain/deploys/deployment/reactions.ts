import { onEvent } from '../../../platform/events.ts'
import { webServiceDeleted } from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { cancelAll, deployConfiguration } from './commands.ts'

/** Deleting a service cancels its active deployment and those that wait. */
onEvent(webServiceDeleted, (work, event) => cancelAll(work, event.subjectId))

/** A change of variables is followed by one deployment where that was asked for. */
onEvent(envVarChanged, async (work, event) => {
  if (event.data.deploy) return { deployment: await deployConfiguration(work, event.subjectId) }
})
