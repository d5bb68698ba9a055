import type { Chore } from '../../../platform/claim.ts'
import { fanOut, fanOutBatch } from './fan-out.ts'
import { expireBodies, expireBodiesBatch } from './retention.ts'

/** Makes messages and deliveries of events, soon after they have their position. */
export const fanOutEvents: Chore = {
  name: 'fan events out to webhooks',
  topic: 'events',
  everyMs: 5_000,
  gatherMs: 20,
  run: async (app) => ((await fanOut(app)) >= fanOutBatch ? 'again' : undefined),
}

/** Removes payloads by age. */
export const expireWebhookBodies: Chore = {
  name: 'expire webhook payloads',
  topic: null,
  everyMs: 10 * 60_000,
  run: async (app) => ((await expireBodies(app)) >= expireBodiesBatch ? 'again' : undefined),
}
