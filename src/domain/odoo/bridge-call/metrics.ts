import { Histogram } from 'prom-client'

/** Calls of this process. Registered by the HTTP server, which prints all metrics. */
export const odooCalls = new Histogram({
  name: 'quayside_odoo_call_seconds',
  help: 'Duration of calls of Odoo in seconds, including the wait for other calls of the account, by outcome: ok, or the code of the error.',
  labelNames: ['outcome'] as const,
  buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  registers: [],
})
