/** What is sent for an event, and its way to each endpoint. */
import './reactions.ts'

export { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage, sendTestWebhook } from './commands.ts'
export {
  claimDeliveries,
  countLostTry,
  deliveryRows,
  keepShape,
  nextDeliveryInMs,
  readSendables,
  releaseDelivery,
  renewDelivery,
  type Sendable,
  settleDeliveries,
} from './deliveries.ts'
export { messageErrors } from './errors.ts'
export { type LaneNews, type LaneOutcome, markRecovered, markWarned, recordOutcomes } from './health.ts'
export { dropMirror, mirroredVersion, noteMirrored, orphanedMirrors } from './lane.ts'
export { type ClaimedDelivery, deliveriesTopic, type Message, type Settlement, type ShownDelivery } from './model.ts'
export { countWebhookMessages, findWebhookMessage, listWebhookMessages } from './queries.ts'
export { removeBodies } from './retention.ts'
