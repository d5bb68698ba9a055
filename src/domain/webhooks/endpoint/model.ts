import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'

export const maxEndpoints = 50
export const maxEventTypes = 100
/** At most so many retries, each at most so many milliseconds (7 days) after the former try. */
export const maxRetries = 20
export const maxRetryDelayMs = 604_800_000
/** Keys that sign at once during rotations. */
export const maxLiveKeys = 10
export const defaultGraceMs = 24 * 3_600_000
export const maxGraceMs = 7 * 24 * 3_600_000
export const defaultTimeoutMs = 15_000

/** After how many milliseconds each retry follows; empty: there is a single try. */
export const retryScheduleOf = (endpoint: Pick<WebhookEndpoint, 'hasOwnSchedule' | 'retryScheduleMs'>, installation: readonly number[]) =>
  endpoint.hasOwnSchedule ? endpoint.retryScheduleMs : installation

/** What a sealed signing key, and the sealed headers, are bound to. */
export const keyIdentity = (keyId: string) => `webhook_key:${keyId}:secret`
export const headersIdentity = (endpointId: string) => `webhook_endpoint:${endpointId}:headers`
