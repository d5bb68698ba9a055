/** Tries to deliver: how they are sent, judged and recorded, and what follows from them. */
export { expungeWebhookMessage } from './commands.ts'
export { type WebhookFigures, webhookFigures } from './metrics.ts'
export { beginWebhookAttempts, countWebhookAttempts, listWebhookAttempts } from './queries.ts'
