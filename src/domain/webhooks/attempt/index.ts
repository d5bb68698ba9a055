/** Tries to deliver: how they are sent, judged and recorded, and what follows from them. */
import { defineConcept } from '../../../platform/concept.ts'
import { endpointOverviews, pageEndpointDeliveries, sliceEndpointDeliveries } from './by-endpoint.ts'
import { expungeWebhookMessage } from './commands.ts'
import { deliverWebhooks, expireWebhookAnswers } from './jobs.ts'
import { beginWebhookAttempts, countWebhookAttempts, listWebhookAttempts, webhookAttemptListing } from './queries.ts'

export {
  type EndpointDelivery,
  type EndpointOverview,
  endpointOverviews,
  pageEndpointDeliveries,
  sliceEndpointDeliveries,
} from './by-endpoint.ts'
export { expungeWebhookMessage } from './commands.ts'
export { type WebhookFigures, webhookFigures } from './metrics.ts'
export { beginWebhookAttempts, listWebhookAttempts } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    WebhookAttempt: 'att'
  }
}

export const attempt = defineConcept({
  name: 'attempt',
  idPrefixes: { WebhookAttempt: 'att' },
  nodes: [webhookAttemptListing],
  commands: [expungeWebhookMessage],
  queries: [
    listWebhookAttempts,
    countWebhookAttempts,
    beginWebhookAttempts,
    endpointOverviews,
    pageEndpointDeliveries,
    sliceEndpointDeliveries,
  ],
  queues: [deliverWebhooks],
  chores: [expireWebhookAnswers],
})
