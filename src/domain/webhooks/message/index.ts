/** What is sent for an event: its body, the same for every endpoint. */
import { defineConcept } from '../../../platform/concept.ts'
import { findWebhookMessage, webhookMessageListing } from './queries.ts'

export { bodyOf, type EventRow, type Message, type Sendable } from './model.ts'
export { findWebhookMessage, readSendables, webhookMessageListing } from './queries.ts'
export { clearMessages, insertMessages, insertTestMessage, removeMessages } from './store.ts'

export const message = defineConcept({ name: 'message', nodes: [webhookMessageListing], queries: [findWebhookMessage] })
