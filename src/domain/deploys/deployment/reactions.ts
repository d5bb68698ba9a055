import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentDeleted } from '../../apps/environment/index.ts'
import { webServiceDeleted, webServiceRestarted, webServiceStarted, webServiceStopped } from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { unfinishedStatuses } from '../instance/index.ts'
import { cancelPending, queueRedeploy } from './commands.ts'
import { deploymentEvents } from './events.ts'

/** Deleting a service cancels its active deployment and those that wait. */
const cancelWithService = onEvent(webServiceDeleted, (work, event) => cancelPending(work, event.subjectId), {
  emits: [deploymentEvents.cancelled],
})

/** A stop while a deployment waits or runs holds when that goes live; a start in between takes it back. */
const leaveStopped = (leavesStopped: boolean) => async (work: Work, event: { subjectId: string }) => {
  await run(
    work.tx,
    sql`update deployment set leaves_stopped = ${leavesStopped} where web_service_id = ${event.subjectId}::uuid
          and status in ${unfinishedStatuses.list} and leaves_stopped <> ${leavesStopped}`,
  )
}

/** An environment's status counts what its services should be, and says that it is going. */
const lookAtEnvironments = async (work: Work) => work.wake('environments')

/** A change of variables is followed by one deployment where that was asked for. */
const deployChange = onEvent(
  envVarChanged,
  async (work, event) => {
    if (event.data.deploy) return { deployment: await queueRedeploy(work, event.subjectId) }
  },
  { emits: [deploymentEvents.queued, deploymentEvents.skipped] },
)

export const reactions: Reaction[] = [
  cancelWithService,
  onEvent(webServiceStopped, leaveStopped(true)),
  onEvent([webServiceStarted, webServiceRestarted], leaveStopped(false)),
  onEvent(environmentDeleted, lookAtEnvironments),
  onEvent([webServiceStarted, webServiceStopped, webServiceDeleted], lookAtEnvironments),
  deployChange,
]
