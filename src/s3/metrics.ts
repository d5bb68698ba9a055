import { Counter, Histogram } from 'prom-client'

/** Requests of this process to the S3 endpoint. Registered by the HTTP server, which prints all metrics. */
export const s3Requests = new Histogram({
  name: 'quayside_s3_request_seconds',
  help: 'Duration of S3 requests in seconds, including their bodies, by operation and status.',
  labelNames: ['operation', 'status'] as const,
  buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
  registers: [],
})

export const s3Bytes = new Counter({
  name: 'quayside_s3_bytes_total',
  help: 'Bytes of objects that S3 clients have uploaded (in) and downloaded (out).',
  labelNames: ['direction'] as const,
  registers: [],
})
