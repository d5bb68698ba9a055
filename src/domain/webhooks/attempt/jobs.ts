import type { Chore, Queue } from '../../../platform/claim.ts'
import { deliveriesTopic, deliveryRows, healthEvents, releaseDelivery, renewDelivery } from '../delivery/index.ts'
import { webhookEndpointExhausted } from '../endpoint/index.ts'
import { deliver, setAsideDelivery } from './deliver.ts'
import { claimLoaded, type LoadedDelivery } from './load.ts'
import { expireResponseBodies, expireResponseBodiesBatch } from './retention.ts'

/** Sends what is due. No transaction is open during a request; outcomes are written in batches. */
export const deliverWebhooks: Queue<LoadedDelivery> = {
  name: 'webhook deliveries',
  emits: [...healthEvents, webhookEndpointExhausted],
  rows: deliveryRows,
  topic: deliveriesTopic,
  pollMs: 5_000,
  concurrency: 160,
  claim: claimLoaded,
  renew: renewDelivery,
  release: (app, delivery) => releaseDelivery(app, delivery, !delivery.progress.sent),
  work: deliver,
  setAside: setAsideDelivery,
}

/** Removes response bodies by age. */
export const expireWebhookAnswers: Chore = {
  name: 'expire webhook answers',
  topic: null,
  everyMs: 10 * 60_000,
  run: async (app) => ((await expireResponseBodies(app)) >= expireResponseBodiesBatch ? 'again' : undefined),
}
