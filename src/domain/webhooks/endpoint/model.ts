import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'

export const maxEndpoints = 50
export const maxEventTypes = 100
export const maxRetries = 20
/** Maximum setting of concurrent requests to an endpoint. */
export const maxConcurrency = 1_000
/** Maximum delay of a retry after the previous attempt: 7 days. */
export const maxRetryDelayMs = 604_800_000
/** Maximum number of keys that sign at the same time during rotations. */
export const maxLiveKeys = 10
export const defaultGraceMs = 24 * 3_600_000
export const maxGraceMs = 7 * 24 * 3_600_000
export const defaultTimeoutMs = 15_000

/** The delay before each retry in milliseconds. Empty means no retries. */
export const retryScheduleOf = (endpoint: Pick<WebhookEndpoint, 'hasOwnSchedule' | 'retryScheduleMs'>, installation: readonly number[]) =>
  endpoint.hasOwnSchedule ? endpoint.retryScheduleMs : installation

/** Identities that the sealed signing keys and headers are bound to. */
export const keyIdentity = (keyId: string) => `webhook_key:${keyId}:secret`
export const headersIdentity = (endpointId: string) => `webhook_endpoint:${endpointId}:headers`
