/** What is sent for an event: its body, the same for every endpoint. */
export { bodyOf, type EventRow, type Message, type Sendable } from './model.ts'
export { bodyBytes, findMessage, findWebhookMessage, messageColumns, readSendables } from './queries.ts'
export { clearMessages, insertMessages, insertTestMessage } from './store.ts'
