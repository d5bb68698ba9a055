/** Where an organization wants its events delivered: address, filter, signing keys. Sending is `attempt`'s. */
export { createWebhookEndpoint, deleteWebhookEndpoint, disableEndpoint, lockEndpoint, updateWebhookEndpoint } from './commands.ts'
export { endpointErrors } from './errors.ts'
export {
  operationalTypes,
  webhookEndpointCreated,
  webhookEndpointDeleted,
  webhookEndpointDisabled,
  webhookEndpointExhausted,
  webhookEndpointFailing,
  webhookEndpointRecovered,
  webhookEndpointUpdated,
} from './events.ts'
export { matchesFilter, type PayloadFilter } from './filter.ts'
export { defaultTimeoutMs, dispatcherPort, outgoingHttp, retryScheduleOf, selectionPort } from './model.ts'
export type { Dispatcher, OutgoingResult } from './ports.ts'
export {
  countWebhookEndpoints,
  findRecipients,
  findWebhookEndpoint,
  listWebhookEndpoints,
  newestSecret,
  openEndpoints,
  type Recipient,
} from './queries.ts'
export { rotateWebhookSecret } from './rotate.ts'
export { sign } from './signature.ts'
