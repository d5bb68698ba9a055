/** The way of each message to each endpoint: fan-out, queue, lanes, health of endpoints, recovery. */
import './reactions.ts'

export { claimDeliveries, deliveryRows, nextDeliveryInMs, releaseDelivery, renewDelivery } from './claim.ts'
export { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
export { deliveryErrors } from './errors.ts'
export { type HealthChange, type LaneOutcome, recordOutcomes } from './health.ts'
export { reportHealth } from './health-report.ts'
export { mirrorEndpoint } from './mirror.ts'
export { type ClaimedDelivery, deliveriesTopic, type Settlement, type ShownDelivery } from './model.ts'
export { checkWebhookFilter, countWebhookMessages, demandEndpoint, listWebhookMessages } from './queries.ts'
export { removeBodies } from './retention.ts'
export { countLostAttempt, keepShape, settleDeliveries } from './settle.ts'
