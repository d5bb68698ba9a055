import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentDeleted } from '../../apps/environment/index.ts'
import { webServiceDeleted, webServiceRestarted, webServiceStarted, webServiceStopped } from '../../apps/web-service/index.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { environmentOf, noteEnvironments, unfinishedStatuses } from '../instance/index.ts'
import { cancelPending, queueRedeploy } from './commands.ts'
import { deploymentEvents } from './events.ts'

/** Cancels the active and queued deployments of a deleted service. */
const cancelWithService = onEvent(
  webServiceDeleted,
  async (work, event) => {
    await cancelPending(work, event.subjectId)
  },
  { emits: [deploymentEvents.cancelled] },
)

/** Applies a stop during a deployment once the deployment goes live, unless the service is started again before that. */
const leaveStopped = (leavesStopped: boolean) => async (work: Work, event: { subjectId: string }) => {
  await run(
    work.tx,
    sql`update deployment set leaves_stopped = ${leavesStopped} where web_service_id = ${event.subjectId}::uuid
          and status in ${unfinishedStatuses.list} and leaves_stopped <> ${leavesStopped}`,
  )
}

/** Queues one deployment after a change of variables, if requested. */
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
  // The status of an environment depends on the desired states of its services and on a pending deletion.
  onEvent(environmentDeleted, async (work, { subjectId }) => noteEnvironments(work, sql`select ${subjectId}::uuid`)),
  onEvent([webServiceStarted, webServiceStopped, webServiceDeleted], async (work, { subjectId }) =>
    noteEnvironments(work, environmentOf(subjectId)),
  ),
  deployChange,
]
