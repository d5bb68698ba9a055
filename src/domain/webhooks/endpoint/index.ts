/** Webhook endpoints of an organization: URL, filters, signing keys and settings. `attempt` sends the requests. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { createWebhookEndpoint, deleteWebhookEndpoint, endpointsOfOrganization, updateWebhookEndpoint } from './commands.ts'
import { createEmailWebhook } from './email.ts'
import { endpointErrors } from './errors.ts'
import {
  webhookEndpointCreated,
  webhookEndpointDeleted,
  webhookEndpointDisabled,
  webhookEndpointExhausted,
  webhookEndpointFailing,
  webhookEndpointRecovered,
  webhookEndpointUpdated,
} from './events.ts'
import { headersIdentity, keyIdentity } from './model.ts'
import { contractBodies, dispatcherPort, outgoingHttp, selectionPort } from './ports.ts'
import {
  countWebhookEndpoints,
  findWebhookEndpoint,
  listWebhookEndpoints,
  sliceWebhookEndpoints,
  webhookEndpointListing,
} from './queries.ts'
import { reactions } from './reactions.ts'
import { rotateWebhookSecret } from './rotate.ts'

export { createWebhookEndpoint, deleteWebhookEndpoint, disableEndpoint, lockEndpoint, updateWebhookEndpoint } from './commands.ts'
export { createEmailWebhook } from './email.ts'
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
export { defaultTimeoutMs, maxConcurrency, retryScheduleOf } from './model.ts'
export {
  type BodyEvent,
  type ContractFormat,
  contractBodies,
  type Dispatcher,
  dispatcherPort,
  type OutgoingResult,
  outgoingHttp,
  selectionPort,
} from './ports.ts'
export {
  findRecipients,
  findWebhookEndpoint,
  listWebhookEndpoints,
  newestSecret,
  type Recipient,
  recordStartPositions,
  sliceWebhookEndpoints,
  type UnreadableRecipient,
  visibleByEndpoint,
} from './queries.ts'
export { rotateWebhookSecret } from './rotate.ts'
export { sign } from './signature.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    WebhookEndpoint: 'wh'
  }
}

export const endpoint = defineConcept({
  name: 'endpoint',
  idPrefixes: { WebhookEndpoint: 'wh' },
  nodes: [webhookEndpointListing],
  commands: [createWebhookEndpoint, createEmailWebhook, updateWebhookEndpoint, deleteWebhookEndpoint, rotateWebhookSecret],
  queries: [findWebhookEndpoint, listWebhookEndpoints, countWebhookEndpoints, sliceWebhookEndpoints],
  events: [
    webhookEndpointCreated,
    webhookEndpointUpdated,
    webhookEndpointDeleted,
    webhookEndpointDisabled,
    webhookEndpointFailing,
    webhookEndpointRecovered,
    webhookEndpointExhausted,
  ],
  errors: [endpointErrors],
  reactions,
  sealed: [
    { table: 'webhook_key', key: 'id', column: 'sealed', identity: keyIdentity },
    { table: 'webhook_endpoint', key: 'id', column: 'sealed_headers', identity: headersIdentity },
  ],
  ports: [outgoingHttp, selectionPort, contractBodies, dispatcherPort],
  constraints: stamped('webhook_endpoint'),
  extensions: [organizationContents.with(endpointsOfOrganization)],
})
