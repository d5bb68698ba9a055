/** What a caller may set of an endpoint, as input schema and as columns. */
import { z } from 'zod'
import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { DbNull, type Prisma } from '../../../platform/db/index.ts'
import { type EventTypes, isChannel } from '../../../platform/events.ts'
import { newestVersion } from '../event-type/index.ts'
import { filterSchema } from './filter.ts'
import { headersSchema } from './header.ts'
import { maxEventTypes, maxRetries, maxRetryDelayMs } from './model.ts'

export const urlSchema = z.string().min(1, { error: 'must not be empty' }).max(2_048, { error: 'must be at most 2048 characters' })

const between = (min: number, max: number) => {
  const error = `must be an integer from ${min} to ${max}`
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}
const distinct = (items: string[]) => [...new Set(items)]

export const formats = ['RAW', 'SLACK', 'TEAMS', 'DISCORD'] as const
export const keyTypes = ['HMAC', 'ED25519'] as const

export const settingsInput = {
  description: z.string().max(2_000, { error: 'must be at most 2000 characters' }).nullish(),
  eventTypes: z
    .array(z.string())
    .max(maxEventTypes, { error: `must have at most ${maxEventTypes} items` })
    .transform(distinct)
    .nullish(),
  projectId: z.string().nullish(),
  channels: z
    .array(z.string().refine(isChannel, { error: 'must have 1 to 100 characters, only letters, digits and _ . : -' }))
    .max(10, { error: 'must have at most 10 items' })
    .transform(distinct)
    .nullish(),
  filter: filterSchema.nullish(),
  headers: headersSchema.nullish(),
  rateLimitPerSecond: between(1, 1_000).nullish(),
  maxConcurrency: between(1, 1_000).nullish(),
  ordered: z.boolean().nullish(),
  atMostOnce: z.boolean().nullish(),
  legacyHeaders: z.boolean().nullish(),
  schemaVersion: between(1, 1_000).nullish(),
  retryScheduleMs: z
    .array(between(0, maxRetryDelayMs))
    .max(maxRetries, { error: `must have at most ${maxRetries} items` })
    .nullish(),
  timeoutMs: between(1_000, 30_000).nullish(),
  format: z.enum(formats).nullish(),
  selection: z.string().max(10_000, { error: 'must be at most 10000 characters' }).nullish(),
}

const settingsSchema = z.object(settingsInput)
export type EndpointSettings = z.infer<typeof settingsSchema>

/** The settings of a new endpoint: what is absent is as what is null. */
export const completed = (input: EndpointSettings): EndpointSettings =>
  Object.fromEntries(
    Object.keys(settingsInput).map((name) => [name, input[name as keyof EndpointSettings] ?? null]),
  ) as unknown as EndpointSettings

/** The columns of the settings that are given; null sets what a new endpoint has. Without project, headers and the selection's rights. */
export function settingColumns(input: EndpointSettings, types: EventTypes) {
  const given = <Value, Column>(value: Value | null | undefined, whenNull: Column, column: (value: Value) => Column): Column | undefined =>
    value === undefined ? undefined : value === null ? whenNull : column(value)
  const plain = <Value>(value: Value | null | undefined, whenNull: Value) => given(value, whenNull, (same) => same)
  return {
    description: input.description,
    eventTypes: plain(input.eventTypes, []),
    channels: plain(input.channels, []),
    filter: given<NonNullable<typeof input.filter>, Prisma.InputJsonValue | typeof DbNull>(input.filter, DbNull, (same) => same),
    rateLimitPerSecond: input.rateLimitPerSecond,
    maxConcurrency: input.maxConcurrency,
    ordered: plain(input.ordered, false),
    atMostOnce: plain(input.atMostOnce, false),
    legacyHeaders: plain(input.legacyHeaders, false),
    schemaVersion: plain(input.schemaVersion, newestVersion(types)),
    retryScheduleMs: plain(input.retryScheduleMs, []),
    hasOwnSchedule: given(input.retryScheduleMs, false, () => true),
    timeoutMs: input.timeoutMs,
    format: plain(input.format, 'RAW' as WebhookEndpoint['format']),
    selection: input.selection,
  }
}
