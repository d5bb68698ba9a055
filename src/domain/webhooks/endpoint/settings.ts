/** Settings of an endpoint, with their rules and defaults. */
import { z } from 'zod'
import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { isChannel } from '../../../platform/events.ts'
import { defineRowSettings } from '../../../platform/row-settings.ts'
import type { App } from '../../../platform/work.ts'
import { newestVersion } from '../event-type/index.ts'
import { filterSchema } from './filter.ts'
import { headersSchema } from './header.ts'
import { maxConcurrency, maxEventTypes, maxRetries, maxRetryDelayMs } from './model.ts'

export const urlSchema = z.string().min(1, { error: 'must not be empty' }).max(2_048, { error: 'must be at most 2048 characters' })

const between = (min: number, max: number) => {
  const error = `must be an integer from ${min} to ${max}`
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}
const distinct = (items: string[]) => [...new Set(items)]

export const keyTypes = ['HMAC', 'ED25519'] as const

/** Columns of an endpoint that are not settings, or that do not correspond to exactly one setting. */
type OtherColumn =
  | 'id'
  | 'organizationId'
  | 'projectId'
  | 'emailServiceId'
  | 'url'
  | 'headerNames'
  | 'sealedHeaders'
  | 'selectionRights'
  | 'keyType'
  | 'publicKey'
  | 'retryScheduleMs'
  | 'hasOwnSchedule'
  | 'sincePosition'
  | 'disabledAt'
  | 'disabledReason'
  | 'version'
  | 'createdAt'
  | 'updatedAt'

export const endpointSettings = defineRowSettings<Omit<WebhookEndpoint, OtherColumn>>({
  description: { schema: z.string().max(2_000, { error: 'must be at most 2000 characters' }), default: null },
  eventTypes: {
    schema: z
      .array(z.string())
      .max(maxEventTypes, { error: `must have at most ${maxEventTypes} items` })
      .transform(distinct),
    default: [],
  },
  channels: {
    schema: z
      .array(z.string().refine(isChannel, { error: 'must have 1 to 100 characters, only letters, digits and _ . : -' }))
      .max(10, { error: 'must have at most 10 items' })
      .transform(distinct),
    default: [],
  },
  filter: { schema: filterSchema, default: null },
  rateLimitPerSecond: { schema: between(1, 1_000), default: null },
  maxConcurrency: { schema: between(1, maxConcurrency), default: null },
  ordered: { schema: z.boolean(), default: false },
  atMostOnce: { schema: z.boolean(), default: false },
  legacyHeaders: { schema: z.boolean(), default: false },
  schemaVersion: { schema: between(1, 1_000), default: ({ domain }) => newestVersion(domain.eventTypes) },
  timeoutMs: { schema: between(1_000, 30_000), default: null },
  format: { schema: z.enum(['RAW', 'SLACK', 'TEAMS', 'DISCORD', 'OEC', 'OCORE']), default: 'RAW' },
  selection: { schema: z.string().max(10_000, { error: 'must be at most 10000 characters' }), default: null },
})

/** The settings above, and those that do not correspond to a column of the same name. */
export const settingsInput = endpointSettings.input.extend({
  projectId: z.string().nullish(),
  headers: headersSchema.nullish(),
  retryScheduleMs: z
    .array(between(0, maxRetryDelayMs))
    .max(maxRetries, { error: `must have at most ${maxRetries} items` })
    .nullish(),
})

export type EndpointInput = z.infer<typeof settingsInput>

/** Columns of the settings, except for the project, the headers and the rights of the selection. */
export const settingColumns = (app: App, input: EndpointInput, current?: WebhookEndpoint) => ({
  ...endpointSettings.values(app, input, current),
  ...scheduleColumns(input.retryScheduleMs, current),
})

/** An empty schedule means no retries. An endpoint without its own schedule uses that of the installation. */
const scheduleColumns = (retryScheduleMs: EndpointInput['retryScheduleMs'], current: WebhookEndpoint | undefined) =>
  retryScheduleMs === undefined && current
    ? { retryScheduleMs: current.retryScheduleMs, hasOwnSchedule: current.hasOwnSchedule }
    : { retryScheduleMs: retryScheduleMs ?? [], hasOwnSchedule: retryScheduleMs !== undefined && retryScheduleMs !== null }
