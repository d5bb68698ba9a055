/** The way of each message to each endpoint: fan-out, queue, lanes, health of endpoints, recovery. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { jobSources } from '../../access/job/index.ts'
import { operationTypes } from '../../access/operation/index.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
import { deliveryErrors } from './errors.ts'
import { webhookJobs } from './job.ts'
import { expireWebhookBodies, fanOutEvents } from './jobs.ts'
import { keepMirror } from './mirror.ts'
import { checkWebhookFilter, countWebhookMessages, listWebhookMessages } from './queries.ts'
import { reactions } from './reactions.ts'
import { recoveryOperations } from './recovery.ts'
import { messagesOfOrganization } from './removal.ts'

export { claimDeliveries, deliveryRows, releaseDelivery, renewDelivery } from './claim.ts'
export { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
export { type HealthChange, type LaneOutcome, recordOutcomes } from './health.ts'
export { healthEvents, reportHealth } from './health-report.ts'
export { mirrorEndpoint } from './mirror.ts'
export { type ClaimedDelivery, deliveriesTopic, type Settlement, type ShownDelivery } from './model.ts'
export { checkWebhookFilter, demandEndpoint } from './queries.ts'
export { removeBodies } from './retention.ts'
export { countLostAttempt, keepShape, settleDeliveries } from './settle.ts'

export const delivery = defineConcept({
  name: 'delivery',
  commands: [sendTestWebhook, resendWebhookMessage, recoverWebhookMessages, replayMissingWebhookMessages],
  queries: [listWebhookMessages, countWebhookMessages, checkWebhookFilter],
  errors: [deliveryErrors],
  reactions,
  chores: [fanOutEvents, expireWebhookBodies, keepMirror],
  extensions: [
    jobSources.with(webhookJobs),
    organizationContents.with(messagesOfOrganization),
    ...recoveryOperations.map(operationTypes.with),
  ],
  constraints: [
    ...stamped('webhook_delivery'),
    {
      name: 'webhook_fan_out_row',
      create: 'INSERT INTO webhook_fan_out (id, position) VALUES (1, 0) ON CONFLICT DO NOTHING;',
      drop: 'DELETE FROM webhook_fan_out;',
    },
    check('webhook_fan_out', 'single', 'id = 1'),
    {
      name: 'webhook_lane_rows',
      create: 'INSERT INTO webhook_lane (endpoint_id) SELECT id FROM webhook_endpoint ON CONFLICT DO NOTHING;',
      drop: 'DELETE FROM webhook_lane;',
    },
    check('webhook_delivery', 'due', "(status = 'PENDING') = (next_attempt_at IS NOT NULL)"),
  ],
})
