/** Events as this contract's webhooks send them: `{event, timestamp, data}`, with the contract's names of events and statuses. */
import type { ContractBody } from '../../domain/webhooks/endpoint/ports.ts'
import type { App } from '../../platform/work.ts'
import { dataOf, eventWordOf } from './webhook-events.ts'

export const createWebhookBody = (app: App): ContractBody => ({
  async print({ type, timestamp, data }, organizationId) {
    return JSON.stringify({ event: eventWordOf(type), timestamp, data: await dataOf(type, data, { app, organizationId }) })
  },
})
