/** Where an organization wants its events delivered: address, filter, signing keys. Sending is `attempt`'s. */
import { defineSealedColumn } from '../../../platform/reseal.ts'
import { headersIdentity, keyIdentity } from './model.ts'
import './reactions.ts'

defineSealedColumn({ table: 'webhook_key', key: 'id', column: 'sealed', identity: keyIdentity })
defineSealedColumn({ table: 'webhook_endpoint', key: 'id', column: 'sealed_headers', identity: headersIdentity })

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
export { defaultTimeoutMs, retryScheduleOf } from './model.ts'
export { type Dispatcher, dispatcherPort, type OutgoingResult, outgoingHttp, selectionPort } from './ports.ts'
export {
  countWebhookEndpoints,
  findRecipients,
  findWebhookEndpoint,
  listWebhookEndpoints,
  newestSecret,
  openEndpoints,
  type Recipient,
  type UnreadableRecipient,
  visibleByEndpoint,
} from './queries.ts'
export { rotateWebhookSecret } from './rotate.ts'
export { sign } from './signature.ts'
